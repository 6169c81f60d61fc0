"""A drawn face with exact landmarks: enough for geometry and for training a detector in seconds."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: list[float]) -> Points:
    angle = np.radians(degrees)
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=-1)


def template() -> Points:
    """(68, 2): a symmetric face, eye centres at (-1, 0) and (1, 0), y down."""
    jaw = _ellipse((0, 0.2), (2.2, 3.1), [*np.linspace(180, 0, 17)])
    brow = np.stack([np.linspace(-1.7, -0.4, 5), [-0.55, -0.8, -0.85, -0.8, -0.65]], axis=-1)
    bridge = np.stack([np.zeros(4), [0.0, 0.45, 0.9, 1.3]], axis=-1)
    base = np.stack([[-0.5, -0.25, 0, 0.25, 0.5], [1.5, 1.6, 1.65, 1.6, 1.5]], axis=-1)
    eye = _ellipse((-1, 0), (0.45, 0.2), [180, 240, 300, 0, 60, 120])
    outer = _ellipse((0, 2.3), (0.8, 0.35), [180, 210, 240, 270, 300, 330, 0, 30, 60, 90, 120, 150])
    inner = _ellipse((0, 2.3), (0.6, 0.15), [180, 240, 270, 300, 0, 60, 90, 120])
    mirror = np.array([-1, 1])
    right_eye = (eye * mirror)[[3, 2, 1, 0, 5, 4]]
    return np.concatenate([jaw, brow, (brow * mirror)[::-1], bridge, base, eye, right_eye, outer, inner])


def random_face(
    rng: np.random.Generator, size_px: int = 128, scale_px: tuple[float, float] = (14, 20), angle_rad: float = 0.3
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """A picture (size, size, 3) and its (68, 2) landmarks: random place, scale, roll, proportions and colours."""
    shape = template() * rng.uniform([0.9, 0.9], [1.1, 1.1])
    shape[48:, 1] += rng.uniform(-0.1, 0.15)
    shape[17:27, 1] -= rng.uniform(-0.05, 0.2)
    angle, scale = rng.uniform(-angle_rad, angle_rad), rng.uniform(*scale_px)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([size_px / 2, size_px / 2 - scale]) + rng.uniform(-0.05, 0.05, 2) * size_px
    points = shape @ rotation.T * scale + centre

    image = np.full((size_px, size_px, 3), rng.integers(0, 256, 3), np.uint8)
    skin = tuple(int(v) for v in rng.integers([150, 100, 80], [240, 190, 170]))

    def fill(ids: list[int], colour: tuple[int, ...]) -> None:
        cv2.fillPoly(image, [np.round(points[ids] * 16).astype(np.int32)], colour, cv2.LINE_AA, shift=4)

    fill([*range(17), *range(26, 16, -1)], skin)
    for ids in (range(17, 22), range(22, 27), range(27, 31), range(31, 36)):
        line = np.round(points[list(ids)] * 16).astype(np.int32)
        cv2.polylines(image, [line], False, (60, 40, 30), 2, cv2.LINE_AA, shift=4)
    for eye in (range(36, 42), range(42, 48)):
        fill(list(eye), (245, 245, 245))
        middle = np.round(points[list(eye)].mean(0) * 16).astype(int)
        cv2.circle(image, tuple(int(v) for v in middle), round(0.14 * scale * 16), (30, 20, 20), -1, cv2.LINE_AA, 4)
    fill(list(range(48, 60)), (180, 60, 70))
    fill(list(range(60, 68)), (60, 10, 20))
    noise = rng.normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), points.astype(np.float32)
