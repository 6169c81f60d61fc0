"""The parametric head: one topology for all people, the mean head, and the head that a person's genes make.

Units and axes as in `docs/world.md`. The parts `skin` and `lips` share one face chart; the constants below name places
in it. Parts `sclera` and `hair`: see `head_parts` and `hair`. Vertices at the same place on both sides of a border
(lid rim, stomion, neck) are listed by `HeadTopology.weld`: give them one normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vultus.world import anthropometry as body
from vultus.world import head_parts
from vultus.world.anthropometry import Array
from vultus.world.face_shape import JOWLS, WARPS, asymmetry, sagging, shape_traits, size, warp_field
from vultus.world.genes import SHAPE_GENES, Genes
from vultus.world.hair import hair_vertices
from vultus.world.skin_mesh import EYE_COLUMNS, Index, skin_mesh

PARTS: tuple[str, ...] = (
    "skin", "lips", "mouth_inside", "teeth", "tongue", "sclera", "eyelid", "ear", "neck", "hair", "shoulders",
)  # fmt: skip

CHART_HALF_RAD = (np.radians(70.0), np.radians(46.0))
"""Angles from straight ahead (seen from `anthropometry.CENTRE`) at u = 0.5 +- 0.4 and v = 0.5 +- 0.4."""
LID_GAP = 0.07
"""Distance of the lid rim from the eyeball, cm."""
GAIN_SD = 0.11
"""Spread of a person's muscle strengths about 1."""


@dataclass(frozen=True, eq=False)
class HeadTopology:
    """What all heads share.

    Attributes:
        triangles: (T, 3) int32, counter-clockwise seen from outside (mouth_inside: seen from inside the mouth).
        part: (T,) uint8, index into `PARTS`.
        uv: (V, 2) float32, face chart of skin and lips, own chart of every other part.
        landmark_vertices: (68,) int32, iBUG order as seen in the image.
        mirror: (V,) int32, the mirrored vertex.
        weld: (V,) int32, the first vertex at the same place on a shared border, else the vertex itself.
        ranges: part builder -> (start, stop) vertices: skin, sclera, eyelid, mouth_inside, upper_teeth, lower_teeth,
            tongue, ear, neck, shoulders, hair. The parts sclera, eyelid and ear hold image left first, then right.
    """

    triangles: Index
    part: NDArray[np.uint8]
    uv: NDArray[np.float32]
    landmark_vertices: Index
    mirror: Index
    weld: Index
    ranges: dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class PersonShape:
    """A person's head at rest: eyes open, lips closed, teeth together.

    Attributes:
        vertices: (V, 3) float32, cm.
        au_gain: (A,) float32, strength of each muscle against the mean, about 0.75..1.25, columns as `muscles.AUS`.
        eye_centres: (2, 3) float32, image left, image right.
        eye_radius: cm.
        scale: of the whole head against the mean adult's; movements scale with it.
    """

    vertices: NDArray[np.float32]
    au_gain: NDArray[np.float32]
    eye_centres: NDArray[np.float32]
    eye_radius: float
    scale: float


def chart_of(points: Array) -> Array:
    """Face chart (u, v) of points on or near the mean head's outer surface.

    Linear in the angle from straight ahead inside the face, compressed beyond, so that the whole head has a place.

    Args:
        points: (N, 3) cm.

    Returns:
        (N, 2) u 0 image-left .. 1 image-right, v 0 top .. 1 bottom.
    """
    rays = body.directions(points)
    angle = np.arccos(np.clip(rays[:, 2], -1, 1))
    across = rays[:, :2] / np.maximum(np.hypot(rays[:, 0], rays[:, 1]), 1e-12)[:, None] / CHART_HALF_RAD
    reach = np.linalg.norm(across, axis=1)
    t = angle * reach
    limit = np.pi * reach
    beyond = np.maximum(t - 1.0, 0.0)
    # slope 0.4 at t = 1, value 0.5 in the limit
    outer = 0.4 + 0.1 * beyond * 4.0 / (1.0 + beyond * 4.0) * (1 + 1 / np.maximum(4 * (limit - 1.0), 1e-9))
    radius = np.where(t <= 1.0, 0.4 * t, np.minimum(outer, 0.5))
    chart: Array = 0.5 + radius[:, None] * (across / reach[:, None]) * (1.0, -1.0)
    return chart


@lru_cache(maxsize=1)
def _parts() -> list[tuple[str, head_parts.Part]]:
    skin = skin_mesh()
    neck, shoulders = head_parts.neck_and_shoulders(skin)
    return [
        ("sclera", head_parts.eyeballs()),
        ("eyelid", head_parts.lid_margins(skin)),
        ("mouth_inside", head_parts.mouth_bag(skin)),
        ("upper_teeth", head_parts.teeth(upper=True)),
        ("lower_teeth", head_parts.teeth(upper=False)),
        ("tongue", head_parts.tongue()),
        ("ear", head_parts.ears()),
        ("neck", neck),
        ("shoulders", shoulders),
    ]


@lru_cache(maxsize=1)
def topology() -> HeadTopology:
    """The topology of every head; built once a process."""
    skin = skin_mesh()
    count = len(skin.vertices)
    triangles, uv, mirror = [skin.triangles], [chart_of(skin.vertices)], [skin.mirror]
    part = [np.where(skin.lips, PARTS.index("lips"), PARTS.index("skin"))]
    weld = [np.arange(count)]
    ranges = {"skin": (0, count)}
    for name, piece in _parts():
        triangles.append(piece.triangles + count)
        uv.append(piece.uv)
        mirror.append(piece.mirror + count)
        part.append(np.full(len(piece.triangles), PARTS.index(piece.name)))
        own = np.arange(count, count + len(piece.vertices))
        weld.append(np.where(piece.twin >= 0, piece.twin, own))
        ranges[name] = (count, count + len(piece.vertices))
        count += len(piece.vertices)
    _, _, hair_triangles, hair_uv, hair_mirror = head_parts.hair_grid()
    triangles.append(hair_triangles + count)
    uv.append(hair_uv)
    mirror.append(hair_mirror + count)
    part.append(np.full(len(hair_triangles), PARTS.index("hair")))
    weld.append(np.arange(count, count + len(hair_uv)))
    ranges["hair"] = (count, count + len(hair_uv))
    return HeadTopology(
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(part).astype(np.uint8),
        np.concatenate(uv).astype(np.float32),
        skin.landmarks,
        np.concatenate(mirror).astype(np.int32),
        np.concatenate(weld).astype(np.int32),
        ranges,
    )


@lru_cache(maxsize=1)
def mean_vertices() -> Array:
    """(V without hair, 3) of the mean head before the lids are fitted to the eyeball; do not write to it."""
    vertices = np.concatenate([skin_mesh().vertices, *(piece.vertices for _, piece in _parts())])
    _dent_nostrils(vertices)
    return vertices


def _dent_nostrils(vertices: Array) -> None:
    for side in skin_mesh().nostrils:
        inward = np.array([0.0, 0.75, -0.66])
        vertices[side[12:20]] += 0.22 * inward
        vertices[side[20]] += 0.5 * inward


@lru_cache(maxsize=1)
def _fields() -> tuple[NDArray[np.float32], NDArray[np.float32], Array]:
    """Fields of the shape genes at the mean head's vertices and the two eye centres.

    Returns:
        whole (G, V + 2, 3), the effect of a gene on both halves; skew (G, V + 2, 3), of a difference between the right
        and the left half; jowls (V + 2, 3).
    """
    flip = np.array([-1.0, 1.0, 1.0])
    points = np.concatenate([mean_vertices(), [body.EYE_CENTRE * flip, body.EYE_CENTRE]])
    whole, skew = [], []
    for gene in SHAPE_GENES:
        centred = tuple(w for w in WARPS[gene] if w.centre[0] == 0)
        paired = tuple(w for w in WARPS[gene] if w.centre[0] != 0)
        left, right = warp_field(paired, points, (1.0, 0.0)), warp_field(paired, points, (0.0, 1.0))
        whole.append(left + right + warp_field(centred, points))
        skew.append(0.5 * (right - left))
    return np.array(whole, np.float32), np.array(skew, np.float32), warp_field(JOWLS, points)


def mean_head() -> PersonShape:
    """The mean adult head, hairless, with muscles of mean strength."""
    from vultus.world.muscles import AUS

    hair = np.tile(body.CENTRE, (head_parts.HAIR_RINGS * head_parts.HAIR_COLUMNS, 1))
    moved = np.zeros((len(mean_vertices()) + 2, 3))
    return _assemble(moved, hair, 1.0, np.ones(len(AUS), np.float32))


def person_shape(genes: Genes) -> PersonShape:
    """The head that genes, sex, age and chance make; a pure function of `genes`."""
    from vultus.world.muscles import AUS

    whole, skew, jowls = _fields()
    traits = shape_traits(genes).astype(np.float32)
    moved = np.tensordot(traits, whole, 1) + np.tensordot(asymmetry(genes).astype(np.float32), skew, 1)
    moved = moved + sagging(genes) * jowls
    rng = np.random.default_rng(np.random.SeedSequence([genes.seed, 1]))
    gain = np.clip(1.0 + GAIN_SD * rng.standard_normal(len(AUS)), 0.75, 1.25).astype(np.float32)
    hair = hair_vertices(genes)
    for trait, gene in zip(traits, SHAPE_GENES, strict=True):
        if gene.startswith(("skull", "face", "forehead", "cheek", "jaw")):
            hair = hair + trait * warp_field(WARPS[gene], hair)
    return _assemble(moved.astype(np.float64), hair, size(genes), gain)


def _assemble(moved: Array, hair: Array, scale: float, gain: NDArray[np.float32]) -> PersonShape:
    top, skin = topology(), skin_mesh()
    mean = mean_vertices()
    vertices = mean + moved[:-2]
    flip = np.array([-1.0, 1.0, 1.0])
    centres = np.stack([body.EYE_CENTRE * flip, body.EYE_CENTRE]) + moved[-2:]

    rims = vertices[skin.eye_rings[:, 0]] - centres[:, None]
    radius = min(body.EYE_RADIUS, float(np.linalg.norm(rims[:, 3:22], axis=2).mean()) - LID_GAP)
    ball = slice(*top.ranges["sclera"])
    rest = mean[ball].reshape(2, -1, 3) - np.stack([body.EYE_CENTRE * flip, body.EYE_CENTRE])[:, None]
    vertices[ball] = (centres[:, None] + rest * (radius / body.EYE_RADIUS)).reshape(-1, 3)
    for side in (0, 1):
        _lids_outside(vertices, skin.eye_rings[side].ravel(), centres[side], radius + LID_GAP)
        start = top.ranges["eyelid"][0] + side * 3 * EYE_COLUMNS
        rim = vertices[skin.eye_rings[side, 0]]
        out = (rim - centres[side]) / np.linalg.norm(rim - centres[side], axis=1)[:, None]
        for row, distance in enumerate((0.0, radius + 0.005, radius - 0.12)):
            own = slice(start + row * EYE_COLUMNS, start + (row + 1) * EYE_COLUMNS)
            vertices[own] = rim if row == 0 else centres[side] + out * distance
    everything = np.concatenate([vertices, hair])
    everything = scale * everything[top.weld]
    return PersonShape(everything.astype(np.float32), gain, (scale * centres).astype(np.float32), scale * radius, scale)


def _lids_outside(vertices: Array, lids: Index, centre: Array, distance: float) -> None:
    """Push lid vertices, in place, to at least `distance` from the eye's centre."""
    offset = vertices[lids] - centre
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    vertices[lids] = centre + offset * np.maximum(1.0, distance / length)
