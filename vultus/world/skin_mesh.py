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
_LONE_LANDMARKS = (*range(8, 17), *range(22, 31), 33, 34, 35)
"""iBUG points at x >= 0 that lie on no ring."""
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


def _nostril_flat() -> Array:
    """Flat points (21, 2) of the nostril at x > 0: ring of 12, ring of 8, centre; the long axis points to the tip."""
    centre = _flat(np.array([_NOSTRIL]))[0]
    turn12, turn8 = (2 * np.pi * np.arange(n) / n for n in (12, 8))
    tilt = np.array([[0.94, 0.34], [-0.34, 0.94]])
    outer = centre + np.c_[0.36 * np.cos(turn12), 0.21 * np.sin(turn12)] @ tilt
    inner = centre + np.c_[0.22 * np.cos(turn8), 0.12 * np.sin(turn8)] @ tilt
    points: Array = np.concatenate([outer, inner, centre[None]])
    return points


def _neck_rays() -> Array:
    """Rays (31, 3) of the neck's border at x >= 0, from the front to the back."""
    around = np.linspace(0.0, np.pi, 31)
    across, down = np.sin(NECK_CONE_RAD), np.cos(NECK_CONE_RAD)
    rays: Array = np.c_[across * np.sin(around), np.full(31, -down), across * np.cos(around)]
    rays[[0, -1], 0] = 0.0
    return rays


@dataclass(frozen=True)
class _Half:
    """The half x >= 0: rays, triangles, and where its features are among them."""

    rays: Array
    triangles: NDArray[np.int64]
    eye: NDArray[np.int64]
    mouth: NDArray[np.int64]
    nostril: NDArray[np.int64]
    lone: NDArray[np.int64]
    neck: NDArray[np.int64]


def _half_mesh() -> _Half:
    eye, mouth, nostril, at = _eye_flat(), _mouth_flat(), _nostril_flat(), body.LANDMARKS_HALF
    blocks = [
        to_rays(eye.reshape(-1, 2)),
        to_rays(mouth.reshape(-1, 2)),
        to_rays(nostril),
        body.directions(np.array([at[number] for number in _LONE_LANDMARKS])),
        _neck_rays(),
    ]
    blocks.append(_midline(np.concatenate(blocks), mouth[-1, 0, 1], mouth[-1, -1, 1]))
    fixed = np.concatenate(blocks)
    eye_ids, mouth_ids, nostril_ids, lone_ids, neck_ids, _ = np.split(
        np.arange(len(fixed)), np.cumsum([len(block) for block in blocks[:-1]])
    )
    eye_rings, mouth_rings = eye_ids.reshape(eye.shape[:2]), mouth_ids.reshape(mouth.shape[:2])
    # Rings are joined by strips; only the rest, from the outermost rings on, is triangulated by Delaunay.
    strips = np.concatenate([
        _ring_strips(eye_rings, fixed, closed=True),
        _ring_strips(mouth_rings, fixed, closed=False),
        _nostril_cap(nostril_ids),
    ])  # fmt: skip
    outermost = (eye_rings[-1], mouth_rings[-1], nostril_ids[:12])
    openings = (eye[-1], np.concatenate([mouth[-1], [[0.0, mouth[-1, -1, 1]]]]), nostril[:12])
    fill = _fill(fixed, np.concatenate([*outermost, np.arange(lone_ids[0], len(fixed))]), openings)
    fill_ids = len(fixed) + np.arange(len(fill))
    rays = np.concatenate([fixed, fill])
    open_ids = np.concatenate([*outermost, np.arange(lone_ids[0], len(fixed)), fill_ids])
    triangles = open_ids[Delaunay(_stereographic(rays[open_ids])).simplices]
    opening = np.full(len(rays), -1)
    for number, ring in enumerate(outermost):
        opening[ring] = number
    around = opening[triangles]
    in_opening = (around[:, 0] >= 0) & (around == around[:, :1]).all(axis=1)
    triangles = np.concatenate([strips, triangles[~in_opening]])
    return _Half(rays, triangles, eye_rings, mouth_rings, nostril_ids, lone_ids, neck_ids)


def _fill(fixed: Array, border_ids: NDArray[np.int64], openings: tuple[Array, ...]) -> Array:
    """Rays spread as `_spacing` wants between the fixed ones: dart throwing, then six steps of Laplacian smoothing."""
    candidates = np.concatenate([_fibonacci(120_000)[:22_000], _fibonacci(12_000)])
    candidates = candidates[(candidates[:, 0] > 0.01) & (candidates[:, 1] > -np.cos(NECK_CONE_RAD + 0.04))]
    candidates = candidates[~_inside(openings, to_flat(candidates))]
    candidates = np.random.default_rng(68).permutation(candidates)
    fill: Array = candidates[_throw(fixed, candidates, _spacing(candidates), 0.55)]
    border = fixed[border_ids]
    for _ in range(6):
        everything = np.concatenate([border, fill])
        triangles = Delaunay(_stereographic(everything)).simplices
        total, degree = np.zeros_like(everything), np.zeros(len(everything))
        for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
            np.add.at(total, triangles[:, i], everything[triangles[:, j]])
            np.add.at(degree, triangles[:, i], 1.0)
        relaxed = 0.4 * fill + 0.6 * (total / degree[:, None])[len(border) :]
        relaxed /= np.linalg.norm(relaxed, axis=1, keepdims=True)
        fill = np.where(_inside(openings, to_flat(relaxed))[:, None], fill, relaxed)
    return fill


def _landmarks(half: _Half, mirror: Index) -> Index:
    """The 68 vertices: lone ones, and columns of the rim of the eye, the vermilion border and the stomion."""
    rim, border, stomion = half.eye[0], half.mouth[len(LIP_STEPS) - 1], half.mouth[0]
    right = dict(zip(_LONE_LANDMARKS, half.lone, strict=True))
    right |= zip((42, 43, 44, 45, 46, 47), rim[[0, 4, 8, 12, 16, 20]], strict=True)
    right |= zip((51, 52, 53, 54, 55, 56, 57), border[[0, 3, 7, 10, 13, 16, 20]], strict=True)
    right |= zip((62, 63, 64, 65, 66), stomion[[0, 5, 10, 15, 20]], strict=True)
    landmarks = np.empty(68, np.int32)
    for number, vertex in right.items():
        landmarks[number] = vertex
        landmarks[body.IBUG_MIRROR[number]] = mirror[vertex]
    return landmarks


@lru_cache(maxsize=1)
def skin_mesh() -> SkinMesh:
    """Build the mean head's outer surface (about 2,400 vertices; half a second, once a process)."""
    half = _half_mesh()
    count = len(half.rays)
    midline = np.abs(half.rays[:, 0]) < 1e-9
    other = np.full(count, -1)
    other[midline] = np.flatnonzero(midline)
    other[~midline] = count + np.arange((~midline).sum())
    mirror = np.concatenate([other, np.flatnonzero(~midline)]).astype(np.int32)

    flip = np.array([-1.0, 1.0, 1.0])
    points = body.surface(half.rays)
    points[midline, 0] = 0.0
    rays = np.concatenate([half.rays, half.rays[~midline] * flip])
    triangles = np.concatenate([half.triangles, other[half.triangles]]).astype(np.int32)
    _orient(triangles, rays)

    on_lips = np.zeros(count, bool)
    on_lips[half.mouth[: len(LIP_STEPS)]] = True
    lips = on_lips[half.triangles].all(axis=1)
    upper, lower = half.mouth[:, 10:0:-1], half.mouth[:, 19:10:-1]
    return SkinMesh(
        rays=rays,
        vertices=np.concatenate([points, points[~midline] * flip]),
        triangles=triangles,
        lips=np.concatenate([lips, lips]),
        mirror=mirror,
        eye_rings=np.stack([mirror[half.eye], half.eye]).astype(np.int32),
        # image-left corner, upper lip, image-right corner, lower lip
        lip_rings=np.concatenate([mirror[upper], half.mouth, mirror[lower]], axis=1).astype(np.int32),
        neck_ring=np.concatenate([half.neck, mirror[half.neck[-2:0:-1]]]).astype(np.int32),
        nostrils=np.stack([mirror[half.nostril], half.nostril]).astype(np.int32),
        landmarks=_landmarks(half, mirror),
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
