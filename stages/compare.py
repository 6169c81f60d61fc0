"""Stage `compare`: the results of all systems in one table. ``python -m stages.compare``"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from vultus.core.config import load_params, subsection
from vultus.core.console import run_stage, wrote
from vultus.core.results import COLUMNS, read_rows


def main() -> None:
    """Join reports/systems/*/results.csv of the systems in params.yaml, in its order, into reports/results.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    arguments = parser.parse_args()

    systems = subsection(load_params(), "systems")
    tables = [read_rows(arguments.reports / "systems" / key / "results.csv") for key in systems]
    joined = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    path = arguments.reports / "results.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    joined.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    wrote(path, f"{len(joined)} numbers of {len(tables)} systems")


if __name__ == "__main__":
    run_stage(main)
