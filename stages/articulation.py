"""Stage `articulation`: tongue and lips of silent speech. ``python -m stages.articulation --dataset silent``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `articulation.D`; write data/features/D/articulation."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.data.articulation import ArticulationConfig, build_articulation
    from vultus.data.parquet import ClipTables

    name = arguments.dataset
    root, config = store_section(ArticulationConfig, load_params(arguments.params), "articulation", name)
    folder = Path("data/features") / name / "articulation"
    store = build_articulation(folder, ClipTables(Path("data/tables") / name / "valid"), root, config)
    wrote(folder, f"{len(store)} frames of {len(store.clips)} sentences; {len(store.failed)} sentences left out")


if __name__ == "__main__":
    run_stage(main)
