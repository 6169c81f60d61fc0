"""python -m stages.validate --dataset D: what holds goes on, what does not goes to quarantine with its reason."""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, wrote
from vultus.data.sources import DatasetConfig
from vultus.data.validation import validate


def main() -> None:
    """Check ``data/tables/D/ingested`` and write ``data/tables/D/valid``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="key below datasets in params.yaml")
    parser.add_argument("--params", default="params.yaml", help="params file")
    arguments = parser.parse_args()
    dataset = arguments.dataset
    config = section(
        DatasetConfig, subsection(load_params(arguments.params), "datasets", dataset), f"datasets.{dataset}"
    )
    tables = Path("data/tables") / dataset
    result = validate(
        tables / "ingested", tables / "valid", Path(config.root), dataset, config.validation.max_quarantined
    )
    counts = [f"{t['rows_valid']} of {t['rows_in']} {name}" for name, t in result["tables"].items()]
    lost = f"{100 * result['quarantined_share']:.2f} % of the clips are in quarantine"
    wrote(tables / "valid", f"{', '.join(counts)} are valid; {lost}")


if __name__ == "__main__":
    run_stage(main)
