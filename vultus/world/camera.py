"""Pinhole cameras, head pose and a calibrated multi-view rig.

World: centimetres, x to image right, y up, z towards the camera (`docs/architecture.md` 9). A camera's own axes are
OpenGL's (x right, y up, looks along -z), so `camera_to_world` goes straight into the ``transform_matrix`` of NeRF data
sets; splatting code that wants OpenCV's axes negates its second and third column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A calibrated pinhole camera with square pixels and no distortion.

    width, height: size of the picture in px.
    focal_px: focal length in px.
    centre_px: principal point (x, y) in px; the centre of the first pixel is (0, 0).
    camera_to_world: 4 rows of 4, rigid, OpenGL axes.
    """

    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    camera_to_world: tuple[tuple[float, float, float, float], ...]

    @property
    def matrix(self) -> Doubles:
        """(4, 4) float64 camera to world."""
        return np.array(self.camera_to_world, np.float64)

    @property
    def intrinsics(self) -> Doubles:
        """(3, 3) float64 K for OpenCV's axes: pixel = K (x, -y, -z) / -z of a point in this camera's axes."""
        return np.array([[self.focal_px, 0, self.centre_px[0]], [0, self.focal_px, self.centre_px[1]], [0, 0, 1]])

    @property
    def position(self) -> Doubles:
        """(3,) float64 optical centre in the world, cm."""
        return self.matrix[:3, 3]

    def project(self, points: npt.NDArray[Any], supersampling: int = 1) -> Floats:
        """World points onto the picture.

        Args:
            points: (N, 3) world, cm.
            supersampling: samples a pixel in each direction; coordinates are then in samples, with the centre of the
                first *sample* at (0, 0).

        Returns:
            (N, 3) float32: x, y, and depth in cm along the optical axis (positive in front).

        Raises:
            ValueError: points are not (N, 3).
        """
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points must be (N, 3), got {points.shape}")
        matrix = self.matrix
        local = (points - matrix[:3, 3]) @ matrix[:3, :3]
        depth = -local[:, 2]
        safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        x = self.centre_px[0] + self.focal_px * local[:, 0] / safe
        y = self.centre_px[1] - self.focal_px * local[:, 1] / safe
        if supersampling != 1:
            x = (x + 0.5) * supersampling - 0.5
            y = (y + 0.5) * supersampling - 0.5
        return np.stack([x, y, depth], 1).astype(np.float32)


def look_at(
    position: tuple[float, float, float], target: tuple[float, float, float]
) -> tuple[tuple[float, float, float, float], ...]:
    """Camera-to-world matrix (OpenGL axes, upright) of a camera at `position` that looks at `target`, both in cm.

    Raises:
        ValueError: the two coincide, or the view is vertical.
    """
    eye = np.array(position, np.float64)
    back = eye - np.array(target, np.float64)
    right = np.cross([0.0, 1.0, 0.0], back)
    if np.linalg.norm(right) < 1e-9:
        raise ValueError(f"no upright view from {position} to {target}")
    back /= np.linalg.norm(back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :4] = np.stack([right, np.cross(back, right), back, eye], 1)
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in matrix)


def portrait_camera(
    size_px: int, *, distance_cm: float = 75.0, view_cm: float = 27.0, aim_cm: tuple[float, float] = (0.0, -1.5)
) -> Camera:
    """A camera in front of the face, square picture.

    Args:
        size_px: side of the picture.
        distance_cm: from the camera to the plane of the eyes.
        view_cm: height of the world that fills the picture at that distance.
        aim_cm: the point (x, y) of the eye plane in the middle of the picture.
    """
    return Camera(
        size_px,
        size_px,
        focal_px=size_px * distance_cm / view_cm,
        centre_px=((size_px - 1) / 2, (size_px - 1) / 2),
        camera_to_world=look_at((aim_cm[0], aim_cm[1], distance_cm), (aim_cm[0], aim_cm[1], 0.0)),
    )


def rig(
    centre: Camera, yaw_rad: tuple[float, ...], target: tuple[float, float, float] = (0.0, -1.5, -4.0)
) -> list[Camera]:
    """Cameras with the lens of `centre`, on a horizontal circle around `target`, all aimed at it.

    Args:
        centre: gives lens, picture size and distance.
        yaw_rad: positions on the circle; 0 is in front of the face, positive to the image right of the front camera.
        target: the point they look at, cm; the middle of the head unless told.
    """
    radius = float(np.linalg.norm(centre.position - np.array(target)))
    height = float(centre.position[1])
    flat = math.sqrt(max(radius**2 - (height - target[1]) ** 2, 1.0))
    return [
        replace(
            centre,
            camera_to_world=look_at(
                (target[0] + flat * math.sin(yaw), height, target[2] + flat * math.cos(yaw)), target
            ),
        )
        for yaw in yaw_rad
    ]


def rotation(pitch_rad: float, yaw_rad: float, roll_rad: float) -> Doubles:
    """Head-to-world rotation (3, 3): first pitch up, then yaw to image right, then roll clockwise in the image."""
    cp, sp = math.cos(pitch_rad), math.sin(pitch_rad)
    cy, sy = math.cos(yaw_rad), math.sin(yaw_rad)
    cr, sr = math.cos(roll_rad), math.sin(roll_rad)
    pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1.0]])
    matrix: Doubles = roll @ yaw @ pitch
    return matrix


def angles(matrix: npt.NDArray[Any]) -> tuple[float, float, float]:
    """(pitch, yaw, roll) in rad of a rotation matrix (3, 3); undoes `rotation` for |yaw| < pi/2."""
    yaw = math.asin(float(np.clip(-matrix[2, 0], -1.0, 1.0)))
    pitch = math.atan2(float(-matrix[2, 1]), float(matrix[2, 2]))
    roll = math.atan2(float(-matrix[1, 0]), float(matrix[0, 0]))
    return pitch, yaw, roll
