from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vultus.detect.head_pose import MODEL_MM, POINTS, assumed_focal_px, camera_matrix, head_pose
from vultus.face.landmarks import FLIP_68
from vultus.world.anthropometry import LANDMARKS_HALF


def _turn(rx: float, ry: float, rz: float) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = np.cos([rx, ry, rz]), np.sin([rx, ry, rz])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def _photograph(rotation: tuple[float, float, float], place_mm: tuple[float, float, float]) -> np.ndarray:
    """(68, 2) of the model head in a picture of 640 x 480; the inner lips lie anywhere."""
    seen = (MODEL_MM @ _turn(*rotation).T + place_mm) @ camera_matrix(640, 480).T
    points = np.zeros((68, 2))
    points[POINTS] = seen[:, :2] / seen[:, 2:]
    return points


@pytest.mark.parametrize(
    ("rotation", "place_mm"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 600.0)),
        ((0.3, -0.2, 0.1), (40.0, -30.0, 700.0)),
        ((-0.2, 0.6, -0.4), (-90.0, 10.0, 450.0)),
    ],
)
def test_the_pose_of_a_photographed_head_is_found_again(
    rotation: tuple[float, float, float], place_mm: tuple[float, float, float]
) -> None:
    pose = head_pose(_photograph(rotation, place_mm), camera_matrix(640, 480))
    assert pose is not None
    np.testing.assert_allclose(pose.rotation_rad, rotation, atol=1e-4)
    np.testing.assert_allclose(pose.translation_mm, place_mm, atol=0.05)


def test_signs_are_those_of_the_docstring() -> None:
    nose, front = 30, _photograph((0, 0, 0), (0, 0, 600))
    assert _photograph((0.2, 0, 0), (0, 0, 600))[nose, 1] > front[nose, 1]  # looks down
    assert _photograph((0, 0.2, 0), (0, 0, 600))[nose, 0] < front[nose, 0]  # turns to image left
    assert _photograph((0, 0, 0.2), (0, 0, 600))[45, 1] > front[45, 1]  # clockwise: the eye at image right sinks


def test_a_known_lens_changes_the_distance_and_hardly_the_angles() -> None:
    points = _photograph((0.1, 0.2, 0.0), (0, 0, 600))
    longer = head_pose(points, camera_matrix(640, 480, focal_px=1000))
    assert longer is not None
    assert longer.translation_mm[2] == pytest.approx(1200, rel=0.06)
    np.testing.assert_allclose(longer.rotation_rad, (0.1, 0.2, 0.0), atol=0.06)


def test_points_that_are_no_head_have_no_pose() -> None:
    points = _photograph((0, 0, 0), (0, 0, 600))
    points[8] = np.nan
    assert head_pose(points, camera_matrix(640, 480)) is None
    assert head_pose(np.ones((68, 2)), camera_matrix(640, 480)) is None
    with pytest.raises(ValueError, match="68, 2"):
        head_pose(np.ones((49, 2)), camera_matrix(640, 480))


def test_the_model_is_the_measured_head_of_the_world() -> None:
    whole = {k: np.array(at) for k, at in LANDMARKS_HALF.items()}
    whole |= {int(FLIP_68[k]): at * (-1, 1, 1) for k, at in whole.items()}
    expected = np.stack([whole[k] for k in POINTS.tolist()]) * (10, -10, -10)
    np.testing.assert_allclose(MODEL_MM, expected - expected.mean(0), atol=1e-9)


def test_camera_and_pose_agree_with_a_real_openface_table(real_folder: Path) -> None:
    """The table's 3D points give its camera. One person: OpenFace adapts its head to her, which moves the pitch."""
    table = pd.read_csv(real_folder / "au/OpenFace_Test.csv", skipinitialspace=True)
    ratio = (table["X_16"] - table["X_0"] * table["Z_16"] / table["Z_0"]) / table["Z_16"]
    assert ((table["x_16"] - table["x_0"]) / ratio).median() == pytest.approx(assumed_focal_px(640, 360), rel=1e-3)
    camera = camera_matrix(640, 360)
    points = np.stack([table[[f"{axis}_{i}" for i in range(68)]].to_numpy() for axis in "xy"], axis=-1)
    poses = [head_pose(face, camera) for face in points]
    rotation = np.stack([pose.rotation_rad for pose in poses if pose])
    place = np.stack([pose.translation_mm for pose in poses if pose])
    difference = np.abs(rotation - table[["pose_Rx", "pose_Ry", "pose_Rz"]].to_numpy()).mean(axis=0)
    assert (difference < (0.1, 0.02, 0.02)).all()
    assert np.abs(place - table[["pose_Tx", "pose_Ty", "pose_Tz"]].to_numpy()).max() < 20
