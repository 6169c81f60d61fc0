"""Stage `judge`: teach a network that only scores, and test it. ``python -m stages.judge --judge syncnet``"""

from __future__ import annotations

from vultus.core.config import load_params
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `seed`, `judges.J` and the faces of the judge people; write models/judges/J."""
    arguments = stage_arguments(__doc__, "judge")

    from vultus.judges import FOLDER, train_judge

    wrote(FOLDER / arguments.judge, train_judge(arguments.judge, load_params(arguments.params)))


if __name__ == "__main__":
    run_stage(main)
