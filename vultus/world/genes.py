"""What a person is born with: two alleles a gene, sex, and age; inheritance from two parents.

Every gene is additive: a trait is the sum of its two alleles over sqrt(2), so that traits of unrelated people have the
spread of single alleles (about 1) and a child shares half of its alleles with each parent. Founders come from one of
several ancestries, which shift some genes together (tone, hair, nose, lids), as in real populations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sex = Literal["female", "male"]
HairStyle = Literal["bald", "cropped", "short", "medium", "bob", "long", "curly"]

SHAPE_GENES: tuple[str, ...] = (
    "face_width", "face_length", "skull_width", "skull_height", "skull_depth", "forehead_slope", "brow_ridge",
    "cheekbone_width", "cheekbone_projection", "cheek_fullness", "jaw_width", "jaw_height", "chin_width", "chin_height",
    "chin_projection", "nose_length", "nose_width", "nose_bridge_height", "nose_bridge_width", "nose_tip_lift",
    "nose_tip_size", "nose_projection", "eye_size", "eye_spacing", "eye_tilt", "eye_depth", "eye_opening",
    "brow_height", "brow_arch", "mouth_width", "upper_lip_height", "lower_lip_height", "lip_projection",
    "philtrum_length", "ear_size", "ear_stand", "neck_width",
)  # fmt: skip
"""Genes that move vertices; their fields are in `face_shape`."""

SURFACE_GENES: tuple[str, ...] = (
    "melanin", "redness", "freckles", "moles", "oil", "wrinkles", "eye_melanin", "eye_green", "hair_melanin",
    "hair_red", "hair_curl", "hair_thickness", "hairline", "baldness", "brow_thickness", "brow_density", "beard",
)  # fmt: skip
"""Genes of skin, eyes and hair."""

GENES: tuple[str, ...] = SHAPE_GENES + SURFACE_GENES
"""Gene names in the order of the alleles."""

MUTATION_SD = 0.08
"""Standard deviation of what a meiosis adds to an allele."""
ASYMMETRY_SD = 0.25
"""Standard deviation of a shape gene's difference between the two halves of a face."""

_INDEX = {name: i for i, name in enumerate(GENES)}

_ANCESTRIES: tuple[tuple[float, dict[str, float]], ...] = (  # share of the founders, shift of the alleles' mean
    (0.40, {"melanin": -0.9, "freckles": 0.3, "redness": 0.4, "nose_bridge_height": 0.5, "nose_projection": 0.5,
            "eye_melanin": -0.7, "eye_green": 0.3, "hair_melanin": -0.5, "hair_red": 0.2, "eye_depth": 0.3,
            "beard": 0.2, "lip_projection": -0.2}),
    (0.20, {"melanin": -0.3, "eye_melanin": 0.9, "hair_melanin": 1.0, "nose_bridge_height": -0.8, "eye_depth": -0.9,
            "eye_tilt": 0.6, "eye_opening": -0.5, "cheekbone_width": 0.7, "face_width": 0.4, "nose_projection": -0.5,
            "hair_curl": -0.8, "freckles": -0.5, "beard": -0.8, "brow_ridge": -0.5}),
    (0.20, {"melanin": 1.2, "eye_melanin": 1.1, "hair_melanin": 1.1, "hair_curl": 1.3, "nose_width": 1.0,
            "nose_bridge_height": -0.7, "upper_lip_height": 0.9, "lower_lip_height": 0.9, "lip_projection": 0.9,
            "freckles": -0.9, "redness": -0.6, "nose_tip_size": 0.5}),
    (0.20, {"melanin": 0.5, "eye_melanin": 0.9, "hair_melanin": 0.9, "brow_density": 0.6, "brow_thickness": 0.4,
            "beard": 0.6, "nose_length": 0.4, "freckles": -0.6, "hair_thickness": 0.4}),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Genes:
    """A person's inheritance.

    Attributes:
        alleles: (2, len(GENES)) float32, from the father and from the mother; about standard normal.
        sex: "female" or "male".
        age: years, 6..85.
        hair_style: how the hair is worn; not inherited.
        seed: of what development adds: asymmetry, muscle strengths, the places of freckles.
    """

    alleles: NDArray[np.float32]
    sex: Sex
    age: float
    hair_style: HairStyle
    seed: int

    def __post_init__(self) -> None:
        if self.alleles.shape != (2, len(GENES)):
            raise ValueError(f"alleles must be (2, {len(GENES)}), not {self.alleles.shape}")
        if self.sex not in ("female", "male"):
            raise ValueError(f"sex must be female or male, not {self.sex!r}")
        if not 0 < self.age < 120:
            raise ValueError(f"age must be years in 0..120, not {self.age}")

    def traits(self) -> NDArray[np.float32]:
        """(len(GENES),) trait of each gene, mean 0 and standard deviation about 1 over people."""
        sums: NDArray[np.float32] = (self.alleles.sum(axis=0) / np.sqrt(2.0)).astype(np.float32)
        return sums

    def trait(self, name: str) -> float:
        """One trait by its gene's name.

        Raises:
            KeyError: no such gene.
        """
        return float(self.alleles[:, _INDEX[name]].sum() / np.sqrt(2.0))

    def share(self, name: str) -> float:
        """A trait as a share of the population below it, 0..1 (logistic approximation of the normal distribution)."""
        return float(1.0 / (1.0 + np.exp(-1.702 * self.trait(name))))


@dataclass(frozen=True)
class Appearance:
    """Colours and surface that follow from the genes, the sex and the age.

    Attributes:
        melanin: of the skin, 0 very fair .. 1 very dark.
        redness, freckles, oil, wrinkles: 0..1; wrinkles grow with age.
        moles: how many.
        eye_melanin: 0 blue or grey .. 1 dark brown. eye_green: 0..1, seen in light eyes only.
        hair_melanin: 0 blond .. 1 black. hair_red: 0..1. hair_grey: share of grey hairs, 0..1.
        brow_thickness: about 0.7..1.4. brow_density: 0..1.
        beard: density that the genes allow, 0..1; 0 for women and children.
    """

    melanin: float
    redness: float
    freckles: float
    oil: float
    wrinkles: float
    moles: int
    eye_melanin: float
    eye_green: float
    hair_melanin: float
    hair_red: float
    hair_grey: float
    brow_thickness: float
    brow_density: float
    beard: float


def founder(rng: np.random.Generator, sex: Sex, age: float) -> Genes:
    """A person without known parents."""
    shares = np.array([share for share, _ in _ANCESTRIES])
    _, shifts = _ANCESTRIES[int(rng.choice(len(_ANCESTRIES), p=shares / shares.sum()))]
    mean = np.zeros(len(GENES))
    for name, shift in shifts.items():
        mean[_INDEX[name]] = shift / np.sqrt(2.0)  # two alleles: the trait shifts by `shift`
    alleles = mean + rng.standard_normal((2, len(GENES))) * np.where(np.isin(GENES, _SPREAD_LOW), 0.6, 1.0)
    return _born(alleles, rng, sex, age)


_SPREAD_LOW = ("melanin", "hair_melanin", "eye_melanin")  # ancestry explains most of their variance


def child_of(father: Genes, mother: Genes, rng: np.random.Generator, sex: Sex, age: float) -> Genes:
    """A child: of each gene one allele of the father and one of the mother, drawn independently, slightly mutated."""
    gene = np.arange(len(GENES))
    alleles = np.stack([parent.alleles[rng.integers(0, 2, len(GENES)), gene] for parent in (father, mother)])
    return _born(alleles + MUTATION_SD * rng.standard_normal(alleles.shape), rng, sex, age)


def _born(alleles: NDArray[np.float64], rng: np.random.Generator, sex: Sex, age: float) -> Genes:
    worn, bald = float(rng.random()), float(rng.random())
    seed = int(rng.integers(2**31))
    plain = Genes(alleles.astype(np.float32), sex, float(age), "short", seed)
    return Genes(plain.alleles, sex, float(age), _hair_style(plain, worn, bald), seed)


def _hair_style(genes: Genes, worn: float, bald: float) -> HairStyle:
    if genes.sex == "male":
        risk = 0.75 * genes.share("baldness") * np.clip((genes.age - 28.0) / 40.0, 0.0, 1.0)
        if bald < risk + 0.04 * (genes.age > 22):
            return "bald"
        if genes.trait("hair_curl") > 1.0:
            return "cropped" if worn < 0.6 else "curly"
        return "cropped" if worn < 0.3 else "short" if worn < 0.85 else "medium"
    if genes.trait("hair_curl") > 1.0 and worn < 0.65:
        return "curly"
    return "short" if worn < 0.12 else "medium" if worn < 0.3 else "bob" if worn < 0.55 else "long"


def _grey(genes: Genes) -> float:
    """Share of grey hairs: none before the forties, most at 75; of women under 70 every second one dyes."""
    if genes.sex == "female" and genes.age < 70 and genes.seed % 2:
        return 0.0
    return float(np.clip((genes.age - 43.0 - 6.0 * genes.trait("hair_thickness")) / 34.0, 0.0, 1.0))


def appearance(genes: Genes) -> Appearance:
    """Colours and surface of a person."""
    adult = float(np.clip((genes.age - 12.0) / 6.0, 0.0, 1.0))
    old = float(np.clip((genes.age - 30.0) / 50.0, 0.0, 1.0))
    return Appearance(
        melanin=float(np.clip(0.36 + 0.26 * genes.trait("melanin"), 0.03, 0.97)),
        redness=genes.share("redness"),
        freckles=float(np.clip(0.45 * genes.trait("freckles") - 0.25, 0.0, 1.0)),
        oil=genes.share("oil"),
        wrinkles=float(np.clip(old * (0.6 + 0.8 * genes.share("wrinkles")), 0.0, 1.0)),
        moles=round(8 * genes.share("moles") * (0.3 + 0.7 * adult)),
        eye_melanin=genes.share("eye_melanin"),
        eye_green=genes.share("eye_green"),
        hair_melanin=float(np.clip(0.62 + 0.24 * genes.trait("hair_melanin"), 0.02, 1.0)),
        hair_red=float(np.clip(0.35 * genes.trait("hair_red") - 0.1, 0.0, 1.0)),
        hair_grey=_grey(genes),
        brow_thickness=float(np.clip(1.0 + 0.14 * genes.trait("brow_thickness")
                                     + (0.12 if genes.sex == "male" else -0.1) * adult, 0.6, 1.5)),
        brow_density=genes.share("brow_density"),
        beard=genes.share("beard") * adult if genes.sex == "male" else 0.0,
    )  # fmt: skip
