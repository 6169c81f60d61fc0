"""Stage `detector`: trains the landmark detector on the embedded world's people. ``python -m stages.detector``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `seed`, `detector` and `datasets.world.root`; write models/landmark_detector."""
    arguments = stage_arguments(__doc__)

    from vultus.data.parquet import ClipTables
    from vultus.face.detector_training import DetectorConfig, train_detector
    from vultus.face.locate import DETECTOR_FOLDER

    params = load_params(arguments.params)
    config = section(DetectorConfig, subsection(params, "detector"), "detector")
    root = Path(subsection(params, "datasets", "world")["root"])
    tables = ClipTables(Path("data/tables/world/valid"))
    metrics = train_detector(DETECTOR_FOLDER, tables, root, config, int(params["seed"]))
    error = "no face found" if metrics["NME"] is None else f"NME {metrics['NME']:.3f} of the eye distance"
    wrote(
        DETECTOR_FOLDER,
        f"landmark detector (embedded world): {error}, failure rate {metrics['FailureRate']:.3f} "
        f"on {metrics['n']} frames of unseen people",
    )


if __name__ == "__main__":
    run_stage(main)
