from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vultus.data.parquet import ClipTables, TableWriter

from .toy import random_face


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """Small real files that are not part of the product; where they lie is in VULTUS_REAL."""
    folder = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()
    if not (folder / "faces").is_dir():
        pytest.skip(f"the real example files are not here: set VULTUS_REAL to their folder (looked in {folder})")
    return folder


@dataclass(frozen=True)
class ToyData:
    """A tiny data set: clip ``a`` a folder of numbered pictures, all annotated; ``b`` one video, partly annotated."""

    root: Path
    tables: ClipTables
    points: dict[tuple[str, int], np.ndarray]

    def clip(self, clip_id: str) -> dict:
        return next(clip for clip in self.tables.records() if clip["clip_id"] == clip_id)


@pytest.fixture
def toy_data(tmp_path, monkeypatch) -> ToyData:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "raw"
    (root / "a").mkdir(parents=True)
    rng = np.random.default_rng(0)
    points: dict[tuple[str, int], np.ndarray] = {}
    rows: list[dict] = []
    for frame in (3, 4, 5, 8):
        image, face = random_face(rng, size_px=160)
        cv2.imwrite(str(root / f"a/{frame:04d}.png"), image[..., ::-1])
        points["a", frame] = face
        rows.append(
            {"clip_id": "a", "frame": frame, "landmarks_68": face.ravel().tolist(), "au12_occurrence": frame % 2,
             "au06_intensity": float(frame), "yaw_rad": 0.25, "occluded": frame == 5}
        )  # fmt: skip
    with av.open(str(root / "b.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width = stream.height = 160
        stream.pix_fmt = "yuv420p"
        for frame in range(6):
            image, face = random_face(rng, size_px=160)
            points["b", frame] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    empty = [None] * 136
    rows += [
        {"clip_id": "b", "frame": 0, "time_s": 0.02, "landmarks_68": points["b", 0].ravel().tolist()},
        {"clip_id": "b", "frame": 2, "time_s": 0.10, "landmarks_68": empty},
        {"clip_id": "b", "frame": 4, "time_s": 0.18},
    ]
    with TableWriter(tmp_path / "valid") as writer:
        common = {"dataset": "toy", "n_frames": 4, "width_px": 160, "height_px": 160, "fps": 25.0}
        writer.add("clips", [
            {**common, "clip_id": "a", "subject": "s1", "group": "train", "video": "a", "kind": "posed"},
            {**common, "clip_id": "b", "subject": "s2", "group": "test", "video": "b.mp4", "kind": "spontaneous"},
        ])  # fmt: skip
        for clip_id in ("a", "b"):
            writer.add("frames", [row for row in rows if row["clip_id"] == clip_id])
    return ToyData(root, ClipTables(tmp_path / "valid"), points)
