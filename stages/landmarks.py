"""Stage `landmarks`: 68 points for every frame of a data set. ``python -m stages.landmarks --dataset world``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `landmarks.D`; write data/features/D/landmarks."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.data.parquet import ClipTables
    from vultus.face.locate import LandmarkConfig, build_landmarks, choose_detector

    name = arguments.dataset
    root, config = store_section(LandmarkConfig, load_params(arguments.params), "landmarks", name)
    folder = Path("data/features") / name / "landmarks"
    store = build_landmarks(folder, ClipTables(Path("data/tables") / name / "valid"), root, config)
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
