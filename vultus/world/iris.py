"""The iris of a person: fibres, collarette, limbal ring."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.light import Colour

Floats = npt.NDArray[np.float32]

RINGS, SECTORS = 24, 96
REACH = 1.15
"""The map covers 0..REACH iris radii."""


def paint_iris(colour: Colour, seed: int) -> Floats:
    """(RINGS, SECTORS, 3) linear albedo over radius and angle."""
    rng = np.random.default_rng([seed, 0x1815])
    radius = ((np.arange(RINGS) + 0.5) / RINGS * REACH)[:, None, None]
    coarse = rng.standard_normal((3, SECTORS)).astype(np.float32)
    fibres = cv2.resize(coarse, (SECTORS, RINGS), interpolation=cv2.INTER_LINEAR)[..., None]
    base = np.array(colour, np.float64)
    inner = base * [1.55, 1.2, 0.85] + [0.02, 0.012, 0.0]
    collar = np.exp(-(((radius - 0.45) / 0.14) ** 2))
    albedo = base * (1 + 0.28 * fibres) + 0.55 * collar * (inner - base)
    albedo *= 0.75 + 0.5 * np.clip((radius - 0.3) / 0.5, 0, 1)
    limbus = np.clip((radius - 0.78) / 0.17, 0, 1)
    albedo *= 1 - 0.78 * limbus
    return np.asarray(np.clip(albedo, 0.004, 0.9), np.float32)


def iris_colour(melanin: float, green: float) -> Colour:
    """Linear colour of the iris: blue without melanin, green or hazel with a little, brown to black with much."""
    blue = np.array([0.12, 0.20, 0.30]) + green * np.array([0.02, 0.02, -0.16])
    hazel = np.array([0.16, 0.115, 0.035])
    brown = np.array([0.055, 0.026, 0.010])
    low, high = np.clip(melanin / 0.45, 0, 1), np.clip((melanin - 0.45) / 0.4, 0, 1)
    colour = blue + low * (hazel - blue)
    colour = colour + high * (brown - colour)
    return (float(colour[0]), float(colour[1]), float(colour[2]))
