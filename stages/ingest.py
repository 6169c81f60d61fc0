"""Stage `ingest`: a data set from its own layout into the four tables. ``python -m stages.ingest --dataset world``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `datasets.D` and the files below its root; write data/tables/D/ingested."""
    arguments = stage_arguments(__doc__, "dataset")
    name = arguments.dataset

    from vultus.data.sources import DatasetConfig, ingest

    dataset = subsection(load_params(arguments.params), "datasets", name)
    config = section(DatasetConfig, dataset, f"datasets.{name}")
    folder = Path("data/tables") / name / "ingested"
    counts = ingest(config, name, folder)
    wrote(
        folder,
        f"{counts['clips']} clips, {counts['frames']} annotated frames, {counts['units']} words and phones; "
        f"{counts['quarantine']} rows in quarantine",
    )


if __name__ == "__main__":
    run_stage(main)
