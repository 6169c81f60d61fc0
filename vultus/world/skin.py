"""The skin of a person, painted in the face chart: tone, blood, brows, lids, lips, spots, beard and pores.

Everything is placed by the 68 landmarks' positions in the chart (`chart.ChartGrid`), so it moves with the mesh.

Legend: S side of the chart in texels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.chart import ChartGrid, blurred, relief_slopes, smooth_open, value_noise
from vultus.world.shading import CHANNELS

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

TONES: tuple[tuple[float, Colour], ...] = (
    (0.0, (0.70, 0.475, 0.375)),
    (0.25, (0.60, 0.385, 0.285)),
    (0.5, (0.43, 0.255, 0.170)),
    (0.75, (0.25, 0.135, 0.085)),
    (1.0, (0.115, 0.062, 0.043)),
)
"""Melanin -> linear albedo of the bare skin; chosen so that the pictures look like skin, not measured."""

LIPSTICKS: tuple[Colour, ...] = ((0.42, 0.035, 0.05), (0.45, 0.12, 0.12), (0.36, 0.08, 0.12), (0.50, 0.20, 0.18))
"""Linear albedo."""


@dataclass(frozen=True)
class Complexion:
    """What a person's skin looks like.

    melanin: 0 very fair .. 1 very dark.
    redness: 0 pale .. 1 ruddy; how much blood shows on cheeks, nose and ears.
    hair: linear albedo of the hair on the head; brows and beard follow it.
    brow_density, brow_thickness: 0..1 and about 0.7..1.4.
    freckles: 0 none .. 1 covered.
    moles: how many.
    beard: 0 shaven clean, up to 0.4 stubble, up to 1 full beard; only men have one.
    make_up: 0 none .. 1 lipstick, mascara, shadow.
    oil: 0 matt .. 1 shiny.
    age: years.
    seed: of everything that is strewn.
    """

    melanin: float = 0.2
    redness: float = 0.4
    hair: Colour = (0.06, 0.035, 0.02)
    brow_density: float = 0.7
    brow_thickness: float = 1.0
    freckles: float = 0.0
    moles: int = 3
    beard: float = 0.0
    make_up: float = 0.0
    oil: float = 0.4
    age: float = 30.0
    seed: int = 0

    @property
    def tone(self) -> Floats:
        """(3,) linear albedo of the bare skin."""
        stops = np.array([stop for stop, _ in TONES])
        colours = np.array([colour for _, colour in TONES])
        tone = np.array([np.interp(self.melanin, stops, colours[:, k]) for k in range(3)])
        tone *= [1.0, 1.0 - 0.05 * self.redness, 1.0 - 0.04 * self.redness]
        return tone.astype(np.float32)


@dataclass(frozen=True)
class SkinChart:
    """chart: (S, S, CHANNELS) float32, as `shading.shade_surface` reads it; grid: where things are in it."""

    chart: Floats
    grid: ChartGrid


def _mix(base: Floats, colour: npt.NDArray[np.float32] | Colour | list[float], alpha: Floats) -> None:
    base += alpha[..., None] * (np.asarray(colour, np.float32) - base)


def paint_skin(complexion: Complexion, grid: ChartGrid) -> SkinChart:
    """Paint a person's skin at rest.

    Args:
        complexion: what it looks like.
        grid: where the landmarks lie in the chart.

    Returns:
        the chart; a pure function of the arguments.
    """
    rng = np.random.default_rng([complexion.seed, 0x5C1])
    tone = complexion.tone
    albedo = np.broadcast_to(tone, (grid.size, grid.size, 3)).astype(np.float32).copy()
    relief = np.zeros((grid.size, grid.size), np.float32)
    gloss = np.full((grid.size, grid.size), 0.35 + 0.3 * complexion.oil, np.float32)
    _blood_and_mottling(albedo, complexion, grid, rng)
    _nostrils(albedo, grid)
    _spots(albedo, complexion, grid, rng)
    _pores(relief, gloss, complexion, grid, rng)
    _lips(albedo, relief, gloss, complexion, grid, rng)
    _beard(albedo, relief, gloss, complexion, grid, rng)
    _lids(albedo, complexion, grid)
    _brows(albedo, relief, gloss, complexion, grid, rng)
    chart = np.empty((grid.size, grid.size, CHANNELS), np.float32)
    chart[..., :3] = np.clip(albedo, 0.004, 0.95)
    chart[..., 3:5] = relief_slopes(relief)
    chart[..., 5] = gloss
    return SkinChart(chart, grid)


def _blood_and_mottling(albedo: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator) -> None:
    p = grid.points
    blood = np.zeros((grid.size, grid.size), np.float32)
    for eye, corner, jaw in ((slice(36, 42), 48, 3), (slice(42, 48), 54, 13)):
        cheek = 0.5 * p[eye].mean(0) + 0.28 * p[corner] + 0.22 * p[jaw]
        blood += 0.8 * grid.blob(cheek - [0, 0.4], 1.5, 1.2)
        albedo *= 1 - (0.10 + 0.05 * look.melanin) * grid.blob(p[eye].mean(0) - [0, 0.25], 1.3, 0.75)[..., None] * (
            np.array([0.75, 1.0, 0.85], np.float32)
        )
    blood += 0.9 * grid.blob(p[30] - [0, 0.1], 0.75, 0.7)
    blood += 0.5 * grid.blob(p[31] + [-0.3, 0.1], 0.45) + 0.5 * grid.blob(p[35] + [0.3, 0.1], 0.45)
    blood += 0.35 * grid.blob(p[57] - [0, 1.6], 1.1, 0.7) + 0.2 * grid.blob(p[27] + [0, 2.8], 3.0, 1.0)
    patches = value_noise(rng, grid.size, 9) * 0.5 + value_noise(rng, grid.size, 23) * 0.5
    blood = np.asarray(blood * (1 + 0.22 * patches) + 0.06 * patches, np.float32)
    flush = blood * (0.10 + 0.26 * look.redness) * (1 - 0.55 * look.melanin)
    albedo *= 1 - flush[..., None] * np.array([0.18, 0.80, 0.72], np.float32)
    shade = 0.020 * value_noise(rng, grid.size, 7) + 0.022 * value_noise(rng, grid.size, 37)
    shade += 0.020 * value_noise(rng, grid.size, 90) * min(1.0, 0.4 + look.age / 60)
    albedo *= (1 + shade * (1 + 0.4 * look.melanin))[..., None]
    yellow = grid.blob(p[27] + [0, 3.4], 4.0, 1.6) * 0.05
    albedo *= 1 - yellow[..., None] * np.array([0.0, 0.1, 0.9], np.float32)


def _nostrils(albedo: Floats, grid: ChartGrid) -> None:
    p = grid.points
    for inner, outer in ((32, 31), (34, 35)):
        hole = grid.blob(0.6 * p[inner] + 0.4 * p[outer] + np.array([0, 0.30]), 0.26, 0.15)
        albedo *= 1 - hole[..., None] * np.array([0.72, 0.85, 0.86], np.float32)
        wing = grid.blob(p[outer] + np.array([np.sign(p[outer, 0]) * 0.28, 0.25]), 0.14, 0.4)
        albedo *= 1 - wing[..., None] * np.array([0.14, 0.28, 0.26], np.float32)


def _spots(albedo: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator) -> None:
    p = grid.points
    count = int(520 * look.freckles)
    if count:
        where = rng.normal(0, 1, (count, 2)) * [3.6, 1.6] + (p[30] + [0, 1.4])
        _dots(albedo, grid, where, rng.gamma(3.0, 0.022, count), rng.uniform(0.2, 0.6, count), (0.55, 0.36, 0.24))
    age_spots = int(max(0.0, look.age - 45) * 0.9)
    where = np.stack([rng.uniform(-7, 7, age_spots), rng.uniform(-8, 6, age_spots)], 1)
    _dots(albedo, grid, where, rng.gamma(2.0, 0.06, age_spots), rng.uniform(0.1, 0.35, age_spots), (0.6, 0.42, 0.32))
    where = np.stack([rng.uniform(-6, 6, look.moles), rng.uniform(-9, 4, look.moles)], 1)
    _dots(albedo, grid, where, rng.uniform(0.06, 0.15, look.moles), rng.uniform(0.5, 0.9, look.moles), (0.3, 0.2, 0.17))


def _dots(
    albedo: Floats, grid: ChartGrid, where: Doubles, radius_cm: Doubles, strength: Doubles, factor: Colour
) -> None:
    """Darken round spots: albedo is multiplied by `factor` at full strength."""
    canvas = np.zeros((grid.size, grid.size), np.float32)
    for (x, y), radius, amount in zip(grid.to_texels(where), radius_cm / grid.texel_cm, strength, strict=True):
        x0, x1 = int(max(0, x - 3 * radius - 1)), int(min(grid.size, x + 3 * radius + 2))
        y0, y1 = int(max(0, y - 3 * radius - 1)), int(min(grid.size, y + 3 * radius + 2))
        if x0 >= x1 or y0 >= y1:
            continue
        gx, gy = np.meshgrid(np.arange(x0, x1) - x, np.arange(y0, y1) - y)
        spread = max(radius, 0.45)
        fade = amount * min(1.0, (radius / spread) ** 2)
        spot = fade * np.exp(-(((gx**2 + gy**2) / spread**2) ** 1.5))
        canvas[y0:y1, x0:x1] = np.maximum(canvas[y0:y1, x0:x1], spot)
    albedo *= 1 - canvas[..., None] * (1 - np.array(factor, np.float32))


def _pores(relief: Floats, gloss: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator) -> None:
    p = grid.points
    zone = 0.5 * grid.blob(p[30] + [0, 0.4], 1.1, 1.6) + 0.35 * grid.blob(p[30], 4.0, 2.2)
    zone += 0.25 * grid.blob(p[57] - [0, 1.6], 1.5, 0.9)
    rough = 0.35 + zone + 0.010 * max(0.0, look.age - 20)
    fine = value_noise(rng, grid.size, max(24, grid.size // 3))
    middle = value_noise(rng, grid.size, max(24, grid.size // 7))
    relief += (0.0012 * fine + 0.0010 * middle) * rough * (grid.texel_cm / 0.06) ** 0.7
    shiny = 0.7 * grid.blob(p[30] + [0, 0.8], 0.6, 1.7) + 0.45 * grid.blob(p[27] + [0, 3.2], 3.0, 1.3)
    shiny += 0.35 * grid.blob(p[57] - [0, 1.7], 0.9, 0.6)
    for eye in (slice(36, 42), slice(42, 48)):
        centre = p[eye].mean(0)
        shiny += 0.35 * grid.blob(centre + np.array([np.sign(centre[0]) * 0.9, -1.9]), 1.2, 0.8)
    gloss *= 1 + (0.25 + 0.8 * look.oil) * shiny + 0.12 * value_noise(rng, grid.size, 60)


def _lips(
    albedo: Floats, relief: Floats, gloss: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator
) -> None:
    p = grid.points
    outer = p[48:60].copy()
    body = grid.polygon(outer + 0.02 * (outer - outer.mean(0)), 0.16)
    tone = look.tone
    natural = tone * np.array([0.80, 0.50, 0.53], np.float32) + np.array([0.015, 0.0, 0.004], np.float32)
    stick = np.array(LIPSTICKS[int(rng.integers(len(LIPSTICKS)))], np.float32)
    paint = 0.85 * max(0.0, look.make_up - 0.35) / 0.65
    colour = natural + paint * (stick - natural)
    lower = 1 + 0.10 * grid.blob(p[57] + [0, 0.35], 1.0, 0.25)
    uneven = (1 + 0.05 * value_noise(rng, grid.size, 40)) * lower
    albedo += body[..., None] * 0.92 * (colour * uneven[..., None] - albedo)
    x, _ = grid.mesh
    lines = np.sin(x * 24 + 2.0 * value_noise(rng, grid.size, 30)) + 0.6 * value_noise(
        rng, grid.size, max(24, grid.size // 4)
    )
    relief += body * 0.0022 * lines
    gloss += body * (0.45 + 0.5 * look.make_up + 0.2 * rng.random())
    rim = grid.strokes([smooth_open(p[[49, 50, 51, 52, 53]] + [0, 0.08])], 0.10)
    albedo *= 1 + 0.06 * blurred(rim, 0.06 / grid.texel_cm)[..., None]
    seam = grid.strokes(
        [smooth_open(p[[48, 60, 61, 62, 63, 64, 54]]), smooth_open(p[[48, 60, 67, 66, 65, 64, 54]])], 0.07
    )
    albedo *= 1 - 0.55 * np.minimum(seam, 1)[..., None] * np.array([0.85, 1.0, 1.0], np.float32)
    corners = grid.blob(p[48], 0.22, 0.16) + grid.blob(p[54], 0.22, 0.16)
    albedo *= 1 - 0.30 * np.minimum(corners, 1)[..., None]


def _beard_zone(grid: ChartGrid) -> Floats:
    """(S, S) 0..1 where a beard grows: moustache, chin, jaw, fading on the cheek."""
    p = grid.points
    under_chin = p[4:13] * [1.12, 1.0] - [0, 3.2]
    outline = np.concatenate(
        [
            p[[14]] + [0.3, 0.6],
            (0.45 * p[[12]] + 0.55 * p[[54]]) + [0.9, 0.7],
            p[[54]] + [0.6, 0.75],
            p[[35]] + [0.35, -0.35],
            p[[33]] + [0, -0.25],
            p[[31]] + [-0.35, -0.35],
            p[[48]] + [-0.6, 0.75],
            (0.45 * p[[4]] + 0.55 * p[[48]]) + [-0.9, 0.7],
            p[[2]] + [-0.3, 0.6],
            under_chin,
        ]
    )
    zone = grid.polygon(outline, 0.9)
    x, _ = grid.mesh
    reach = np.minimum(abs(p[2, 0]), abs(p[14, 0])) + 0.2
    zone *= np.clip((reach - np.abs(x)) / 1.5, 0, 1)  # a beard ends in front of the ears
    axis = (np.linspace(0, 1, grid.size) - 0.5) / 0.4
    # Outside this ellipse the chart holds the back of the head.
    zone *= np.clip((1.16 - np.hypot(axis[None], axis[:, None])) / 0.14, 0, 1).astype(np.float32)
    lips = grid.polygon(p[48:60], 0.15)
    below = grid.blob(p[57] + [0, -0.28], 0.9, 0.18)
    return zone * (1 - lips) * (1 - 0.35 * below)


def _beard(
    albedo: Floats, relief: Floats, gloss: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator
) -> None:
    if look.beard <= 0:
        return
    zone = _beard_zone(grid)
    hair = np.array(look.hair, np.float32) * np.float32(0.9)
    # Roots under the skin of a shaven face look blue-grey.
    shadow = zone * (0.16 + 0.4 * min(look.beard, 0.4)) * (1 - 0.7 * look.melanin)
    albedo *= 1 - shadow[..., None] * np.array([0.55, 0.42, 0.30], np.float32)
    # Hairs lie downwards: the grain is longer than wide.
    fine = cv2.resize(
        rng.standard_normal((grid.size // 6, grid.size)).astype(np.float32),
        (grid.size, grid.size),
        interpolation=cv2.INTER_CUBIC,
    )
    grain = fine + 0.5 * value_noise(rng, grid.size, max(24, grid.size // 5))
    patchy = 0.9 + 0.25 * value_noise(rng, grid.size, 14)
    cover = zone * patchy * min(1.0, look.beard * 1.15)
    if look.beard < 0.4:
        alpha = np.clip(cover * (0.75 + 0.55 * grain), 0, 0.8)
    else:
        alpha = np.clip(1.6 * cover + 0.35 * (grain - 0.3), 0, 0.97) * (zone > 0.02) * np.clip(zone * 6, 0, 1)
        x, y = grid.mesh
        combed = np.sin(9 * x + 3 * y + 4 * value_noise(rng, grid.size, 24)) * 0.5 + grain
        relief += zone * look.beard * 0.010 * combed
        albedo *= 1 + 0.15 * (zone * combed)[..., None]
    lift = 1 + 0.25 * np.clip(grain, -1.5, 2.0)
    albedo += alpha[..., None] * (hair * lift[..., None] - albedo)
    gloss *= 1 - 0.75 * alpha


def _lids(albedo: Floats, look: Complexion, grid: ChartGrid) -> None:
    p = grid.points
    dark = np.array(look.hair, np.float32) * np.float32(0.35) + np.float32(0.008)
    for eye in (p[36:42], p[42:48]):
        upper, lower = smooth_open(eye[[0, 1, 2, 3]]), smooth_open(eye[[3, 4, 5, 0]])
        side = np.sign(eye[:, 0].mean())
        outer = eye[0] if side < 0 else eye[3]
        inner = eye[3] if side < 0 else eye[0]
        shadow = blurred(grid.strokes([upper + np.array([0, 0.30])], 0.4), 0.18 / grid.texel_cm)
        albedo *= 1 - (0.10 + 0.35 * look.make_up) * shadow[..., None] * np.array([0.8, 1.0, 0.9], np.float32)
        crease = blurred(grid.strokes([smooth_open(eye[[0, 1, 2, 3]] + [0, 0.42])], 0.07), 0.05 / grid.texel_cm)
        albedo *= 1 - 0.40 * crease[..., None]
        lashes = grid.strokes([upper + np.array([0, 0.03])], 0.13 + 0.07 * look.make_up)
        _mix(albedo, dark, np.minimum(lashes * (0.75 + 0.25 * look.make_up), 1))
        wing = grid.strokes([np.stack([outer, outer + np.array([0.30 * side, 0.10])])], 0.08)
        _mix(albedo, dark, np.minimum(wing * (0.35 + 0.6 * look.make_up), 1))
        rim = grid.strokes([lower], 0.09)
        albedo *= 1 - (0.28 + 0.35 * look.make_up) * np.minimum(rim, 1)[..., None]
        pink = grid.blob(inner, 0.18)
        albedo *= 1 - 0.35 * pink[..., None] * np.array([0.0, 0.9, 0.8], np.float32)
        bag = blurred(grid.strokes([smooth_open(eye[[3, 4, 5, 0]] + [0, -0.55])], 0.25), 0.2 / grid.texel_cm)
        albedo *= 1 - (0.06 + 0.002 * look.age) * bag[..., None] * np.array([0.7, 1.0, 0.8], np.float32)


def _brows(
    albedo: Floats, relief: Floats, gloss: Floats, look: Complexion, grid: ChartGrid, rng: np.random.Generator
) -> None:
    p = grid.points
    hair = np.array(look.hair, np.float32) * np.float32(0.75) + np.float32(0.004)
    count = int(260 + 300 * look.brow_density)
    along = rng.uniform(0, 1, count)
    across = rng.normal(0, 0.42, count).clip(-0.9, 0.9)
    length = rng.uniform(0.35, 0.6, count)
    slant = rng.normal(0, 0.16, count)
    ground = np.zeros((grid.size, grid.size), np.float32)
    strokes: list[npt.NDArray[np.float64]] = []
    for brow in (p[17:22][::-1], p[22:27]):
        side = np.sign(brow[:, 0].mean())
        spine = smooth_open(brow, 12)
        index = along * (len(spine) - 2)
        lower = index.astype(int)
        base = spine[lower] + (index - lower)[:, None] * (spine[lower + 1] - spine[lower])
        # Thick at the inner end, thinning outwards.
        half = 0.36 * look.brow_thickness * np.interp(along, [0, 0.12, 0.5, 1], [0.75, 1.0, 0.85, 0.25])
        root = base + np.stack([np.zeros(count), across * half], 1)
        # Hairs stand up at the inner end and lie outwards, a little down from above, further out.
        angle = np.interp(along, [0, 0.15, 0.5, 1], [1.25, 0.75, 0.25, -0.25]) - 0.35 * across + slant
        tip = root + np.stack([side * np.cos(angle) * length, np.sin(angle) * length], 1)
        middle = 0.5 * (root + tip) + np.stack([np.zeros(count), 0.04 * np.ones(count)], 1)
        strokes += [np.stack([a, b, c]) for a, b, c in zip(root, middle, tip, strict=True)]
        ground += (
            blurred(grid.strokes([spine], 0.5 * look.brow_thickness), 0.14 / grid.texel_cm)
            * (1 - 0.5 * grid.blob(spine[-1], 0.8))
            * (1 - 0.65 * grid.blob(spine[0], 0.45, 0.6))
        )
    drawn = blurred(grid.strokes(strokes, 0.022, 0.9), 0.018 / grid.texel_cm)
    cover = np.clip((0.25 + 0.5 * look.brow_density) * ground + (0.75 + 0.3 * look.brow_density) * drawn, 0, 0.94)
    _mix(albedo, hair, cover)
    relief += 0.012 * cover
    gloss *= 1 - 0.85 * cover
