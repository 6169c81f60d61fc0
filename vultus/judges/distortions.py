"""Graded damage to pictures: what teaches the perceptual judge, and what it is tested with.

A damage has a nature (a direction, a place, a tint), drawn once, and a strength from 1 to 4; between the whole numbers
the tables are interpolated. The grade of a damaged picture says how much it should count: its strength, but only a
quarter of it for a shift. That is our own decision, and the reason why a perceptual distance is asked for: a face that
stands two of 80 pixels further left is the same picture to a viewer, and far away for PSNR.

Sizes in pixels are those of a picture of 80 px and scale with it. Pictures are (S, S, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

STRENGTHS = (1.0, 2.0, 3.0, 4.0)
NOMINAL_PX = 80
SHIFT_GRADE = 0.25
"""Grade of a shift as a share of its strength."""

BLUR_PX = (0.6, 1.1, 1.9, 3.2)
NOISE = (6.0, 13.0, 26.0, 50.0)
"""Deviation, of 255."""
JPEG_QUALITY = (45.0, 22.0, 11.0, 4.0)
SHIFT_PX = (0.5, 1.0, 2.0, 4.0)
TINT = (0.06, 0.13, 0.26, 0.5)
"""Deviation of the logarithm of the three gains."""
PATCH = (0.12, 0.2, 0.32, 0.5)
"""Side of a grey square, as a share."""
MOSAIC_PX = (1.6, 2.7, 5.0, 8.0)
"""Side of a cell."""
CONTRAST = (0.12, 0.25, 0.45, 0.75)
"""Share of the contrast that is lost."""


@dataclass(frozen=True)
class Nature:
    """What is drawn once for all strengths of a damage."""

    direction_rad: float
    tint: npt.NDArray[np.float64]
    """(3,), mean 0, deviation 1."""
    place: tuple[float, float]
    """Centre of the patch, as a share."""
    grey: int
    noise: int
    """Seed of the noise."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Nature:
        """A nature, with ``rng``."""
        tint = rng.normal(size=3)
        tint = (tint - tint.mean()) / max(float(tint.std()), 1e-6)
        place = (float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7)))
        return cls(float(rng.uniform(0, 2 * np.pi)), tint, place, int(rng.integers(256)), int(rng.integers(2**31)))


def _at(table: tuple[float, ...], strength: float) -> float:
    return float(np.interp(strength, STRENGTHS, table))


def _scaled(picture: Picture, table: tuple[float, ...], strength: float) -> float:
    return _at(table, strength) * len(picture) / NOMINAL_PX


def _bytes(values: npt.NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _blur(picture: Picture, strength: float, nature: Nature) -> Picture:
    sigma = _scaled(picture, BLUR_PX, strength)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _noise(picture: Picture, strength: float, nature: Nature) -> Picture:
    grain = np.random.default_rng(nature.noise).standard_normal(picture.shape)
    return _bytes(picture + _at(NOISE, strength) * grain)


def _jpeg(picture: Picture, strength: float, nature: Nature) -> Picture:
    quality = round(_at(JPEG_QUALITY, strength))
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(np.ascontiguousarray(decoded[..., ::-1]), np.uint8)


def _shift(picture: Picture, strength: float, nature: Nature) -> Picture:
    by = _scaled(picture, SHIFT_PX, strength)
    matrix = np.array([[1, 0, by * np.cos(nature.direction_rad)], [0, 1, by * np.sin(nature.direction_rad)]])
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _colour(picture: Picture, strength: float, nature: Nature) -> Picture:
    return _bytes(picture * np.exp(_at(TINT, strength) * nature.tint))


def _occlusion(picture: Picture, strength: float, nature: Nature) -> Picture:
    half = _at(PATCH, strength) * len(picture) / 2
    (left, top), (right, bottom) = (
        [round(share * len(picture) + sign * half) for share in nature.place] for sign in (-1, 1)
    )
    hidden = picture.copy()
    hidden[max(top, 0) : bottom, max(left, 0) : right] = nature.grey
    return hidden


def _mosaic(picture: Picture, strength: float, nature: Nature) -> Picture:
    side = max(2, round(len(picture) / _scaled(picture, MOSAIC_PX, strength)))
    cells = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cells, picture.shape[:2], interpolation=cv2.INTER_NEAREST), np.uint8)


def _contrast(picture: Picture, strength: float, nature: Nature) -> Picture:
    mean = picture.mean(axis=(0, 1))
    return _bytes(mean + (picture - mean) * (1 - _at(CONTRAST, strength)))


Damage = Callable[[Picture, float, Nature], Picture]

TAUGHT: dict[str, Damage] = {
    "blur": _blur, "noise": _noise, "jpeg": _jpeg, "shift": _shift, "colour": _colour, "occlusion": _occlusion,
}  # fmt: skip
"""Damages that teach the judge and test it."""
UNSEEN: dict[str, Damage] = {"mosaic": _mosaic, "contrast": _contrast}
"""Damages that only test it."""


def damaged(picture: Picture, kind: str, strength: float, nature: Nature) -> Picture:
    """The picture with a damage of one kind; ``strength`` in 1..4.

    Raises:
        ValueError: an unknown kind, or not an RGB picture of bytes.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected an (S, S, 3) uint8 picture, got {picture.shape} {picture.dtype}")
    damage = TAUGHT.get(kind) or UNSEEN.get(kind)
    if damage is None:
        raise ValueError(f"there is no damage {kind!r}; there is: {', '.join([*TAUGHT, *UNSEEN])}")
    return damage(picture, strength, nature)


def grade(kind: str, strength: float) -> float:
    """How much the damage should count, 0..4; see the module."""
    return strength * (SHIFT_GRADE if kind == "shift" else 1.0)
