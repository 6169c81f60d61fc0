"""Stage `faces`: faces in a box that stands still, with their sound. ``python -m stages.faces --dataset talking``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `faces.D`; write data/features/D/faces."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.data.parquet import ClipTables
    from vultus.data.stores import open_store
    from vultus.face.faces import FaceConfig, build_faces

    name = arguments.dataset
    root, config = store_section(FaceConfig, load_params(arguments.params), "faces", name)
    features = Path("data/features") / name
    tables = ClipTables(Path("data/tables") / name / "valid")
    store = build_faces(features / "faces", tables, root, open_store(features / "landmarks"), config)
    wrote(
        features / "faces",
        f"{len(store)} faces of {config.size_px} px from {len(store.clips)} clips; {len(store.failed)} clips left out",
    )


if __name__ == "__main__":
    run_stage(main)
