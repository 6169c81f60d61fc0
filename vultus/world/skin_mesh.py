"""The triangle mesh of the outer head: rings around eyes, mouth and nostrils, filled evenly in between.

Everything is laid out on the sphere of directions from `anthropometry.CENTRE`. The half x >= 0 is triangulated
(Delaunay in a stereographic projection from below, where the midline is a straight line and the neck opening is the
outer border) and mirrored, so that the mesh is exactly symmetric.

Flat coordinates `ab` (N, 2): angle from straight ahead times the unit vector of its azimuth, times 10; about 1 cm in
the face.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from vultus.world import anthropometry as body
from vultus.world.anthropometry import Array
from vultus.world.compiled import compiled

Index = NDArray[np.int32]

EYE_COLUMNS = 24
"""Vertices of a lid rim: 0 inner corner, 1..11 upper lid, 12 outer corner, 13..23 lower lid back inwards."""
EYE_STEPS = (0.0, 0.09, 0.2, 0.34, 0.52, 0.75, 1.0)
"""Rings from the lid rim (0) to an ellipse around the eye (1)."""
LIP_COLUMNS = 40
"""Vertices of a lip ring: 0 image-left corner, 1..19 upper lip, 20 image-right corner, 21..39 lower lip back."""
LIP_STEPS = (0.0, 0.28, 0.55, 0.8, 1.0)
"""Rings from the stomion (0) to the vermilion border (1)."""
MOUTH_STEPS = (0.14, 0.34, 0.62, 1.0)
"""Rings from the vermilion border (0) to an ellipse around the mouth (1)."""
NECK_CONE_RAD = np.radians(35.0)
"""The head's surface ends where the angle from straight down is smaller; the neck goes on."""

_NOSTRIL = (0.64, -4.42, 3.62)
_DENSITY = (  # centre, radius within which the spacing holds, spacing (all cm)
    ((0.0, -3.6, 4.2), 1.8, 0.16),
    ((1.7, -3.9, 3.0), 0.9, 0.15),
    ((3.1, 0.3, 1.6), 2.6, 0.28),
    ((0.0, -7.0, 3.3), 3.6, 0.30),
    ((0.0, -10.0, 2.8), 1.5, 0.34),
    ((0.0, 3.5, 2.4), 3.0, 0.42),
)


@dataclass(frozen=True)
class SkinMesh:
    """The outer head on its own.

    Attributes:
        rays: (V, 3) unit directions from `anthropometry.CENTRE`.
        vertices: (V, 3) mean head, cm.
        triangles: (T, 3), counter-clockwise seen from outside.
        lips: (T,) triangle belongs to the red of the lips.
        mirror: (V,) index of the mirrored vertex.
        eye_rings: (2, len(EYE_STEPS), EYE_COLUMNS) image-left and image-right eye; the columns mirror each other.
        lip_rings: (len(LIP_STEPS) + len(MOUTH_STEPS), LIP_COLUMNS).
        neck_ring: (N,) border to the neck, from the front over image right to the back and round.
        nostrils: (2, 21) ring of 12, ring of 8, centre.
        landmarks: (68,) iBUG vertices.
    """

    rays: Array
    vertices: Array
    triangles: Index
    lips: NDArray[np.bool_]
    mirror: Index
    eye_rings: Index
    lip_rings: Index
    neck_ring: Index
    nostrils: Index
    landmarks: Index


def to_flat(rays: Array) -> Array:
    """Directions (N, 3) -> flat coordinates (N, 2)."""
    angle = np.arccos(np.clip(rays[:, 2], -1.0, 1.0))
    across = np.hypot(rays[:, 0], rays[:, 1])
    return 10.0 * rays[:, :2] * (angle / np.maximum(across, 1e-12))[:, None]


def to_rays(flat: Array) -> Array:
    """Flat coordinates (N, 2) -> unit directions (N, 3)."""
    angle = np.linalg.norm(flat, axis=1) / 10.0
    rays: Array = np.c_[flat / 10.0 * np.sinc(angle / np.pi)[:, None], np.cos(angle)]
    return rays


def _flat(points: Array) -> Array:
    return to_flat(body.directions(np.atleast_2d(np.asarray(points, dtype=float))))


def _curve(knots: Array, counts: tuple[int, ...]) -> Array:
    """Smooth curve through 2-D knots (Catmull-Rom, mirrored ends), ``counts[i]`` steps between knots i and i + 1."""
    padded = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    pieces = []
    for i, count in enumerate(counts):
        p0, p1, p2, p3 = padded[i : i + 4]
        t = np.arange(count)[:, None] / count
        pieces.append(p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))))
    return np.concatenate([*pieces, knots[-1:]])


def _eye_flat() -> Array:
    """Flat rings (len(EYE_STEPS), EYE_COLUMNS, 2) of the eye at x > 0."""
    at = body.LANDMARKS_HALF
    upper = _curve(_flat(np.array([at[42], at[43], at[44], at[45]])), (4, 4, 4))
    lower = _curve(_flat(np.array([at[45], at[46], at[47], at[42]])), (4, 4, 4))
    rim = np.concatenate([upper, lower[1:-1]])
    angle = np.pi * (1 - np.arange(EYE_COLUMNS) / 12.0)
    centre = 0.5 * (rim[0] + rim[12]) + np.array([0.0, 0.1])
    outer = centre + np.c_[2.15 * np.cos(angle), np.where(np.sin(angle) > 0, 1.55, 1.5) * np.sin(angle)]
    return np.stack([rim + step * (outer - rim) for step in EYE_STEPS])


def _mouth_flat() -> Array:
    """Flat rings (levels, 21, 2) of the half mouth x >= 0: upper midline ... corner ... lower midline."""
    at = body.LANDMARKS_HALF
    line = _flat(np.array(body.STOMION))
    inner = np.concatenate([_curve(line, (5, 5)), _curve(line, (5, 5))[-2::-1]])
    upper = _curve(_flat(np.array([at[51], at[52], at[53], at[54]])), (3, 4, 3))
    lower = _curve(_flat(np.array([at[57], at[56], at[55], at[54]])), (4, 3, 3))
    border = np.concatenate([upper, lower[-2::-1]])
    angle = np.pi * (0.5 - np.arange(21) / 20.0)
    centre = np.array([0.0, inner[10, 1]])
    outer = centre + np.c_[3.4 * np.cos(angle), np.where(np.sin(angle) > 0, 1.6, 1.75) * np.sin(angle)]
    outer[[0, -1], 0] = 0.0
    lips = [inner + step * (border - inner) for step in LIP_STEPS]
    return np.stack(lips + [border + step * (outer - border) for step in MOUTH_STEPS])


def _spacing(rays: Array) -> Array:
    """Wanted distance between vertices, in radians."""
    points = body.surface(rays)
    points[:, 0] = np.abs(points[:, 0])
    wanted = np.full(len(rays), 1.3)
    for centre, radius, spacing in _DENSITY:
        beyond = np.maximum(0.0, np.linalg.norm(points - centre, axis=1) - radius)
        wanted = np.minimum(wanted, spacing + 0.11 * beyond)
    radians: Array = wanted / np.linalg.norm(points - body.CENTRE, axis=1)
    return radians


@compiled
def _throw(fixed: Array, candidates: Array, spacing: Array, clearance: float) -> NDArray[np.int64]:
    """Indices of the candidates that keep their spacing from the fixed points and from those taken before."""
    taken = np.empty(len(candidates), np.int64)
    count = 0
    for i in range(len(candidates)):
        limit = spacing[i] * spacing[i]
        free = True
        for j in range(len(fixed)):
            gap = 0.0
            for k in range(3):
                gap += (fixed[j, k] - candidates[i, k]) ** 2
            if gap < limit * clearance:
                free = False
                break
        if free:
            for j in range(count):
                gap = 0.0
                for k in range(3):
                    gap += (candidates[taken[j], k] - candidates[i, k]) ** 2
                if gap < limit:
                    free = False
                    break
        if free:
            taken[count] = i
            count += 1
    return taken[:count]


def _fibonacci(count: int) -> Array:
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    rays: Array = np.c_[np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z]
    return rays


def _stereographic(rays: Array) -> Array:
    plane: Array = np.c_[rays[:, 0], -rays[:, 2]] / (1.0 + rays[:, 1])[:, None]
    return plane


def _midline(taken: Array, mouth_top: float, mouth_bottom: float) -> Array:
    """Rays on the midline, spaced as wanted, outside the mouth's rings and where no fixed vertex is near."""
    found: list[Array] = []
    angle = -np.pi / 2 + NECK_CONE_RAD
    end = 1.5 * np.pi - NECK_CONE_RAD
    while angle < end:
        ray = np.array([[0.0, np.sin(angle), np.cos(angle)]])
        step = float(_spacing(ray)[0])
        in_mouth = mouth_bottom < 10.0 * angle < mouth_top
        if not in_mouth and np.linalg.norm(taken - ray, axis=1).min() > 0.62 * step:
            found.append(ray[0])
        angle += step
    return np.array(found)


@lru_cache(maxsize=1)
def skin_mesh() -> SkinMesh:
    """Build the mean head's outer surface (about 4,000 vertices; half a second, once a process)."""
    eye, mouth, at = _eye_flat(), _mouth_flat(), body.LANDMARKS_HALF
    nostril_centre = _flat(np.array([_NOSTRIL]))[0]
    turn12, turn8 = (2 * np.pi * np.arange(n) / n for n in (12, 8))
    tilt = np.array([[0.94, 0.34], [-0.34, 0.94]])  # the long axis points to the tip of the nose
    nostril = np.concatenate(
        [
            nostril_centre + np.c_[0.36 * np.cos(turn12), 0.21 * np.sin(turn12)] @ tilt,
            nostril_centre + np.c_[0.22 * np.cos(turn8), 0.12 * np.sin(turn8)] @ tilt,
            nostril_centre[None],
        ]
    )
    around = np.linspace(0.0, np.pi, 31)
    neck = np.c_[
        np.sin(NECK_CONE_RAD) * np.sin(around),
        np.full(31, -np.cos(NECK_CONE_RAD)),
        np.sin(NECK_CONE_RAD) * np.cos(around),
    ]
    neck[[0, -1], 0] = 0.0
    lone = [*range(8, 17), *range(22, 31), 33, 34, 35]
    blocks = [
        to_rays(eye.reshape(-1, 2)),
        to_rays(mouth.reshape(-1, 2)),
        to_rays(nostril),
        body.directions(np.array([at[i] for i in lone])),
        neck,
    ]
    blocks.append(_midline(np.concatenate(blocks), mouth[-1, 0, 1], mouth[-1, -1, 1]))
    starts = np.cumsum([0, *map(len, blocks)])
    fixed = np.concatenate(blocks)

    # Rings are joined by strips; only the rest, from the outermost rings on, is triangulated by Delaunay.
    eye_right = np.arange(starts[0], starts[1]).reshape(len(EYE_STEPS), EYE_COLUMNS)
    half_rings = np.arange(starts[1], starts[2]).reshape(-1, 21)
    nostril_right = np.arange(starts[2], starts[3])
    strips = np.concatenate(
        [
            _ring_strips(eye_right, fixed, closed=True),
            _ring_strips(half_rings, fixed, closed=False),
            _nostril_cap(nostril_right),
        ]
    )
    hole = np.full(starts[3], -1)
    hole[eye_right[-1]], hole[half_rings[-1]], hole[nostril_right[:12]] = 0, 1, 2
    open_ids = np.concatenate([np.flatnonzero(hole >= 0), np.arange(starts[3], len(fixed))])
    hole = np.concatenate([hole[hole >= 0], np.full(len(fixed) - starts[3], -1)])

    candidates = np.concatenate([_fibonacci(120_000)[:22_000], _fibonacci(12_000)])
    candidates = candidates[(candidates[:, 0] > 0.01) & (candidates[:, 1] > -np.cos(NECK_CONE_RAD + 0.04))]
    openings = (eye[-1], np.concatenate([mouth[-1], [[0.0, mouth[-1, -1, 1]]]]), nostril[:12])
    candidates = candidates[~_inside(openings, to_flat(candidates))]
    spacing = _spacing(candidates)
    order = np.random.default_rng(68).permutation(len(candidates))
    candidates, spacing = candidates[order], spacing[order]
    fill = candidates[_throw(fixed, candidates, spacing, 0.55)]
    border = fixed[open_ids]
    count = len(border)
    triangles = np.empty((0, 3), np.int32)
    for iteration in range(7):
        everything = np.concatenate([border, fill])
        triangles = Delaunay(_stereographic(everything)).simplices.astype(np.int32)
        if iteration == 6:
            break
        total, degree = np.zeros_like(everything), np.zeros(len(everything))
        for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
            np.add.at(total, triangles[:, i], everything[triangles[:, j]])
            np.add.at(degree, triangles[:, i], 1.0)
        relaxed = 0.4 * fill + 0.6 * total[count:] / degree[count:, None]
        relaxed /= np.linalg.norm(relaxed, axis=1, keepdims=True)
        fill = np.where(_inside(openings, to_flat(relaxed))[:, None], fill, relaxed)
    around_hole = np.concatenate([hole, np.full(len(fill), -1)])[triangles]
    triangles = triangles[(around_hole[:, 0] < 0) | (around_hole != around_hole[:, :1]).any(axis=1)]
    triangles = np.concatenate([open_ids, len(fixed) + np.arange(len(fill))])[triangles]
    triangles = np.concatenate([strips, triangles])

    rays = np.concatenate([fixed, fill])
    points = body.surface(rays)
    levels = len(LIP_STEPS) + len(MOUTH_STEPS)
    lip_level = np.full(len(rays), 99)
    lip_level[starts[1] : starts[2]] = np.repeat(np.arange(levels), 21)
    lips = (lip_level[triangles] < len(LIP_STEPS)).all(axis=1)

    midline = np.abs(rays[:, 0]) < 1e-9
    other = np.full(len(rays), -1)
    other[midline] = np.flatnonzero(midline)
    other[~midline] = len(rays) + np.arange((~midline).sum())
    flip = np.array([-1.0, 1.0, 1.0])
    points[midline, 0] = 0.0
    all_rays = np.concatenate([rays, rays[~midline] * flip])
    all_points = np.concatenate([points, points[~midline] * flip])
    mirror = np.concatenate([other, np.flatnonzero(~midline)]).astype(np.int32)
    all_triangles = np.concatenate([triangles, other[triangles]])
    _orient(all_triangles, all_rays)

    lip_rings = np.concatenate([mirror[half_rings[:, 10:0:-1]], half_rings, mirror[half_rings[:, 19:10:-1]]], axis=1)
    # columns so far: left corner ... upper midline ... right corner ... lower midline ... (left corner)
    landmarks = np.empty(68, np.int32)
    for i, number in enumerate(lone):
        landmarks[number] = starts[3] + i
    for number, column in zip((42, 43, 44, 45, 46, 47), (0, 4, 8, 12, 16, 20), strict=True):
        landmarks[number] = eye_right[0, column]
    for number, column in zip((51, 52, 53, 54, 55, 56, 57), (0, 3, 7, 10, 13, 16, 20), strict=True):
        landmarks[number] = half_rings[len(LIP_STEPS) - 1, column]
    for number, column in zip((62, 63, 64, 65, 66), (0, 5, 10, 15, 20), strict=True):
        landmarks[number] = half_rings[0, column]
    right = {*lone, *range(42, 48), *range(51, 58), *range(62, 67)}
    for number in right:
        landmarks[body.IBUG_MIRROR[number]] = mirror[landmarks[number]]
    neck_right = np.arange(starts[4], starts[5])
    return SkinMesh(
        rays=all_rays,
        vertices=all_points,
        triangles=all_triangles.astype(np.int32),
        lips=np.concatenate([lips, lips]),
        mirror=mirror,
        eye_rings=np.stack([mirror[eye_right], eye_right]).astype(np.int32),
        lip_rings=lip_rings.astype(np.int32),
        neck_ring=np.concatenate([neck_right, mirror[neck_right[-2:0:-1]]]).astype(np.int32),
        nostrils=np.stack([mirror[nostril_right], nostril_right]).astype(np.int32),
        landmarks=landmarks,
    )


def _ring_strips(rings: NDArray[np.int64], rays: Array, closed: bool) -> NDArray[np.int64]:
    """Two triangles a quad between neighbouring rings (levels, columns), cut along the shorter diagonal."""
    after = np.roll(rings, -1, axis=1) if closed else rings[:, 1:]
    before = rings if closed else rings[:, :-1]
    a, b, c, d = (part.ravel() for part in (before[:-1], after[:-1], before[1:], after[1:]))
    first = np.linalg.norm(rays[a] - rays[d], axis=1) < np.linalg.norm(rays[b] - rays[c], axis=1)
    return np.concatenate(
        [
            np.where(first[:, None], np.c_[a, c, d], np.c_[a, c, b]),
            np.where(first[:, None], np.c_[a, d, b], np.c_[b, c, d]),
        ]
    )


def _nostril_cap(nostril: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ring of 12 to ring of 8 to the centre."""
    outer, inner, centre = nostril[:12], nostril[12:20], nostril[20]
    triangles = [(inner[i], inner[(i + 1) % 8], centre) for i in range(8)]
    for i in range(4):  # three outer steps against two inner ones
        o = [outer[(3 * i + k) % 12] for k in range(4)]
        n = [inner[(2 * i + k) % 8] for k in range(3)]
        triangles += [
            (o[0], o[1], n[0]),
            (o[1], n[1], n[0]),
            (o[1], o[2], n[1]),
            (o[2], n[2], n[1]),
            (o[2], o[3], n[2]),
        ]
    return np.array(triangles)


def _inside(polygons: Iterable[Array], points: Array) -> NDArray[np.bool_]:
    """Which of the points (N, 2) lie inside one of the closed polygons (M, 2), or so near one of its edges that a
    Delaunay triangulation would leave the edge out.
    """
    inside = np.zeros(len(points), bool)
    y = points[:, 1, None]
    for start in polygons:
        end = np.roll(start, -1, axis=0)
        crosses = (start[:, 1] > y) != (end[:, 1] > y)
        rise = np.where(end[:, 1] == start[:, 1], 1.0, end[:, 1] - start[:, 1])
        at = start[:, 0] + (y - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
        inside |= ((crosses & (points[:, 0, None] < at)).sum(axis=1) % 2).astype(bool)
        length = np.linalg.norm(end - start, axis=1)
        edge = (length > 0) & (np.abs(start[:, 0] + end[:, 0]) > 1e-9)
        away = np.linalg.norm(points[:, None] - 0.5 * (start + end)[edge], axis=2)
        inside |= (away < 0.65 * length[edge]).any(axis=1)
    return inside


def _orient(triangles: Index, rays: Array) -> None:
    """Turn triangles, in place, so that they are counter-clockwise seen from outside."""
    a, b, c = (rays[triangles[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    triangles[inward] = triangles[inward][:, [0, 2, 1]]
