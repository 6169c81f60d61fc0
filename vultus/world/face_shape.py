"""How genes, sex, age and chance change the mean head: each shape gene is a smooth displacement field.

A field is a sum of warps. A warp moves what lies near its centre by `shift` and stretches it about the centre by
`stretch`, both fading with exp(-d^2), d measured in `radius`. A centre with x > 0 acts on both halves. Numbers are for
a trait of 1 sd; sizes follow the spreads of adult faces (Farkas 1994: breadths and heights of the face
vary by 4 to 6 %, of the nose by 6 to 8 %) and were tuned by eye on sheets of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.world.anthropometry import EYE_CENTRE, Array
from vultus.world.genes import ASYMMETRY_SD, SHAPE_GENES, Genes

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Warp:
    """One smooth local movement; cm."""

    centre: Triple
    radius: Triple
    shift: Triple = (0.0, 0.0, 0.0)
    stretch: Triple = (0.0, 0.0, 0.0)


_EYE: Triple = (EYE_CENTRE[0], 0.0, 1.0)

SPREAD = 1.25
"""Scale of the inherited traits: with it the landmarks of adults spread by 0.43 cm (rms), against 0.41 cm in the first
five identity modes of ICT-FaceKit."""

WARPS: dict[str, tuple[Warp, ...]] = {
    "face_width": (Warp((0, -3, 0), (14, 9, 9), stretch=(0.045, 0, 0)),),
    "face_length": (Warp((0, 1, 1), (9, 14, 9), stretch=(0, 0.04, 0)),),
    "skull_width": (Warp((0, 5, -8), (12, 9, 11), stretch=(0.04, 0, 0)),),
    "skull_height": (Warp((0, 9, -6), (11, 6, 12), shift=(0, 0.4, 0)),),
    "skull_depth": (Warp((0, 3, -15), (12, 10, 8), shift=(0, 0, -0.5)),),
    "forehead_slope": (Warp((0, 6.5, 0.5), (6, 3.5, 5), shift=(0, 0, -0.35)),),
    "brow_ridge": (Warp((2.4, 2.0, 2.3), (2.2, 0.9, 2), shift=(0, -0.03, 0.16)),),
    "cheekbone_width": (Warp((6.0, -1.6, -0.5), (2.6, 2.0, 3.5), shift=(0.26, 0, 0)),),
    "cheekbone_projection": (Warp((4.3, -2.2, 1.2), (2.2, 1.5, 2.5), shift=(0.05, 0.05, 0.2)),),
    "cheek_fullness": (Warp((4.6, -5.2, 0.3), (2.4, 2.4, 3), shift=(0.22, 0, 0.16)),),
    "jaw_width": (Warp((6.0, -7.2, -2.5), (3.0, 3.0, 4.0), shift=(0.32, -0.05, 0)),),
    "jaw_height": (Warp((5.4, -8.3, -2.2), (3.0, 2.2, 4.0), shift=(0, -0.28, 0)),),
    "chin_width": (Warp((1.8, -10.2, 1.5), (1.8, 1.6, 2.5), shift=(0.22, 0, 0)),),
    "chin_height": (Warp((0, -11.2, 1.6), (4.5, 2.2, 4.0), shift=(0, -0.3, 0)),),
    "chin_projection": (Warp((0, -10.4, 2.4), (2.8, 1.8, 3.0), shift=(0, 0, 0.24)),),
    "nose_length": (Warp((0, -4.3, 3.8), (1.9, 1.5, 2.5), shift=(0, -0.2, 0)),),
    "nose_width": (Warp((0, -4.2, 3.0), (2.6, 1.1, 2.2), stretch=(0.085, 0, 0)),),
    "nose_bridge_height": (Warp((0, -0.8, 3.0), (1.3, 1.9, 2.2), shift=(0, 0, 0.17)),),
    "nose_bridge_width": (Warp((0, -1.4, 2.8), (1.8, 1.7, 2.0), stretch=(0.09, 0, 0)),),
    "nose_tip_lift": (Warp((0, -3.9, 4.9), (1.2, 0.9, 1.2), shift=(0, 0.16, 0.02)),),
    "nose_tip_size": (Warp((0, -3.8, 4.3), (1.4, 1.1, 1.6), stretch=(0.1, 0.08, 0.03)),),
    "nose_projection": (Warp((0, -3.5, 4.4), (1.7, 2.0, 2.2), shift=(0, 0, 0.24)),),
    "eye_size": (Warp(_EYE, (1.9, 1.5, 2.2), stretch=(0.05, 0.06, 0.02)),),
    "eye_spacing": (Warp(_EYE, (2.0, 1.8, 3.0), shift=(0.1, 0, -0.03)),),
    "eye_tilt": (
        Warp((4.6, 0.0, 0.6), (1.3, 1.3, 1.6), shift=(0, 0.09, 0)),
        Warp((1.8, -0.3, 1.3), (0.9, 0.9, 1.6), shift=(0, -0.03, 0)),
    ),
    "eye_depth": (Warp(_EYE, (2.2, 1.5, 2.5), shift=(0, 0, -0.12)),),
    "eye_opening": (
        Warp((3.2, 0.55, 1.5), (1.5, 0.42, 1.5), shift=(0, 0.055, 0)),
        Warp((3.2, -0.75, 1.5), (1.5, 0.42, 1.5), shift=(0, -0.03, 0)),
    ),
    "brow_height": (Warp((3.3, 2.4, 2.0), (3.0, 1.1, 2.5), shift=(0, 0.17, 0)),),
    "brow_arch": (
        Warp((4.3, 2.6, 1.4), (1.4, 0.9, 2.0), shift=(0, 0.12, 0)),
        Warp((1.6, 2.3, 2.7), (1.1, 0.9, 2.0), shift=(0, -0.08, 0)),
    ),
    "mouth_width": (Warp((0, -7.0, 2.6), (4.2, 1.9, 3.0), stretch=(0.06, 0, 0)),),
    "upper_lip_height": (Warp((0, -6.15, 3.6), (3.0, 0.55, 2.5), shift=(0, 0.085, 0.03)),),
    "lower_lip_height": (Warp((0, -7.95, 3.4), (3.0, 0.6, 2.5), shift=(0, -0.1, 0.03)),),
    "lip_projection": (Warp((0, -6.95, 3.4), (2.8, 1.3, 2.0), shift=(0, 0, 0.14)),),
    "philtrum_length": (Warp((0, -7.2, 3.2), (3.4, 1.7, 3.5), shift=(0, -0.14, 0)),),
    "ear_size": (Warp((7.4, -2.2, -6.6), (1.8, 4.0, 3.0), stretch=(0.05, 0.07, 0.06)),),
    "ear_stand": (Warp((8.6, -1.6, -8.0), (1.1, 3.0, 1.6), shift=(0.2, 0, 0.1)),),
    "neck_width": (Warp((0, -15, -8), (9, 6, 10), stretch=(0.06, 0, 0.05)),),
}
"""Gene -> its warps."""

JOWLS = (
    Warp((4.4, -8.9, 0.2), (1.7, 1.5, 2.2), shift=(0.05, -0.3, 0.05)),
    Warp((2.9, -6.4, 2.2), (1.2, 1.6, 2.0), shift=(0, -0.14, 0.06)),
    Warp((3.8, 0.75, 1.4), (1.6, 0.5, 1.5), shift=(0, -0.1, 0.02)),
    Warp((0, -12.2, -1.5), (4.0, 2.0, 4.0), shift=(0, -0.45, 0.2)),
)
"""What gravity does to an old face, at full strength (about 80 years): jowls, cheeks, upper lids, under the chin."""

_MALE = {
    "jaw_width": 0.7, "jaw_height": 0.6, "chin_width": 0.7, "chin_height": 0.5, "chin_projection": 0.4,
    "brow_ridge": 0.9, "nose_length": 0.4, "nose_width": 0.4, "nose_projection": 0.4, "brow_height": -0.6,
    "face_length": 0.4, "neck_width": 1.2, "upper_lip_height": -0.3, "lower_lip_height": -0.3, "eye_size": -0.3,
    "cheek_fullness": -0.4, "forehead_slope": 0.4, "eye_opening": -0.3,
}  # fmt: skip
"""Half the difference between the sexes, in standard deviations of each gene: added for men, taken away for women."""

_CHILD = {
    "face_length": -1.4, "jaw_width": -1.0, "jaw_height": -1.4, "chin_height": -1.2, "chin_width": -0.4,
    "chin_projection": -0.6, "nose_length": -1.5, "nose_projection": -1.5, "nose_bridge_height": -1.3,
    "nose_tip_lift": 1.0, "cheek_fullness": 1.6, "eye_size": 1.9, "eye_opening": 1.1, "brow_ridge": -1.2,
    "skull_width": 0.9, "skull_height": 0.7, "forehead_slope": -0.8, "neck_width": -4.5, "mouth_width": -0.9,
    "ear_size": -0.4, "philtrum_length": -0.6, "nose_width": -0.4,
}  # fmt: skip
"""Difference of a child of six from an adult."""

_OLD = {
    "nose_length": 0.7, "nose_tip_lift": -0.9, "ear_size": 1.3, "upper_lip_height": -1.2, "lower_lip_height": -0.9,
    "lip_projection": -0.8, "cheek_fullness": -0.7, "eye_opening": -0.6, "eye_depth": 0.5, "brow_height": -0.5,
    "philtrum_length": 0.5,
}  # fmt: skip
"""Difference of a person of eighty from one of forty."""


def warp_field(warps: tuple[Warp, ...], points: Array, halves: tuple[float, float] = (1.0, 1.0)) -> Array:
    """Displacement of points (V, 3) by warps; `halves` scales the actions at x < 0 and x > 0 of paired centres.

    Returns:
        (V, 3) cm.
    """
    moved = np.zeros_like(points)
    for warp in warps:
        sides = ((1.0, 1.0),) if warp.centre[0] == 0 else ((-1.0, halves[0]), (1.0, halves[1]))
        for side, strength in sides:
            flip = np.array([side, 1.0, 1.0])
            offset = points - np.array(warp.centre) * flip
            fade = np.exp(-((offset / np.array(warp.radius)) ** 2).sum(axis=1))
            moved += strength * fade[:, None] * (np.array(warp.shift) * flip + np.array(warp.stretch) * offset)
    return moved


def shape_traits(genes: Genes) -> Array:
    """(len(SHAPE_GENES),) effective traits: inherited, sex and age together."""
    child = float(np.clip((18.0 - genes.age) / 12.0, 0.0, 1.2))
    old = float(np.clip((genes.age - 40.0) / 40.0, 0.0, 1.1))
    mature = 1.0 - 0.8 * min(child, 1.0)
    sex = (1.0 if genes.sex == "male" else -1.0) * mature
    traits = genes.traits()[: len(SHAPE_GENES)].astype(np.float64)
    traits = SPREAD * np.clip(traits, -2.2, 2.2) * (1.0 - 0.25 * min(child, 1.0))
    for i, name in enumerate(SHAPE_GENES):
        traits[i] += sex * _MALE.get(name, 0.0) + child * _CHILD.get(name, 0.0) + old * _OLD.get(name, 0.0)
    return traits


def sagging(genes: Genes) -> float:
    """Strength of `JOWLS`, 0..1.1."""
    return float(np.clip((genes.age - 42.0) / 38.0, 0.0, 1.1)) * (0.6 + 0.8 * genes.share("wrinkles"))


def size(genes: Genes) -> float:
    """Scale of the whole head against the mean adult's."""
    child = float(np.clip((18.0 - genes.age) / 12.0, 0.0, 1.2))
    return (1.02 if genes.sex == "male" else 0.98) * (1.0 - 0.1 * child)


def asymmetry(genes: Genes) -> Array:
    """(len(SHAPE_GENES),) difference of the right half's trait from the left half's; fixed by the person's seed."""
    rng = np.random.default_rng(np.random.SeedSequence([genes.seed, 2]))
    return ASYMMETRY_SD * rng.standard_normal(len(SHAPE_GENES))
