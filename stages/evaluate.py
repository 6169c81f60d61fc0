"""Stage `evaluate`: score a trained system on its test people. ``python -m stages.evaluate --system jaa_net``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `seed`, `systems.S` and models/S; write reports/systems/S."""
    arguments = stage_arguments(__doc__, "system")

    from vultus.core.experiment import evaluate, load_experiment

    experiment = load_experiment(arguments.system, arguments.params)
    folder = Path("reports/systems") / arguments.system
    wrote(folder, evaluate(experiment, Path("models") / arguments.system, folder))


if __name__ == "__main__":
    run_stage(main)
