"""Stage `train`: fit a system on its folds. ``python -m stages.train --system jaa_net``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `seed` and `systems.S`; write models/S. A killed run goes on where it stopped."""
    arguments = stage_arguments(__doc__, "system")

    from vultus.core.experiment import load_experiment, train

    folder = Path("models") / arguments.system
    wrote(folder, train(load_experiment(arguments.system, arguments.params), folder))


if __name__ == "__main__":
    run_stage(main)
