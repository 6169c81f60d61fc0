"""A z-buffer rasteriser: triangles to fragments (triangle number, barycentric weights, depth), and mesh normals.

Sampling positions follow `docs/architecture.md` 9: the centre of the first pixel is (0, 0), x right, y down. Everything
is single-threaded numba in a fixed order, so the same input gives the same bits.

Legend: V vertices, T triangles, H W samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.world.compiled import compiled

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

EMPTY = -1
"""Triangle number of a sample that no triangle covers."""


@dataclass(frozen=True)
class Fragments:
    """What the camera sees first at every sample.

    triangle: (H, W) int32, row in the triangle list, `EMPTY` where there is none.
    weights: (H, W, 3) float32, perspective-correct barycentric weights of the triangle's vertices; they add to 1.
    depth: (H, W) float32, distance along the optical axis in cm; infinity where there is nothing.
    """

    triangle: Ints
    weights: Floats
    depth: Floats


def rasterise(
    screen: Floats, triangles: Ints, width: int, height: int, *, near: float = 1.0, cull_back: bool = True
) -> Fragments:
    """Find the nearest triangle at each sample.

    Args:
        screen: (V, 3) float32, x and y in samples, depth in cm along the optical axis (`Camera.project`).
        triangles: (T, 3) int32, counter-clockwise seen from outside in a right-handed world with y up.
        width: samples in a row.
        height: rows.
        near: triangles that reach nearer than this are left out, in cm.
        cull_back: leave out triangles that show their inner side.

    Raises:
        ValueError: a shape is not as above.
    """
    if screen.ndim != 2 or screen.shape[1] != 3:
        raise ValueError(f"screen must be (V, 3), got {screen.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"triangles must be (T, 3), got {triangles.shape}")
    triangle = np.full((height, width), EMPTY, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    inverse = np.zeros((height, width), np.float32)
    _fill(screen, triangles, np.float32(near), cull_back, triangle, weights, inverse)
    depth = np.full((height, width), np.inf, np.float32)
    np.divide(np.float32(1.0), inverse, out=depth, where=inverse > 0)
    return Fragments(triangle, weights, depth)


@compiled
def _fill(
    screen: Floats,
    triangles: Ints,
    near: np.float32,
    cull_back: bool,
    triangle_out: Ints,
    weights_out: Floats,
    inverse_out: Floats,
) -> None:
    height, width = triangle_out.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        if not (za > near and zb > near and zc > near):
            continue
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by = screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        # y points down on the screen: counter-clockwise in the world is a negative area here.
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0 or (cull_back and area > 0.0):
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx))))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx))))
        y0 = max(0, int(np.ceil(min(ay, by, cy))))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy))))
        if x0 > x1 or y0 > y1:
            continue
        scale = np.float32(1.0) / area
        ia, ib, ic = np.float32(1.0) / za, np.float32(1.0) / zb, np.float32(1.0) / zc
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * scale
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * scale
                wc = np.float32(1.0) - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                inverse = wa * ia + wb * ib + wc * ic
                if inverse > inverse_out[y, x]:
                    inverse_out[y, x] = inverse
                    triangle_out[y, x] = t
                    weights_out[y, x, 0] = wa * ia / inverse
                    weights_out[y, x, 1] = wb * ib / inverse
                    weights_out[y, x, 2] = wc * ic / inverse


def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Unit normals: the area-weighted mean of the adjacent triangles' normals.

    Args:
        vertices: (V, 3) float32.
        triangles: (T, 3) int32, counter-clockwise seen from outside.

    Returns:
        (V, 3) float32; a vertex without area around it gets (0, 0, 1).
    """
    normals = np.zeros_like(vertices)
    _accumulate_normals(vertices, triangles, normals)
    return normals


@compiled
def _accumulate_normals(vertices: Floats, triangles: Ints, normals: Floats) -> None:
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2)
        if length > 1e-12:
            normals[i] /= length
        else:
            normals[i, 0], normals[i, 1], normals[i, 2] = 0.0, 0.0, 1.0
