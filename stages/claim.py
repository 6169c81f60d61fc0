"""Stage `claim`: the paired experiments of a system's claims. ``python -m stages.claim --system jaa_net``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read claims/params.yaml; write reports/claims/S. What an interrupted run has finished is not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", required=True)
    parser.add_argument("--params", type=Path, default=Path("claims/params.yaml"))
    arguments = parser.parse_args()

    from vultus.core.claims import claiming, run_claims

    folder = Path("reports/claims") / arguments.system
    wrote(folder, run_claims(arguments.system, claiming(arguments.params)["seeds"], arguments.params, folder))


if __name__ == "__main__":
    run_stage(main)
