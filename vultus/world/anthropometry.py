"""Measured numbers of the mean adult head, in cm, and the smooth outer surface that passes through them.

Coordinates: x to image right, y up, z towards the camera, origin midway between the eyeball centres. Only the half
x >= 0 is listed; the other half is its mirror image. The points were measured by casting rays at the neutral head of
ICT-FaceKit (MIT licence), averaged over its two halves and rounded to 0.01 cm; the anchors are those 110 places where a
smooth surface through the landmarks alone errs most. The surface through all of them lies 0.04 cm (rms) from the
measured face.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CENTRE = np.array([0.0, -1.5, -7.5])
"""The outer surface (ears apart) is seen from here without folds: radius is a function of direction."""

EYE_CENTRE = np.array([3.12, 0.0, 0.0])
"""Rotation centre of the eyeball at x > 0."""

EYE_RADIUS = 1.5
"""Radius of the eyeball, cm; a real one has 1.2 cm, but the measured lids lie 1.57 cm from `EYE_CENTRE`."""

IRIS_RADIUS = 0.60
"""Radius of the iris, cm (corneal diameter 11.7 mm in adults)."""

JAW_HINGE = np.array([0.0, -4.15, -6.16])
"""The axis (parallel to x) about which the measured lower teeth turn as the jaw opens."""

JAW_OPEN_RAD = 0.442
"""Turn of the jaw when it is wide open (25.3 degrees)."""

LANDMARKS_HALF: dict[int, tuple[float, float, float]] = {
    8: (0, -11.17, 2.45),
    9: (1.54, -10.86, 2.29),
    10: (3.05, -10.51, 0.79),
    11: (4.3, -9.81, -0.63),
    12: (5.72, -8.09, -1.85),
    13: (6.56, -5.96, -2.81),
    14: (6.94, -4.06, -3.45),
    15: (7.28, -2.11, -4.05),
    16: (7.36, 0.08, -4.32),
    22: (1.17, 2.31, 2.75),
    23: (2.41, 2.59, 2.5),
    24: (3.79, 2.66, 1.85),
    25: (4.93, 2.38, 1.01),
    26: (5.82, 1.6, -0.07),
    27: (0, 0.14, 2.75),
    28: (0, -0.97, 3.54),
    29: (0, -1.99, 4.33),
    30: (0, -3.19, 5.09),
    33: (0, -4.8, 3.59),
    34: (0.6, -4.74, 3.44),
    35: (1.25, -4.74, 2.89),
    42: (1.84, -0.35, 1.22),
    43: (2.78, 0.34, 1.55),
    44: (3.87, 0.27, 1.38),
    45: (4.46, -0.17, 0.62),
    46: (3.86, -0.53, 1.25),
    47: (2.73, -0.52, 1.43),
    51: (0, -6.08, 3.86),
    52: (0.73, -6.02, 3.75),
    53: (1.7, -6.38, 3.24),
    54: (2.53, -7.12, 2.21),
    55: (1.8, -7.66, 2.92),
    56: (1.03, -7.9, 3.41),
    57: (0, -7.98, 3.57),
}
"""iBUG number -> measured point, midline and x > 0."""

STOMION = ((0.0, -6.96, 3.29), (1.03, -6.94, 3.09), (2.21, -7.09, 2.15))
"""The line where the closed lips meet: midline, iBUG 63/65, corner (64)."""

SURFACE_ANCHORS: tuple[tuple[float, float, float], ...] = (
    (0.25, 10.83, -6.6),
    (0.3, 10.57, -4.93),
    (4.32, 8.31, -12.63),
    (0, 7.4, 0.66),
    (1.65, 7.34, 0.44),
    (0, 3.99, 2.36),
    (6.16, 3.67, -1.36),
    (1.94, 1.73, 2.57),
    (0.51, 1.62, -16.61),
    (4.51, 1.48, 1.57),
    (0.92, 1.09, 2.49),
    (2.54, 0.92, 1.77),
    (5.27, 0.9, 0.82),
    (4.73, 0.49, 1.01),
    (1.2, 0.37, 1.77),
    (4.66, 0.12, 0.91),
    (5.93, -0.43, -0.55),
    (6.7, -0.48, -1.86),
    (1.99, -0.66, 1.44),
    (4.51, -0.69, 0.87),
    (1.77, -1.13, 1.6),
    (4.31, -1.42, 1.02),
    (6.92, -1.48, -11.1),
    (5.47, -1.99, 0.45),
    (6.12, -2.08, -12.37),
    (1.02, -2.15, 3.39),
    (2.11, -2.27, 2.01),
    (3.5, -2.35, 1.53),
    (1.46, -2.41, 2.72),
    (0.87, -2.77, 4.39),
    (1.42, -2.8, 2.98),
    (1.68, -2.86, 2.56),
    (1.94, -2.88, 2.29),
    (2.69, -2.9, 1.95),
    (0, -2.98, -15.48),
    (6.38, -3.01, -11.19),
    (6.49, -3.03, -6.94),
    (1.34, -3.12, 3.71),
    (1.68, -3.16, 2.65),
    (1.92, -3.18, 2.33),
    (6.81, -3.23, -9.74),
    (2.28, -3.33, 2.17),
    (1.02, -3.48, 4.53),
    (1.85, -3.48, 2.38),
    (5.61, -3.56, 0.48),
    (1.73, -3.61, 3.42),
    (1.29, -3.65, 4.09),
    (2.19, -3.65, 2.22),
    (6.86, -3.73, -6.84),
    (2.66, -3.75, 2.11),
    (1.87, -3.82, 2.42),
    (1.27, -3.91, 3.9),
    (1.62, -3.95, 3.58),
    (2.18, -3.97, 2.2),
    (1.24, -4.07, 3.16),
    (1.77, -4.11, 3.14),
    (1.84, -4.14, 2.4),
    (0.15, -4.18, 4.66),
    (2.42, -4.28, 2.17),
    (3.48, -4.28, 1.93),
    (1.03, -4.33, 3.13),
    (1.42, -4.34, 3.14),
    (1.65, -4.48, 2.58),
    (2.04, -4.48, 2.31),
    (2.27, -5.02, 2.41),
    (0.27, -5.19, 3.56),
    (1.68, -5.32, 2.91),
    (3.5, -5.41, 1.92),
    (0, -5.46, 3.56),
    (5.13, -6.1, 0.32),
    (2.29, -6.16, 2.76),
    (0, -6.22, -13.99),
    (0.76, -6.4, 3.68),
    (2.35, -6.62, 2.67),
    (0.59, -6.68, 3.57),
    (0.94, -6.73, 3.4),
    (1.65, -6.75, 3.07),
    (1.29, -6.76, 3.23),
    (2.11, -6.81, 2.74),
    (0.58, -6.9, 3.22),
    (3.04, -6.93, 2.17),
    (1.48, -6.96, 2.84),
    (2.33, -6.97, 2.42),
    (3.47, -6.97, 1.86),
    (1.76, -7.03, 2.58),
    (2.05, -7.08, 2.34),
    (0.5, -7.17, 3.46),
    (0.88, -7.3, 3.45),
    (1.26, -7.3, 3.26),
    (1.74, -7.36, 2.89),
    (2.04, -7.4, 2.62),
    (0, -7.49, 3.63),
    (0.49, -7.64, 3.63),
    (4.45, -7.65, -11.24),
    (1.3, -7.7, 3.31),
    (2.14, -8.01, 2.54),
    (2.9, -8.05, 1.95),
    (1.41, -8.35, 2.9),
    (0, -8.78, 2.96),
    (0.18, -8.85, -13.63),
    (1.41, -9.19, 2.65),
    (2.79, -9.19, 1.74),
    (5.7, -9.84, -7.34),
    (0, -9.92, 3.06),
    (4.64, -9.93, -2.91),
    (1.27, -10.12, 2.76),
    (1.02, -10.37, -13.6),
    (3.13, -10.37, -12.7),
    (2.92, -11.13, -1.42),
    (2.2, -11.35, 0.24),
    (0, -11.57, 1.61),
    (0.36, -11.85, 0.09),
)

IBUG_MIRROR: tuple[int, ...] = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""iBUG number -> number of the mirrored point."""


def landmarks_68() -> Array:
    """Measured 68 iBUG points of the mean head, lips closed.

    Returns:
        (68, 3) cm, iBUG order as seen in the image.
    """
    points = dict(LANDMARKS_HALF)
    centre, side, corner = STOMION
    points |= {62: centre, 66: centre, 63: side, 65: side, 64: corner}
    full = np.empty((68, 3))
    for number, point in points.items():
        full[number] = point
        full[IBUG_MIRROR[number]] = np.array(point) * (-1.0, 1.0, 1.0)
    return full


def directions(points: Array) -> Array:
    """Unit vectors from `CENTRE` to points (N, 3)."""
    rays = points - CENTRE
    unit: Array = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


@lru_cache(maxsize=1)
def _radius_weights() -> tuple[Array, Array]:
    half = np.array([*LANDMARKS_HALF.values(), *STOMION, *SURFACE_ANCHORS])
    points = np.concatenate([half, half[half[:, 0] > 0] * (-1.0, 1.0, 1.0)])
    nodes = directions(points)
    kernel = np.linalg.norm(nodes[:, None] - nodes[None], axis=2) ** 3 + 1e-7 * np.eye(len(nodes))
    linear = np.c_[np.ones(len(nodes)), nodes]
    system = np.block([[kernel, linear], [linear.T, np.zeros((4, 4))]])
    values = np.concatenate([np.linalg.norm(points - CENTRE, axis=1), np.zeros(4)])
    return nodes, np.linalg.solve(system, values)


def surface(rays: Array) -> Array:
    """The mean head's outer surface without ears: cubic radial basis functions on the sphere of directions.

    Args:
        rays: (N, 3) unit vectors from `CENTRE`.

    Returns:
        (N, 3) points of the surface, cm.
    """
    nodes, weights = _radius_weights()
    distance = np.linalg.norm(rays[:, None] - nodes[None], axis=2)
    radius = distance**3 @ weights[: len(nodes)] + np.c_[np.ones(len(rays)), rays] @ weights[len(nodes) :]
    points: Array = CENTRE + radius[:, None] * rays
    return points
