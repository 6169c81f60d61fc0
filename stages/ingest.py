"""python -m stages.ingest --dataset D: a data set from its original layout into the four tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, wrote
from vultus.data.sources import DatasetConfig, ingest


def main() -> None:
    """Read ``datasets.D`` through its adapter into ``data/tables/D/ingested``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="key below datasets in params.yaml")
    parser.add_argument("--params", default="params.yaml", help="params file")
    arguments = parser.parse_args()
    dataset = arguments.dataset
    config = section(
        DatasetConfig, subsection(load_params(arguments.params), "datasets", dataset), f"datasets.{dataset}"
    )
    folder = Path("data/tables") / dataset / "ingested"
    counts = ingest(config, dataset, folder)
    wrote(
        folder,
        f"{counts['clips']} clips, {counts['frames']} annotated frames, {counts['units']} words and phones; "
        f"{counts['quarantine']} rows in quarantine",
    )


if __name__ == "__main__":
    run_stage(main)
