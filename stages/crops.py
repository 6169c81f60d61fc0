"""Stage `crops`: aligned faces with landmarks, AU centres and labels. ``python -m stages.crops --dataset world``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `crops.D`; write data/features/D/crops with its picture sheet."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.data.parquet import ClipTables
    from vultus.data.stores import open_store
    from vultus.face.crops import CropConfig, build_crops
    from vultus.face.sheets import write_sheet

    name = arguments.dataset
    root, config = store_section(CropConfig, load_params(arguments.params), "crops", name)
    features = Path("data/features") / name
    tables = ClipTables(Path("data/tables") / name / "valid")
    store = build_crops(features / "crops", tables, root, open_store(features / "landmarks"), config)
    if len(store):
        write_sheet(store)
    left_out = ", ".join(f"{count} {reason}" for reason, count in store.meta["dropped"].items()) or "none"
    n_seen = store.meta["n_clips"] if len(store) else 0
    wrote(
        features / "crops",
        f"{len(store)} faces of {config.size_px} px from {n_seen} clips; frames left out: {left_out}",
    )


if __name__ == "__main__":
    run_stage(main)
