"""Stage `landmarks`: 68 points for every frame of a data set. ``python -m stages.landmarks --dataset world``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read `datasets.D.root` and `datasets.D.landmarks`; write data/features/D/landmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()
    name = arguments.dataset

    from vultus.data.parquet import ClipTables
    from vultus.face.locate import LandmarkConfig, build_landmarks, choose_detector

    dataset = subsection(load_params(arguments.params), "datasets", name)
    config = section(LandmarkConfig, dataset.get("landmarks") or {}, f"datasets.{name}.landmarks")
    folder = Path("data/features") / name / "landmarks"
    store = build_landmarks(folder, ClipTables(Path("data/tables") / name / "valid"), Path(dataset["root"]), config)
    counts = store.meta["frames_by_method"]
    if config.mode == "auto" and counts.get("trained") and choose_detector("auto") == "trained":
        print(
            "MediaPipe is not installed: the landmarks come from the detector trained on the embedded world, which has "
            "seen drawn faces only; for real ones: pip install --no-deps mediapipe==0.10.21 absl-py flatbuffers"
        )
    methods = ", ".join(f"{count} {method}" for method, count in sorted(counts.items())) or "no pictures"
    n_seen = store.meta["n_clips"] if len(store) else 0
    wrote(folder, f"landmarks of {len(store)} frames in {n_seen} clips ({methods})")


if __name__ == "__main__":
    run_stage(main)
