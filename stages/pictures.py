"""Stage `pictures`: labelled pictures of several domains. ``python -m stages.pictures --dataset styles``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `pictures.D`; write data/features/D/pictures."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.data.parquet import ClipTables
    from vultus.data.pictures import PicturesConfig, build_pictures

    name = arguments.dataset
    root, config = store_section(PicturesConfig, load_params(arguments.params), "pictures", name)
    folder = Path("data/features") / name / "pictures"
    store = build_pictures(folder, ClipTables(Path("data/tables") / name / "valid"), root, config)
    domains = ", ".join(f"{count} {domain}" for domain, count in store.rows["domain"].value_counts().items())
    wrote(folder, f"{len(store)} pictures of {store.rows['label'].nunique()} classes ({domains})")


if __name__ == "__main__":
    run_stage(main)
