"""Stage `evaluate`: score a trained system on its test people. ``python -m stages.evaluate --system jaa_net``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read `seed`, `systems.S` and models/S; write reports/systems/S."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()

    from vultus.core.experiment import evaluate, load_experiment

    experiment = load_experiment(arguments.system, arguments.params)
    folder = Path("reports/systems") / arguments.system
    wrote(folder, evaluate(experiment, Path("models") / arguments.system, folder))


if __name__ == "__main__":
    run_stage(main)
