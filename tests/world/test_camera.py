"""Cameras and pose: conventions, projection, calibration of the rig."""

import math

import numpy as np
import pytest

from vultus.world.camera import angles, look_at, portrait_camera, rig, rotation


def test_axes_of_the_front_camera() -> None:
    camera = portrait_camera(128, distance_cm=80, view_cm=32, aim_cm=(0, 0))
    centre, right, up, near = camera.project(np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 10]], float))
    np.testing.assert_allclose(centre, [63.5, 63.5, 80], atol=1e-4)
    np.testing.assert_allclose(right[:2] - centre[:2], [16, 0], atol=1e-4)
    np.testing.assert_allclose(up[:2] - centre[:2], [0, -16], atol=1e-4)
    assert near[2] == pytest.approx(70)


@pytest.mark.parametrize(
    ("pose", "direction"),
    [((0.3, 0, 0), (0, math.sin(0.3))), ((0, 0.3, 0), (math.sin(0.3), 0)), ((0, 0, 0.3), (0, 0))],
)
def test_the_face_looks_where_the_angles_say(pose: tuple[float, float, float], direction: tuple[float, float]) -> None:
    nose = rotation(*pose) @ [0, 0, 1]
    np.testing.assert_allclose(nose[:2], direction, atol=1e-12)


def test_positive_roll_is_clockwise_in_the_picture() -> None:
    top = rotation(0, 0, 0.2) @ [0, 1, 0]
    assert top[0] > 0, "the crown tips to image right"


def test_angles_undo_rotation() -> None:
    rng = np.random.default_rng(0)
    for pose in rng.uniform(-1.2, 1.2, (50, 3)):
        np.testing.assert_allclose(angles(rotation(*pose)), pose, atol=1e-9)


def test_intrinsics_and_pose_reproduce_the_projection_with_opencv_axes() -> None:
    camera = rig(portrait_camera(200), (-0.5, 0.4))[0]
    points = np.random.default_rng(1).uniform(-10, 10, (20, 3))
    world_to_camera = np.linalg.inv(camera.matrix @ np.diag([1.0, -1, -1, 1]))
    local = points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    pixels = local @ camera.intrinsics.T
    np.testing.assert_allclose(camera.project(points)[:, :2], pixels[:, :2] / pixels[:, 2:], atol=1e-3)
    np.testing.assert_allclose(camera.project(points)[:, 2], local[:, 2], atol=1e-4)


def test_rig_cameras_are_rigid_equidistant_and_see_the_target_in_the_middle() -> None:
    front, target = portrait_camera(128), np.array([0.0, -1.5, -4.0])
    cameras = rig(front, (-1.0, -0.3, 0.0, 0.7))
    np.testing.assert_allclose(cameras[2].matrix, front.matrix, atol=1e-9)
    for camera, yaw in zip(cameras, (-1.0, -0.3, 0.0, 0.7), strict=True):
        turn = camera.matrix[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        assert np.linalg.norm(camera.position - target) == pytest.approx(np.linalg.norm(front.position - target))
        np.testing.assert_allclose(camera.project(target[None])[0, :2], front.centre_px, atol=1e-3)
        assert np.sign(camera.position[0]) == np.sign(yaw)


def test_triangulation_from_two_views_finds_the_point() -> None:
    point = np.array([2.0, -3.0, 1.5])
    rows = []
    for camera in rig(portrait_camera(256), (-0.4, 0.4)):
        u, v, _ = camera.project(point[None])[0]
        world_to_camera = np.linalg.inv(camera.matrix @ np.diag([1.0, -1, -1, 1]))[:3]
        projection = camera.intrinsics @ world_to_camera
        rows += [u * projection[2] - projection[0], v * projection[2] - projection[1]]
    solution = np.linalg.svd(np.array(rows))[2][-1]
    np.testing.assert_allclose(solution[:3] / solution[3], point, atol=2e-3)


def test_supersampled_grids_agree() -> None:
    camera = portrait_camera(64)
    points = np.random.default_rng(2).uniform(-8, 8, (10, 3))
    fine = camera.project(points, supersampling=2)
    np.testing.assert_allclose(fine[:, :2], (camera.project(points)[:, :2] + 0.5) * 2 - 0.5, atol=1e-4)


def test_impossible_views_are_refused() -> None:
    with pytest.raises(ValueError, match="no upright view"):
        look_at((0, 50, 0), (0, 0, 0))
    with pytest.raises(ValueError, match=r"points must be \(N, 3\)"):
        portrait_camera(64).project(np.zeros((3, 2)))
