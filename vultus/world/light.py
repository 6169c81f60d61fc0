"""Light: where it comes from, the key light's shadow map, and ambient occlusion of a head.

Legend: V vertices, T triangles, S side of a shadow map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.world.compiled import compiled
from vultus.world.raster import rasterise

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Colour = tuple[float, float, float]

SHADOW_SIDE = 192
SHADOW_REACH_CM = 19.0
"""Half side of what a shadow map covers around its centre; what lies outside is lit."""
RECEIVER_OFFSET_CM = 0.30
"""A point looks for its shadow this far above its surface, so that a surface does not shade itself."""
SHADOW_FAR = 200.0
"""Depth in cm of the empty part of a shadow map; the light's camera stands 100 cm from the head's centre."""


@dataclass(frozen=True)
class Light:
    """The light of a clip; colours are linear, 1 = a white surface facing the light is rendered white.

    key_direction: unit vector from the face to the key light (world axes).
    key_colour, fill_colour: of the two directional lights; only the key casts shadows.
    fill_direction: unit vector to the fill light.
    sky_colour, ground_colour: ambient light from above and from below.
    """

    key_direction: Colour = (-0.35, 0.45, 0.82)
    key_colour: Colour = (0.85, 0.82, 0.78)
    fill_direction: Colour = (0.6, 0.1, 0.79)
    fill_colour: Colour = (0.18, 0.19, 0.21)
    sky_colour: Colour = (0.36, 0.37, 0.40)
    ground_colour: Colour = (0.18, 0.16, 0.15)


@dataclass(frozen=True)
class ShadowMap:
    """Depths seen from the light.

    depth: (S, S) float32 cm.
    axes: (3, 3) float32, rows: right, up, towards the light.
    centre: (3,) float32 world point in the middle of the map, cm.
    texels_per_cm: resolution of the map.
    """

    depth: Floats
    axes: Floats
    centre: Floats
    texels_per_cm: float


def frame_towards(direction: npt.NDArray[np.float32] | Colour) -> Floats:
    """Rows right, up, towards: an orthonormal frame whose last row is `direction` (need not be unit)."""
    towards = np.asarray(direction, np.float64)
    towards = towards / np.linalg.norm(towards)
    helper = np.array([0.0, 1.0, 0.0]) if abs(towards[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(helper, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards]).astype(np.float32)


def shadow_map(
    vertices: Floats,
    triangles: Ints,
    direction: npt.NDArray[np.float32] | Colour,
    side: int = SHADOW_SIDE,
    centre: npt.NDArray[np.float32] | None = None,
    reach_cm: float = np.inf,
) -> ShadowMap:
    """Depth picture of the mesh from a distant light.

    Args:
        vertices: (V, 3) world, cm.
        triangles: (T, 3).
        direction: (3,) from the mesh to the light.
        side: texels in each direction.
        centre: (3,) middle of the map; the middle of the mesh unless given.
        reach_cm: the map covers at most this far from the centre.
    """
    axes = frame_towards(direction)
    if centre is None:
        centre = ((vertices.min(0) + vertices.max(0)) / 2).astype(np.float32)
    local = (vertices - centre) @ axes.T
    scale = (side / 2 - 2) / min(max(float(np.abs(local[:, :2]).max()), 1e-3), reach_cm)
    screen = np.stack(
        [side / 2 - 0.5 + local[:, 0] * scale, side / 2 - 0.5 - local[:, 1] * scale, 100.0 - local[:, 2]], 1
    ).astype(np.float32)
    # Sheets (hair, a mask) shade from both sides.
    depth = rasterise(screen, triangles, side, side, cull_back=False).depth
    return ShadowMap(np.minimum(depth, np.float32(SHADOW_FAR)), axes, centre, scale)


def ambient_occlusion(vertices: Floats, normals: Floats, triangles: Ints, directions: int = 64) -> Floats:
    """How much of the ambient light reaches each vertex: the cosine-weighted share of free directions.

    Args:
        vertices: (V, 3) cm.
        normals: (V, 3) unit.
        triangles: (T, 3).
        directions: how many directions of the sphere are looked along (a golden-angle spiral).

    Returns:
        (V,) float32 in 0..1.
    """
    index = np.arange(directions) + 0.5
    height = 1 - 2 * index / directions
    angle = np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    spiral = np.stack([flat * np.cos(angle), height, flat * np.sin(angle)], 1).astype(np.float32)
    free: Floats = np.zeros(len(vertices), np.float32)
    total: Floats = np.zeros(len(vertices), np.float32)
    for direction in spiral:
        cosine = np.maximum(normals @ direction, 0)
        view = shadow_map(vertices, triangles, direction, side=128)
        local = (vertices - view.centre) @ view.axes.T
        column = np.clip(np.rint(64 - 0.5 + local[:, 0] * view.texels_per_cm).astype(np.int64), 0, 127)
        row = np.clip(np.rint(64 - 0.5 - local[:, 1] * view.texels_per_cm).astype(np.int64), 0, 127)
        depth = 100.0 - local[:, 2]
        slack = 0.35 + 0.5 * np.sqrt(np.maximum(1 - cosine**2, 0))
        lit = depth < view.depth[row, column] + slack
        free += np.asarray(np.where(lit, cosine, 0), np.float32)
        total += np.asarray(cosine, np.float32)
    return np.asarray(free / np.maximum(total, 1e-6), np.float32)


@compiled
def lit_share(
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    depth: Floats,
    axes: Floats,
    centre: Floats,
    texels_per_cm: float,
) -> float:
    """Share of the key light at a world point with unit normal, 0..1: sixteen taps, blended bilinearly at the edges."""
    side = depth.shape[0]
    slope = max(axes[2, 0] * nx + axes[2, 1] * ny + axes[2, 2] * nz, 0.0)
    lift = RECEIVER_OFFSET_CM + 2.2 * (1.0 - slope) / texels_per_cm
    dx, dy, dz = x + lift * nx - centre[0], y + lift * ny - centre[1], z + lift * nz - centre[2]
    u = side / 2 - 0.5 + (axes[0, 0] * dx + axes[0, 1] * dy + axes[0, 2] * dz) * texels_per_cm
    v = side / 2 - 0.5 - (axes[1, 0] * dx + axes[1, 1] * dy + axes[1, 2] * dz) * texels_per_cm
    here = 99.9 - (axes[2, 0] * dx + axes[2, 1] * dy + axes[2, 2] * dz)
    iu, iv = int(np.floor(u)), int(np.floor(v))
    fu, fv = u - iu, v - iv
    if iu < 1 or iv < 1 or iu >= side - 2 or iv >= side - 2:
        return 1.0
    lit = 0.0
    for row in range(-1, 3):
        wr = 1.0 - fv if row == -1 else (fv if row == 2 else 1.0)
        for column in range(-1, 3):
            wc = 1.0 - fu if column == -1 else (fu if column == 2 else 1.0)
            if here < depth[iv + row, iu + column]:
                lit += wr * wc
    return lit / 9.0
