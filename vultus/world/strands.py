"""The look of hair: strands painted on the head's hair shell, and light scattered by them.

Light is scattered by cylinders along the strands (J. T. Kajiya and T. L. Kay, Rendering fur with three dimensional
textures, SIGGRAPH 1989), with two shifted highlights as S. R. Marschner et al. observed (Light scattering from human
hair fibers, SIGGRAPH 2003). The shell is see-through where it is thin over the skin and at its ragged ends, so that the
hairline is soft.

Legend: V vertices, T triangles, A B texture rows (crown to end) and columns (around).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.compiled import compiled
from vultus.world.genes import Genes
from vultus.world.light import Colour, lit_share
from vultus.world.raster import vertex_normals
from vultus.world.shading import Lighting

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

TEXTURE_ROWS, TEXTURE_COLUMNS = 128, 768


class HairSurface(NamedTuple):
    """A posed hair shell, world coordinates in cm.

    positions, normals, tangents: (V, 3), tangents point to the hair's end; uv: (V, 2); triangles: (T, 3).
    texture: (A, B, 2) brightness (1 = mean) and density 0..1; albedo: (3,) linear.
    """

    positions: Floats
    normals: Floats
    tangents: Floats
    uv: Floats
    triangles: Ints
    texture: Floats
    albedo: Floats


class HairLayer(NamedTuple):
    """One layer of hair in a picture.

    colour: (h, w, 3) linear.
    over_solid, over_empty: (h, w) share of the pixel that hair covers over what is drawn already and over nothing. Kept
        apart, edges of the face do not let the background shine through the hair behind them.
    """

    colour: Floats
    over_solid: Floats
    over_empty: Floats


def hair_colour(melanin: float, red: float, grey: float) -> Colour:
    """Linear albedo of hair from its pigments, each 0..1."""
    stops = np.array([0.0, 0.3, 0.6, 1.0])
    colours = np.array([(0.42, 0.28, 0.13), (0.17, 0.092, 0.040), (0.052, 0.028, 0.015), (0.011, 0.009, 0.008)])
    colour = np.array([np.interp(melanin, stops, colours[:, k]) for k in range(3)])
    colour = colour + red * (1 - melanin) * (np.array([0.33, 0.10, 0.03]) - colour)
    colour = colour + grey * (np.array([0.42, 0.41, 0.40]) - colour)
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def paint_strands(genes: Genes) -> Floats:
    """(TEXTURE_ROWS, TEXTURE_COLUMNS, 2) float32: brightness of strands and locks, density that frays at the ends."""
    rng = np.random.default_rng([genes.seed, 0x4A1])
    curl = 1.0 if genes.hair_style == "curly" else float(np.clip(0.25 + 0.25 * genes.trait("hair_curl"), 0, 0.7))

    def noise(rows: int, columns: int) -> Floats:
        coarse = rng.standard_normal((rows, columns)).astype(np.float32)
        wrapped = np.concatenate([coarse, coarse[:, :2]], 1)
        width = TEXTURE_COLUMNS * (columns + 2) // columns
        big = cv2.resize(wrapped, (width, TEXTURE_ROWS), interpolation=cv2.INTER_CUBIC)
        return np.asarray(big[:, :TEXTURE_COLUMNS], np.float32)

    fine, middle, locks, curls = noise(6, 384), noise(5, 160), noise(3, 48), noise(30, 120)
    brightness = 1 + (0.24 - 0.10 * curl) * fine + 0.18 * middle + 0.16 * locks + 0.17 * curl * curls
    v = (np.arange(TEXTURE_ROWS)[:, None] + 0.5) / TEXTURE_ROWS
    frayed = 1.0 if genes.hair_style in ("medium", "bob", "long") else 0.35
    ragged = frayed * (0.030 * fine + 0.030 * middle + 0.02 * locks)
    density = np.clip((0.96 + ragged - v) / 0.06 + 0.5, 0, 1)
    # Tips are darker between locks, and a little lighter where the sun has bleached them.
    brightness = brightness * (1 - 0.25 * v * np.clip(-locks, 0, 1)) * (0.92 + 0.16 * v)
    return np.stack([np.clip(brightness, 0.5, 1.7), density], -1).astype(np.float32)


def comb(vertices: Floats, triangles: Ints, rings: int, columns: int) -> tuple[Floats, Floats]:
    """Normals and strand directions of a hair shell, a ring-by-ring grid.

    Args:
        vertices: (rings * columns, 3).
        triangles: (T, 3).
        rings: from the crown down; rings that coincide take the direction of the last ring before them.
        columns: vertices of a ring.

    Returns:
        two (rings * columns, 3), unit.
    """
    normals = vertex_normals(vertices, triangles).reshape(rings, columns, 3)
    grid = vertices.reshape(rings, columns, 3)
    along = np.asarray(np.gradient(grid, axis=0), np.float32)
    length = np.linalg.norm(along, axis=2)
    ring = np.where(length > 0.02, np.arange(rings)[:, None], 0)
    last = np.maximum.accumulate(ring, axis=0)
    across = np.arange(columns)[None]
    along = along[last, across] / (length[last, across, None] + 1e-9)
    normals = normals[np.maximum(last - (last < np.arange(rings)[:, None]), 0), across]
    return normals.reshape(-1, 3).copy(), along.reshape(-1, 3).astype(np.float32)


@compiled
def shade_hair(
    triangle: Ints,
    weights: Floats,
    depth: Floats,
    behind: Floats,
    surface: HairSurface,
    light: Lighting,
    supersampling: int,
) -> HairLayer:
    """Shade a hair shell where it lies in front of the depths ``behind``.

    Args:
        triangle: (H, W) of the fragments, `raster.EMPTY` for none.
        weights: (H, W, 3) of the fragments.
        depth: (H, W) of the fragments, cm.
        behind: (H, W) depth of what is already drawn, cm.
        surface: the hair.
        light: the lights.
        supersampling: samples a pixel in each direction.
    """
    s = supersampling
    h, w = triangle.shape[0] // s, triangle.shape[1] // s
    colour = np.zeros((h, w, 3), np.float32)
    over_solid = np.zeros((h, w), np.float32)
    over_empty = np.zeros((h, w), np.float32)
    rows, columns = surface.texture.shape[0], surface.texture.shape[1]
    mean = np.zeros(10, np.float32)
    for y in range(h):
        for x in range(w):
            total = 0.0
            mean[:] = 0.0
            for j in range(s):
                for i in range(s):
                    t = triangle[y * s + j, x * s + i]
                    gap = behind[y * s + j, x * s + i] - depth[y * s + j, x * s + i]
                    if t < 0 or gap <= 0.0:
                        continue
                    u, v = 0.0, 0.0
                    first = surface.uv[surface.triangles[t, 0], 0]
                    for k in range(3):
                        corner = surface.triangles[t, k]
                        weight = weights[y * s + j, x * s + i, k]
                        around = surface.uv[corner, 0]
                        # A triangle across the seam has corners near 0 and near 1.
                        if around - first > 0.5:
                            around -= 1.0
                        elif around - first < -0.5:
                            around += 1.0
                        u += weight * around
                        v += weight * surface.uv[corner, 1]
                    row = min(max(int(v * rows), 0), rows - 1)
                    column = int((u + 1.0) * columns) % columns
                    strand = surface.texture[row, column, 0]
                    # Thin hair over skin shows it between the strands.
                    thin = min(max((gap - 0.02) / 0.6 + 0.25 * (strand - 1.0), 0.0), 1.0)
                    thin = thin * thin * (3.0 - 2.0 * thin)
                    alpha = surface.texture[row, column, 1] * thin
                    if alpha <= 0.0:
                        continue
                    total += alpha
                    if np.isinf(behind[y * s + j, x * s + i]):
                        over_empty[y, x] += alpha / (s * s)
                    else:
                        over_solid[y, x] += alpha / (s * s)
                    mean[9] += alpha * strand
                    for k in range(3):
                        corner = surface.triangles[t, k]
                        weight = weights[y * s + j, x * s + i, k] * alpha
                        for n in range(3):
                            mean[n] += weight * surface.positions[corner, n]
                            mean[3 + n] += weight * surface.normals[corner, n]
                            mean[6 + n] += weight * surface.tangents[corner, n]
            if total <= 0.0:
                continue
            for k in range(10):
                mean[k] /= total
            _shade_strand(mean, surface.albedo, light, colour[y, x])
    return HairLayer(colour, over_solid, over_empty)


@compiled
def _shade_strand(point: Floats, albedo: Floats, light: Lighting, out: Floats) -> None:
    """Colour into `out`. `point`: position 0:3, normal 3:6, tangent 6:9, brightness 9."""
    px, py, pz = point[0], point[1], point[2]
    vx, vy, vz = light.camera[0] - px, light.camera[1] - py, light.camera[2] - pz
    length = np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / length, vy / length, vz / length
    nx, ny, nz = point[3], point[4], point[5]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    open_side = 1.0
    if nx * vx + ny * vy + nz * vz < 0.0:
        # The inner side of hanging hair gets little light.
        length, open_side = -length, 0.4
    nx, ny, nz = nx / length, ny / length, nz / length
    tx, ty, tz = point[6], point[7], point[8]
    length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-9
    tx, ty, tz = tx / length, ty / length, tz / length
    strand = point[9]
    shift = 0.35 * (strand - 1.0)
    up = 0.5 + 0.5 * ny
    for k in range(3):
        out[k] = albedo[k] * strand * (light.ground[k] + up * (light.sky[k] - light.ground[k])) * 0.75 * open_side
    for i in range(light.directions.shape[0]):
        lx, ly, lz = light.directions[i, 0], light.directions[i, 1], light.directions[i, 2]
        cosine = nx * lx + ny * ly + nz * lz
        lit = min(max((cosine + 0.25) / 1.25, 0.0), 1.0) * open_side
        if i == 0 and lit > 0.0:
            lit *= lit_share(
                px, py, pz, nx, ny, nz, light.shadow_depth, light.shadow_axes, light.shadow_centre, light.shadow_scale,
            )  # fmt: skip
        along = tx * lx + ty * ly + tz * lz
        spread = np.sqrt(max(1.0 - along * along, 0.0))
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
        first = (tx * hx + ty * hy + tz * hz) / length + 0.10 + shift
        second = (tx * hx + ty * hy + tz * hz) / length - 0.16 + shift
        white = max(1.0 - first * first, 0.0) ** 40 * 0.045
        tinted = max(1.0 - second * second, 0.0) ** 14 * 0.45
        for k in range(3):
            out[k] += light.colours[i, k] * lit * (albedo[k] * strand * (spread * 0.8 + tinted) + white * strand)
