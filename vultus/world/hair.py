"""The hair's outer surface: a shell over the skull, thick where hair grows, sunk below the skin where it does not.

One grid serves all styles (`head_parts.hair_grid`): columns around the vertical axis, rings from the crown to the
hairline; styles that hang go on from above the ears down. A renderer must draw the part from both sides: long hair
shows its inner side left and right of the neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.world import anthropometry as body
from vultus.world.anthropometry import Array
from vultus.world.genes import Genes, HairStyle
from vultus.world.head_parts import hair_grid

_HAIRLINE_DEG = np.array([
    (0, 48.0), (22, 46.0), (38, 50.0), (50, 60.0), (60, 70.0), (70, 88.0), (76, 90.0), (84, 76.0), (100, 78.0),
    (112, 98.0), (135, 124.0), (160, 138.0), (180, 141.0),
])  # fmt: skip
"""Angle around from the front -> angle down from the crown at which hair ends, seen from `anthropometry.CENTRE`."""


@dataclass(frozen=True)
class Cut:
    """A hair style in cm: thickness on top, at the sides and behind; fringe; where hanging hair ends; waviness."""

    top: float
    side: float
    back: float
    fringe: float = 0.0
    end_y: float | None = None
    wave: float = 0.05
    spread: float = 0.0


CUTS: dict[HairStyle, Cut] = {
    "bald": Cut(-0.6, -0.6, -0.6),
    "cropped": Cut(0.4, 0.25, 0.3, wave=0.02),
    "short": Cut(1.5, 0.6, 0.9, wave=0.1),
    "medium": Cut(1.8, 1.5, 1.6, fringe=0.8, end_y=-4.5, wave=0.15),
    "bob": Cut(1.4, 1.7, 1.8, fringe=2.2, end_y=-9.0, wave=0.1, spread=0.6),
    "long": Cut(1.3, 1.7, 1.7, end_y=-19.0, wave=0.2, spread=1.0),
    "curly": Cut(2.6, 2.2, 2.4, wave=0.28),
}


def hair_vertices(genes: Genes) -> Array:
    """The hair shell of a person on the mean skull; (HAIR_RINGS * HAIR_COLUMNS, 3) cm."""
    turn, fall, _, _, _ = hair_grid()
    cut = CUTS[genes.hair_style]
    rng = np.random.default_rng(np.random.SeedSequence([genes.seed, 3]))
    around = np.abs(np.degrees(np.where(turn > np.pi, turn - 2 * np.pi, turn)))
    retreat = 4.0 * genes.share("hairline") + (
        12.0 * genes.share("baldness") * np.clip((genes.age - 25) / 50, 0, 1) if genes.sex == "male" else 0.0
    )
    end = np.interp(around, _HAIRLINE_DEG[:, 0], _HAIRLINE_DEG[:, 1])
    end = end - (retreat - 3.0) * np.exp(-(((around - 20) / 24.0) ** 2))
    end = end + 5.0 * cut.fringe * np.exp(-((around / 30.0) ** 2))
    hangs = cut.end_y is not None
    share = np.clip((around - 52.0) / 14.0, 0.0, 1.0) if hangs else np.zeros_like(around)
    over_skull = np.where(share > 0, np.minimum(end, 92.0), end)
    split = 1.0 - 0.5 * share  # the part of the fall that lies on the skull

    f = np.minimum(fall[:, None] / split, 1.0)
    down = np.radians(over_skull) * np.maximum(f, 0.012)
    rays = np.stack([
        np.sin(down) * np.sin(turn), np.cos(down) + 0 * turn, np.sin(down) * np.cos(turn),
    ], axis=2).reshape(-1, 3)  # fmt: skip
    skull = body.surface(rays)

    front = np.exp(-((around / 50.0) ** 2))
    behind = np.clip((around - 100.0) / 60.0, 0.0, 1.0)
    low = cut.side * (1 - behind) + cut.back * behind
    low = low * (1 - front) + (0.5 * (cut.top + cut.side)) * front
    upper = np.clip(1.0 - np.degrees(down) / 75.0, 0.0, 1.0)
    thickness = low * (1 - upper) + cut.top * upper
    if cut.top > 0:
        taper = np.sqrt(np.clip((1.0 - f) / 0.22, 0.0, 1.0))
        taper = np.maximum(taper, share)
        thickness = thickness * taper - 0.12 * (1 - taper)
    phase = rng.uniform(0, 2 * np.pi, 4)
    ripple = np.sin(7 * turn + 4 * fall[:, None] + phase[0]) + np.sin(11 * turn - 7 * fall[:, None] + phase[1])
    if genes.hair_style == "curly":
        ripple = ripple + np.sin(17 * turn + phase[2]) * np.sin(15 * fall[:, None] + phase[3]) * 1.6
    thickness = thickness + cut.wave * ripple * np.clip(thickness, 0.0, 1.0)
    points = (skull + thickness.reshape(-1, 1) * rays).reshape(len(fall), len(turn), 3)
    if hangs:
        assert cut.end_y is not None
        hang = np.clip((fall[:, None] - split) / (1.0 - split + 1e-9), 0.0, 1.0) * share
        top = points[:, :, 1]
        goal = cut.end_y + 1.5 * (1 - behind)
        points[:, :, 1] = np.where(hang > 0, top + hang * (goal - top), top)
        out = np.stack([np.sin(turn), np.cos(turn)], axis=1)
        points[:, :, [0, 2]] += (hang * (cut.spread + 0.15 * ripple))[..., None] * out
    return points.reshape(-1, 3)
