"""Stage `ledger`: the verdicts on all claims as one table. ``python -m stages.ledger``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read reports/claims/S of every system in claims/params.yaml; write reports/ledger.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("claims/params.yaml"))
    arguments = parser.parse_args()

    from vultus.core import registry
    from vultus.core.claims import claiming, ledger

    table = ledger(Path("reports/claims"), [registry.get(key) for key in claiming(arguments.params)["claims"]])
    path = Path("reports/ledger.csv")
    table.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
    wrote(path, f"{len(table)} claims: {counts}")


if __name__ == "__main__":
    run_stage(main)
