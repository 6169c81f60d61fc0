"""The colour of a pixel: skin, lips, eyes, mouth, cloth and glass under a key, a fill and ambient light.

All colours are linear. Skin follows the usual recipe of real-time rendering, in its plainest form: diffuse light that
wraps around the terminator more in red than in blue (light that travelled under the skin), two specular lobes with
Schlick's Fresnel term, a bump map for pores and wrinkles that bends blue and green more than red, ambient light weighed
by occlusion. Pixels inside one surface are shaded once; pixels on an edge are shaded at each of their samples.

Legend: V vertices, T triangles, S side of the chart, h w pixels, H W samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vultus.world.anthropometry import IRIS_RADIUS
from vultus.world.compiled import compiled, inlined
from vultus.world.head_parts import GUM_V
from vultus.world.head_parts import TEETH as TEETH_IN_ROW
from vultus.world.light import lit_share

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

SKIN, LIPS, MOUTH, TEETH, TONGUE, SCLERA, EYELID, EAR, NECK, HAIR, SHOULDERS, GLASSES, HAND, MASK, LOCK = range(15)
"""Codes of `Frame.mask`: `head.PARTS`, then what can lie over the face."""
BACKGROUND = 255

CHANNELS = 6
"""Of the skin chart: albedo r g b, slope of the relief along u and v in cm a unit, gloss."""


class Surface(NamedTuple):
    """A posed mesh ready to be shaded, world coordinates in cm.

    positions, normals, albedo: (V, 3); occlusion, gloss: (V,); uv: (V, 2).
    triangles: (T, 3); part: (T,); slopes: (T, 6) gradients of u and of v along the surface.
    """

    positions: Floats
    normals: Floats
    albedo: Floats
    occlusion: Floats
    gloss: Floats
    uv: Floats
    triangles: Ints
    part: Bytes
    slopes: Floats


class Lighting(NamedTuple):
    """camera: (3,) position; directions, colours: (L, 3), the first one casts the shadow map's shadows."""

    camera: Floats
    directions: Floats
    colours: Floats
    sky: Floats
    ground: Floats
    shadow_depth: Floats
    shadow_axes: Floats
    shadow_centre: Floats
    shadow_scale: float


class Eyes(NamedTuple):
    """Both eyes, image left first.

    centre, gaze, up: (2, 3) world; iris: (R, A, 3) albedo over radius (0..1.15 iris radii) and angle.
    lids: (2, 4, 3) upper lid margin in the world from image-left corner to image-right corner.
    pupil: pupil radius as a share of the iris radius; radius: of the eyeball, cm.
    """

    centre: Floats
    gaze: Floats
    up: Floats
    iris: Floats
    lids: Floats
    pupil: float
    radius: float


class Mouth(NamedTuple):
    """Where light enters the mouth: centre between the lips, direction the lips face, gap between the lips in cm."""

    centre: Floats
    forward: Floats
    gap: float


@compiled
def chart_slopes(positions: Floats, uv: Floats, triangles: Ints) -> Floats:
    """Surface gradients (per cm, world axes) of u and of v on each triangle: (T, 6) float32."""
    slopes = np.zeros((triangles.shape[0], 6), np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            positions[b, 0] - positions[a, 0],
            positions[b, 1] - positions[a, 1],
            positions[b, 2] - positions[a, 2],
        )
        vx, vy, vz = (
            positions[c, 0] - positions[a, 0],
            positions[c, 1] - positions[a, 1],
            positions[c, 2] - positions[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        area = nx * nx + ny * ny + nz * nz
        if area < 1e-12:
            continue
        for k in range(2):
            d1 = (uv[b, k] - uv[a, k]) / area
            d2 = (uv[c, k] - uv[a, k]) / area
            slopes[t, 3 * k] = d1 * (vy * nz - vz * ny) + d2 * (ny * uz - nz * uy)
            slopes[t, 3 * k + 1] = d1 * (vz * nx - vx * nz) + d2 * (nz * ux - nx * uz)
            slopes[t, 3 * k + 2] = d1 * (vx * ny - vy * nx) + d2 * (nx * uy - ny * ux)
    return slopes


@inlined
def _bilinear(chart: Floats, u: float, v: float, out: Floats) -> None:
    side = chart.shape[0]
    x = min(max(u, 0.0), 1.0) * (side - 1)
    y = min(max(v, 0.0), 1.0) * (side - 1)
    ix, iy = min(int(x), side - 2), min(int(y), side - 2)
    fx, fy = np.float32(x - ix), np.float32(y - iy)
    w00, w01 = (1 - fx) * (1 - fy), fx * (1 - fy)
    w10, w11 = (1 - fx) * fy, fx * fy
    for k in range(chart.shape[2]):
        out[k] = (
            w00 * chart[iy, ix, k]
            + w01 * chart[iy, ix + 1, k]
            + w10 * chart[iy + 1, ix, k]
            + w11 * chart[iy + 1, ix + 1, k]
        )


@inlined
def _smooth(low: float, high: float, x: float) -> float:
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@inlined
def _eye_albedo(px: float, py: float, pz: float, eyes: Eyes, out: Floats, bent: Floats) -> float:
    """Albedo of the eyeball at a world point into `out`, the cornea's normal into `bent`; returns the wetness."""
    near, best = 0, 1e9
    for e in range(2):
        d = (px - eyes.centre[e, 0]) ** 2 + (py - eyes.centre[e, 1]) ** 2 + (pz - eyes.centre[e, 2]) ** 2
        if d < best:
            near, best = e, d
    radius = np.sqrt(best)
    dx = (px - eyes.centre[near, 0]) / radius
    dy = (py - eyes.centre[near, 1]) / radius
    dz = (pz - eyes.centre[near, 2]) / radius
    gx, gy, gz = eyes.gaze[near, 0], eyes.gaze[near, 1], eyes.gaze[near, 2]
    along = dx * gx + dy * gy + dz * gz
    sx, sy, sz = dx - along * gx, dy - along * gy, dz - along * gz
    off = np.sqrt(sx * sx + sy * sy + sz * sz) * eyes.radius / IRIS_RADIUS
    if along < 0.0:
        off = 9.0
    # The cornea is a smaller sphere that bulges out over the iris.
    bulge = 0.9 * (1.0 - _smooth(0.8, 1.5, off))
    bent[0], bent[1], bent[2] = dx + bulge * sx, dy + bulge * sy, dz + bulge * sz
    length = np.sqrt(bent[0] ** 2 + bent[1] ** 2 + bent[2] ** 2)
    for k in range(3):
        bent[k] /= length
    # White with a little red towards the corners and at the back.
    red = _smooth(1.0, 2.0, off)
    out[0], out[1], out[2] = 0.52 - 0.02 * red, 0.48 - 0.13 * red, 0.45 - 0.15 * red
    if off < 1.15:
        uy0, uy1, uy2 = eyes.up[near, 0], eyes.up[near, 1], eyes.up[near, 2]
        rise = sx * uy0 + sy * uy1 + sz * uy2
        cx, cy, cz = uy1 * gz - uy2 * gy, uy2 * gx - uy0 * gz, uy0 * gy - uy1 * gx
        side = sx * cx + sy * cy + sz * cz
        turn = np.arctan2(rise, side) / (2 * np.pi) + 0.5
        rings, sectors = eyes.iris.shape[0], eyes.iris.shape[1]
        ring = min(int(off / 1.15 * rings), rings - 1)
        sector = min(int(turn * sectors), sectors - 1)
        edge = 1.0 - _smooth(0.92, 1.1, off)
        hole = _smooth(eyes.pupil - 0.07, eyes.pupil + 0.07, off)
        for k in range(3):
            out[k] += edge * (eyes.iris[ring, sector, k] * hole + 0.004 * (1 - hole) - out[k])
    # The upper lid and its lashes keep light off the eye just below them.
    shade = 1.0
    for i in range(3):
        x0, x1 = eyes.lids[near, i, 0], eyes.lids[near, i + 1, 0]
        if (px - x0) * (px - x1) <= 0.0 and x0 != x1:
            f = (px - x0) / (x1 - x0)
            margin = eyes.lids[near, i, 1] + f * (eyes.lids[near, i + 1, 1] - eyes.lids[near, i, 1])
            shade = 0.30 + 0.70 * _smooth(-0.02, 0.42, margin - py)
    for k in range(3):
        out[k] *= shade
    return 0.35 + 0.65 * shade


@inlined
def _shade(
    part: int,
    point: Floats,
    surface: Surface,
    triangle: int,
    chart: Floats,
    light: Lighting,
    eyes: Eyes,
    mouth: Mouth,
    texel: Floats,
    bent: Floats,
    out: Floats,
) -> None:
    """Colour into `out`. `point`: position 0:3, normal 3:6, uv 6:8, occlusion 8, gloss 9, albedo 10:13."""
    px, py, pz = point[0], point[1], point[2]
    nx, ny, nz = point[3], point[4], point[5]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    bx, by, bz = nx, ny, nz
    red, green, blue = point[10], point[11], point[12]
    occlusion, gloss, wrap, polish = point[8], point[9], 0.10, 24
    skin = part in (SKIN, LIPS, EYELID, EAR, NECK, HAND)
    if part in (SKIN, LIPS):
        _bilinear(chart, point[6], point[7], texel)
        red, green, blue, gloss = texel[0], texel[1], texel[2], texel[5]
        s = surface.slopes[triangle]
        bx -= texel[3] * s[0] + texel[4] * s[3]
        by -= texel[3] * s[1] + texel[4] * s[4]
        bz -= texel[3] * s[2] + texel[4] * s[5]
        length = np.sqrt(bx * bx + by * by + bz * bz) + 1e-9
        bx, by, bz = bx / length, by / length, bz / length
    elif part == SCLERA:
        gloss = 2.2 * _eye_albedo(px, py, pz, eyes, texel, bent)
        red, green, blue = texel[0], texel[1], texel[2]
        bx, by, bz = bent[0], bent[1], bent[2]
        polish = 160
        occlusion = 0.35 + 0.65 * occlusion
    elif part in (MOUTH, TEETH, TONGUE):
        depth = (
            (mouth.centre[0] - px) * mouth.forward[0]
            + (mouth.centre[1] - py) * mouth.forward[1]
            + (mouth.centre[2] - pz) * mouth.forward[2]
        )
        reach = 0.5 + 0.55 * mouth.gap
        occlusion = np.exp(-max(depth - 0.25, 0.0) / reach) * _smooth(-0.25, 0.6, mouth.gap)
        polish = 60
        if part == TEETH:
            # Each tooth is rounded, with a dark gap to the next one and a translucent edge.
            within = (point[6] * TEETH_IN_ROW) % 1.0 - 0.5
            crown = _smooth(GUM_V - 0.05, GUM_V + 0.08, point[7])
            gap = crown * _smooth(0.34, 0.5, abs(within))
            red, green, blue = red * (1.0 - 0.32 * gap), green * (1.0 - 0.42 * gap), blue * (1.0 - 0.46 * gap)
            bx += 0.9 * crown * within * mouth.forward[2]
            length = np.sqrt(bx * bx + by * by + bz * bz) + 1e-9
            bx, by, bz = bx / length, by / length, bz / length
            occlusion = occlusion**0.6
        # Light inside the mouth has bounced off red walls.
        red, green, blue = (
            red * (0.75 + 0.25 * occlusion),
            green * occlusion**0.35 * 0.95,
            blue * occlusion**0.45 * 0.92,
        )
    vx, vy, vz = light.camera[0] - px, light.camera[1] - py, light.camera[2] - pz
    length = np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / length, vy / length, vz / length
    facing = max(bx * vx + by * vy + bz * vz, 0.0)
    inside = part in (MOUTH, TEETH, TONGUE)
    r, g, b = 0.0, 0.0, 0.0
    shine_r, shine_g, shine_b = 0.0, 0.0, 0.0
    for i in range(light.directions.shape[0]):
        lx, ly, lz = light.directions[i, 0], light.directions[i, 1], light.directions[i, 2]
        smooth_cosine = nx * lx + ny * ly + nz * lz
        cosine = bx * lx + by * ly + bz * lz
        lit = 1.0
        if inside:
            lit = occlusion
        elif i == 0 and smooth_cosine > -0.3:
            lit = lit_share(
                px, py, pz, nx, ny, nz, light.shadow_depth, light.shadow_axes, light.shadow_centre, light.shadow_scale,
            )  # fmt: skip
        elif part != SCLERA:
            lit = 0.45 + 0.55 * occlusion
        if skin:
            # Red light wanders furthest below the surface: it wraps further and sees a smoother relief.
            cosine_r = 0.5 * (smooth_cosine + cosine)
            dr = max(0.0, (cosine_r + 0.30) / 1.30) * (0.08 + 0.92 * lit)
            dg = max(0.0, (cosine + 0.14) / 1.14) * (0.02 + 0.98 * lit * (0.6 + 0.4 * lit))
            db = max(0.0, (cosine + 0.09) / 1.09) * lit * (0.5 + 0.5 * lit)
        else:
            dr = max(0.0, (cosine + wrap) / (1.0 + wrap)) * lit
            dg, db = dr, dr
        r += light.colours[i, 0] * dr
        g += light.colours[i, 1] * dg
        b += light.colours[i, 2] * db
        if gloss > 0.0 and cosine > 0.0 and lit > 0.0:
            hx, hy, hz = lx + vx, ly + vy, lz + vz
            length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
            half = max((bx * hx + by * hy + bz * hz) / length, 0.0)
            fresnel = 0.028 + 0.972 * (1.0 - max((vx * hx + vy * hy + vz * hz) / length, 0.0)) ** 5
            if part == SCLERA:
                lobe = half**polish * 22.0
            elif part == LIPS:
                lobe = half**18 * 1.2 + half**90 * 4.0
            else:
                lobe = half**10 * 1.8 + half**polish * 5.0
            amount = gloss * fresnel * lobe * lit * min(cosine * 4.0, 1.0)
            shine_r += light.colours[i, 0] * amount
            shine_g += light.colours[i, 1] * amount
            shine_b += light.colours[i, 2] * amount
    up = 0.5 + 0.5 * by
    if inside:
        up = 0.6
    # What little light reaches a fold of skin has bounced off skin: it turns red as it fades.
    ambient_r = occlusion * (1.25 - 0.25 * occlusion) if skin else occlusion
    r += ambient_r * (light.ground[0] + up * (light.sky[0] - light.ground[0]))
    g += occlusion * (light.ground[1] + up * (light.sky[1] - light.ground[1]))
    b += occlusion * (light.ground[2] + up * (light.sky[2] - light.ground[2]))
    if part == SCLERA or skin:
        # The sky mirrored at grazing angles.
        rim = gloss * 0.08 * (1.0 - facing) ** 5 * occlusion
        shine_r += light.sky[0] * rim
        shine_g += light.sky[1] * rim
        shine_b += light.sky[2] * rim
    out[0] = red * r + shine_r
    out[1] = green * g + shine_g
    out[2] = blue * b + shine_b


@inlined
def _gather(surface: Surface, triangle: int, weights: Floats, out: Floats) -> None:
    """Interpolate the vertices' values; parts with a chart need neither gloss nor albedo."""
    for k in range(13):
        out[k] = 0.0
    charted = surface.part[triangle] in (SKIN, LIPS)
    for corner in range(3):
        i = surface.triangles[triangle, corner]
        w = weights[corner]
        for k in range(3):
            out[k] += w * surface.positions[i, k]
            out[3 + k] += w * surface.normals[i, k]
        out[6] += w * surface.uv[i, 0]
        out[7] += w * surface.uv[i, 1]
        out[8] += w * surface.occlusion[i]
        if charted:
            continue
        out[9] += w * surface.gloss[i]
        for k in range(3):
            out[10 + k] += w * surface.albedo[i, k]


@compiled
def shade_surface(
    triangle: Ints,
    weights: Floats,
    depth: Floats,
    covered: Floats,
    surface: Surface,
    chart: Floats,
    light: Lighting,
    eyes: Eyes,
    mouth: Mouth,
    supersampling: int,
) -> tuple[Floats, Floats]:
    """Shade the fragments of a mesh and average them to pixels.

    Args:
        triangle: (H, W) of the fragments, `raster.EMPTY` for none.
        weights: (H, W, 3) of the fragments.
        depth: (H, W) of the fragments, cm.
        covered: (h, w) share of each pixel in which hair will hide the mesh; wholly hidden pixels stay black.
        surface: the posed mesh.
        chart: (S, S, CHANNELS) skin chart for the parts skin and lips; all other parts take the vertices' albedo.
        light: the lights.
        eyes: both eyes.
        mouth: where light enters the mouth.
        supersampling: samples a pixel in each direction.

    Returns:
        (h, w, 3) linear colour times coverage, and (h, w) coverage 0..1.
    """
    s = supersampling
    h, w = triangle.shape[0] // s, triangle.shape[1] // s
    colour = np.zeros((h, w, 3), np.float32)
    coverage = np.zeros((h, w), np.float32)
    points = np.zeros((s * s, 13), np.float32)
    mean = np.zeros(13, np.float32)
    texel = np.zeros(CHANNELS, np.float32)
    bent = np.zeros(3, np.float32)
    out = np.zeros(3, np.float32)
    share = np.float32(1.0 / (s * s))
    for y in range(h):
        for x in range(w):
            count, first, same = 0, -1, True
            nearest, farthest = np.inf, 0.0
            for j in range(s):
                for i in range(s):
                    t = triangle[y * s + j, x * s + i]
                    if t < 0:
                        same = False
                        continue
                    _gather(surface, t, weights[y * s + j, x * s + i], points[count])
                    if first < 0:
                        first = t
                    elif surface.part[t] != surface.part[first]:
                        same = False
                    d = depth[y * s + j, x * s + i]
                    nearest, farthest = min(nearest, d), max(farthest, d)
                    count += 1
            if count == 0:
                continue
            coverage[y, x] = count * share
            if covered[y, x] > 0.995 * coverage[y, x]:
                continue
            if same and farthest - nearest < 0.6:
                mean[:] = 0.0
                for n in range(count):
                    for k in range(13):
                        mean[k] += points[n, k] * share
                _shade(surface.part[first], mean, surface, first, chart, light, eyes, mouth, texel, bent, out)
                for k in range(3):
                    colour[y, x, k] = out[k]
                continue
            n = 0
            for j in range(s):
                for i in range(s):
                    t = triangle[y * s + j, x * s + i]
                    if t < 0:
                        continue
                    _shade(surface.part[t], points[n], surface, t, chart, light, eyes, mouth, texel, bent, out)
                    for k in range(3):
                        colour[y, x, k] += out[k] * share
                    n += 1
    return colour, coverage
