"""MediaPipe, a toy network and real files: every frame of a GRID clip and every picture has its face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.detect.conftest import reader
from vultus.data.media import probe
from vultus.detect import detect
from vultus.face.detection import MediapipeDetector, mediapipe_installed


@pytest.mark.skipif(not mediapipe_installed(), reason="mediapipe is not installed: real faces are not searched")
def test_real_clip_and_pictures(real_folder: Path, tmp_path: Path) -> None:
    clip, group = real_folder / "grid/swwp2s.mpg", real_folder / "faces/dlib/2008_001322.jpg"
    film = tmp_path / "film.mp4"
    done = detect([clip, group], reader(), MediapipeDetector(), tmp_path / "aus.csv", film=film)
    table = pd.read_csv(tmp_path / "aus.csv")
    spoken, pictured = table[table["input"] == str(clip)], table[table["input"] == str(group)]
    assert done.frames == 76
    assert spoken["success"].tolist() == [1] * 75
    assert set(spoken["face_id"]) == {0}
    assert spoken["timestamp"].iloc[-1] == pytest.approx(74 / 25, abs=0.01)
    steps = spoken[["pose_Rx", "pose_Ry", "pose_Rz"]].diff().abs().max()
    assert (steps < 0.1).all()  # radians a frame: the speaker sits still
    assert spoken["pose_Tz"].between(250, 600).all()
    assert np.abs(spoken[["pose_Ry", "pose_Rz"]]).max(axis=None) < 0.2  # he looks into the camera
    assert pictured["face_id"].tolist() == [0, 1, 2]
    assert pictured["x_30"].nunique() == 3
    assert probe(film).n_frames == 76
