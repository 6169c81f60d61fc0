"""Head pose from the 68 points: where the measured mean head must stand so that a camera sees them there.

Conventions are OpenFace's, so that its tables and ours compare: the camera is the origin, x to image right, y down, z
away from it, millimetres; the place of the head is the mean of its points; the rotation is Rx @ Ry @ Rz in radians.
A positive Rx looks down, a positive Ry turns to image left, a positive Rz turns clockwise in the picture. In the
conventions of `docs/architecture.md` (section 9) pitch is -Rx and yaw is -Ry.

A picture says nothing of its lens. Unless the focal length is given, OpenFace's assumption stands: 500 px for a picture
of 640 x 480, growing with its sides. Angles bear it well; the distance is proportional to it, and wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.face.landmarks import FLIP_68

Array = npt.NDArray[Any]

_HALF_CM = {
    8: (0, -11.17, 2.45), 9: (1.54, -10.86, 2.29), 10: (3.05, -10.51, 0.79), 11: (4.3, -9.81, -0.63),
    12: (5.72, -8.09, -1.85), 13: (6.56, -5.96, -2.81), 14: (6.94, -4.06, -3.45), 15: (7.28, -2.11, -4.05),
    16: (7.36, 0.08, -4.32), 22: (1.17, 2.31, 2.75), 23: (2.41, 2.59, 2.5), 24: (3.79, 2.66, 1.85),
    25: (4.93, 2.38, 1.01), 26: (5.82, 1.6, -0.07), 27: (0, 0.14, 2.75), 28: (0, -0.97, 3.54), 29: (0, -1.99, 4.33),
    30: (0, -3.19, 5.09), 33: (0, -4.8, 3.59), 34: (0.6, -4.74, 3.44), 35: (1.25, -4.74, 2.89), 42: (1.84, -0.35, 1.22),
    43: (2.78, 0.34, 1.55), 44: (3.87, 0.27, 1.38), 45: (4.46, -0.17, 0.62), 46: (3.86, -0.53, 1.25),
    47: (2.73, -0.52, 1.43), 51: (0, -6.08, 3.86), 52: (0.73, -6.02, 3.75), 53: (1.7, -6.38, 3.24),
    54: (2.53, -7.12, 2.21), 55: (1.8, -7.66, 2.92), 56: (1.03, -7.9, 3.41), 57: (0, -7.98, 3.57),
}  # fmt: skip
"""Midline and x > 0 of the measured mean head that the embedded world starts from, which nothing here may import."""

POINTS: npt.NDArray[np.int64] = np.arange(60)
"""The points that are fitted: all but the inner lips, which part when the mouth opens."""


def _model_mm() -> Array:
    half = {point: np.array(at) for point, at in _HALF_CM.items()}
    whole = half | {int(FLIP_68[point]): at * (-1, 1, 1) for point, at in half.items()}
    points = np.stack([whole[int(point)] for point in POINTS]) * (10, -10, -10)
    return np.asarray(points - points.mean(axis=0))


MODEL_MM: Array = _model_mm()
"""(60, 3) of a head that faces the camera, its mean at the origin."""


@dataclass(frozen=True)
class HeadPose:
    """Place and turn of a head before the camera; see the module's docstring for axes and signs."""

    translation_mm: Array
    """(3,) x, y, z."""
    rotation_rad: Array
    """(3,) Rx, Ry, Rz."""
    rotation_vector: Array
    """(3,): axis times angle, the same turn as OpenCV takes it."""


def assumed_focal_px(width_px: int, height_px: int) -> float:
    """OpenFace's assumption for a camera that nobody has measured."""
    return (500 * width_px / 640 + 500 * height_px / 480) / 2


def camera_matrix(width_px: int, height_px: int, focal_px: float | None = None) -> Array:
    """(3, 3) intrinsics: the centre of the picture, square pixels, no distortion."""
    focal = focal_px or assumed_focal_px(width_px, height_px)
    return np.array([[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1]])


def head_pose(landmarks_68: Array, camera: Array) -> HeadPose | None:
    """Pose of one face.

    Args:
        landmarks_68: (68, 2) px of the picture.
        camera: (3, 3), see `camera_matrix`.

    Returns:
        The pose; None where a point is absent, or where no head before the camera looks like these points.

    Raises:
        ValueError: not 68 points.
    """
    import cv2

    if np.shape(landmarks_68) != (68, 2):
        raise ValueError(f"expected (68, 2) landmarks, got {np.shape(landmarks_68)}")
    points = np.asarray(landmarks_68, np.float64)[POINTS]
    if not np.isfinite(points).all() or not np.ptp(points, axis=0).all():
        return None
    found, turn, place = cv2.solvePnP(MODEL_MM, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found or place[2, 0] <= 0:
        return None
    turn, place = cv2.solvePnPRefineLM(MODEL_MM, points, camera, None, turn, place)
    r = cv2.Rodrigues(turn)[0]
    angles = np.array(
        [np.arctan2(-r[1, 2], r[2, 2]), np.arcsin(np.clip(r[0, 2], -1, 1)), np.arctan2(-r[0, 1], r[0, 0])]
    )
    return HeadPose(place[:, 0], angles, turn[:, 0])
