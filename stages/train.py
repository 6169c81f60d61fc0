"""Stage `train`: fit a system on its folds. ``python -m stages.train --system jaa_net``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read `seed` and `systems.S`; write models/S. A killed run goes on where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()

    from vultus.core.experiment import load_experiment, train

    folder = Path("models") / arguments.system
    wrote(folder, train(load_experiment(arguments.system, arguments.params), folder))


if __name__ == "__main__":
    run_stage(main)
