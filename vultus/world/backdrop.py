"""What is behind the head: a wall, a room, a street, out of focus."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.scene import Backdrop

Floats = npt.NDArray[np.float32]


def paint_backdrop(backdrop: Backdrop, width: int, height: int) -> Floats:
    """(height, width, 3) linear colour, a pure function of the arguments."""
    rng = np.random.default_rng([backdrop.seed, 0xBAC])
    near, far = np.array(backdrop.near, np.float32), np.array(backdrop.far, np.float32)
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(-1, 1, width) * width / height, indexing="ij")
    mix = np.zeros((height, width), np.float64)
    if backdrop.kind == "gradient":
        turn = rng.uniform(0, 2 * np.pi)
        mix = 0.5 + 0.5 * np.tanh(1.2 * (np.cos(turn) * x + np.sin(turn) * (2 * y - 1)))
    elif backdrop.kind == "pattern":
        pitch, turn = rng.uniform(5, 16), rng.uniform(0, np.pi)
        mix = 0.5 + 0.5 * np.tanh(3 * np.sin(pitch * (np.cos(turn) * x + np.sin(turn) * y)))
    elif backdrop.kind == "plain":
        mix = 0.25 * y + 0.12 * np.exp(-2 * (x**2 + (y - 0.4) ** 2))
    picture = (near + mix[..., None] * (far - near)).astype(np.float32)
    if backdrop.kind == "room":
        _furnish(picture, rng)
    elif backdrop.kind == "outdoor":
        _plant(picture, rng)
    sigma = backdrop.blur * height
    picture = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.6), borderType=cv2.BORDER_REFLECT)
    falloff = 1 - 0.15 * np.clip(x**2 * 0.4 + (y - 0.5) ** 2, 0, 1)
    shaded: Floats = (picture * falloff[..., None]).astype(np.float32)
    return shaded


def _box(picture: Floats, x0: float, y0: float, x1: float, y1: float, colour: npt.NDArray[np.float64]) -> None:
    """Fill a rectangle given as shares of the picture; parts outside are cut off."""
    height, width = picture.shape[:2]
    rows = slice(int(np.clip(y0, 0, 1) * height), int(np.clip(y1, 0, 1) * height))
    columns = slice(int(np.clip(x0, 0, 1) * width), int(np.clip(x1, 0, 1) * width))
    picture[rows, columns] = colour


def _muted(rng: np.random.Generator, low: float, high: float) -> npt.NDArray[np.float64]:
    colour: npt.NDArray[np.float64] = rng.uniform(low, high) * (1 + 0.25 * rng.standard_normal(3)).clip(0.3, 1.8)
    return colour


def _furnish(picture: Floats, rng: np.random.Generator) -> None:
    """A wall with a window, frames and shelves."""
    if rng.random() < 0.5:
        x0 = rng.choice([rng.uniform(-0.2, 0.1), rng.uniform(0.65, 0.9)])
        y0, x1, y1 = rng.uniform(-0.1, 0.15), x0 + rng.uniform(0.25, 0.45), rng.uniform(0.5, 0.9)
        _box(picture, x0, y0, x1, y1, np.array([1.0, 1.02, 1.05]) * rng.uniform(0.9, 1.3))
        _box(picture, (x0 + x1) / 2 - 0.012, y0, (x0 + x1) / 2 + 0.012, y1, _muted(rng, 0.3, 0.6))
    for _ in range(int(rng.integers(1, 4))):
        x0, y0 = rng.uniform(-0.1, 0.9), rng.uniform(0.0, 0.5)
        x1, y1 = x0 + rng.uniform(0.1, 0.3), y0 + rng.uniform(0.1, 0.35)
        _box(picture, x0 - 0.015, y0 - 0.015, x1 + 0.015, y1 + 0.015, _muted(rng, 0.02, 0.3))
        _box(picture, x0, y0, x1, y1, _muted(rng, 0.1, 0.6))
    if rng.random() < 0.5:
        shelf = rng.uniform(0.35, 0.7)
        x = rng.uniform(-0.2, 0.2)
        _box(picture, x, shelf, x + rng.uniform(0.5, 1.0), shelf + 0.02, _muted(rng, 0.05, 0.3))
        while x < 1.0:
            wide = rng.uniform(0.02, 0.06)
            _box(picture, x, shelf - rng.uniform(0.08, 0.2), x + wide, shelf, _muted(rng, 0.05, 0.5))
            x += wide + (rng.uniform(0.05, 0.3) if rng.random() < 0.2 else 0.003)
    _box(picture, 0, rng.uniform(0.85, 1.05), 1, 1.0, _muted(rng, 0.05, 0.3))


def _plant(picture: Floats, rng: np.random.Generator) -> None:
    """Sky, foliage as blobs, bright discs of light."""
    height, width = picture.shape[:2]
    horizon = rng.uniform(0.3, 0.7)
    _box(picture, 0, 0, 1, horizon, np.array([0.55, 0.68, 0.85]) * rng.uniform(0.8, 1.3))
    _box(picture, 0, horizon, 1, 1, np.array([0.16, 0.22, 0.08]) * rng.uniform(0.6, 1.6))
    for _ in range(60):
        centre = (int(rng.uniform(0, width)), int(np.clip(rng.normal(horizon, 0.22), 0, 1) * height))
        green = np.array([0.14, 0.24, 0.07]) * rng.uniform(0.3, 1.8)
        cv2.circle(picture, centre, max(1, int(rng.uniform(0.02, 0.10) * height)), green.tolist(), -1, cv2.LINE_AA)
    for _ in range(14):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, 0.7) * height))
        glow = np.array([0.8, 0.85, 0.65]) * rng.uniform(0.5, 1.3)
        cv2.circle(picture, centre, max(1, int(rng.uniform(0.01, 0.035) * height)), glow.tolist(), -1, cv2.LINE_AA)
