"""Stage `train`: fit a system on its folds. ``python -m stages.train --system jaa_net``"""

from __future__ import annotations

import shutil
from pathlib import Path

from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `seed` and `systems.S`; write models/S. A killed run goes on where it stopped; nothing is trained twice."""
    arguments = stage_arguments(__doc__, "system")

    from vultus.core.experiment import describe_training, load_experiment, trained
    from vultus.core.folders import replaced_folder

    folder = Path("models") / arguments.system
    weights = trained(load_experiment(arguments.system, arguments.params))
    with replaced_folder(folder) as out:
        shutil.copytree(weights, out, dirs_exist_ok=True)
    wrote(folder, describe_training(folder))


if __name__ == "__main__":
    run_stage(main)
