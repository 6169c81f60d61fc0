"""Wrinkles, furrows and bulges that appear on a skin chart when muscles contract, and stay with age.

Each `Crease` is a relief map (cm at full strength) drawn by curves between landmarks, and the AUs that drive it. The
places and AUs follow the descriptions in the FACS manual (Ekman, Friesen and Hager 2002, chapters of the single AUs);
the profiles (a valley between two soft ridges) and depths are tuned by eye.

Legend: S side of the chart, K creases, A action units in the order of ``muscles.AUS``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.world.chart import ChartGrid, blurred, relief_slopes, smooth_open, value_noise
from vultus.world.compiled import compiled
from vultus.world.skin import Complexion

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Line = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crease:
    """One group of wrinkles.

    drivers: AU number -> share; strength is the sum of share * intensity / 5, at most 1.2.
    from_age: strength at rest grows from this age ..
    age_strength: .. to this at age 80.
    """

    name: str
    drivers: dict[int, float]
    from_age: float
    age_strength: float


CREASES = (
    Crease("forehead_middle", {1: 1.0, 2: 0.25}, 32, 0.45),
    Crease("forehead_sides", {2: 1.0, 1: 0.15}, 34, 0.40),
    Crease("glabella", {4: 1.0, 9: 0.35}, 36, 0.45),
    Crease("crows_feet", {6: 1.0, 7: 0.15}, 34, 0.55),
    Crease("under_eye", {6: 0.8, 7: 0.7}, 38, 0.50),
    Crease("lid_pouch", {7: 1.0, 6: 0.4}, 60, 0.20),
    Crease("nose_root", {9: 1.0}, 70, 0.10),
    Crease("nasolabial", {12: 0.9, 10: 0.9, 9: 0.5, 6: 0.2, 11: 0.8}, 26, 0.60),
    Crease("cheek_bulge", {6: 0.9, 12: 0.6, 10: 0.3}, 90, 0.0),
    Crease("dimple", {14: 1.0}, 90, 0.0),
    Crease("marionette", {15: 1.0, 14: 0.2, 17: 0.15}, 45, 0.55),
    Crease("chin_pits", {17: 1.0, 15: 0.2}, 55, 0.20),
    Crease("chin_groove", {17: 0.7, 16: 0.9, 15: 0.3, 24: 0.3}, 30, 0.35),
    Crease("mouth_sides", {20: 1.0, 12: 0.3, 27: 0.3, 26: 0.2}, 50, 0.25),
    Crease("lip_lines", {23: 1.0, 24: 0.9, 18: 0.8, 22: 0.6, 28: 0.5}, 52, 0.55),
)


@dataclass(frozen=True)
class WrinkleMaps:
    """All creases of a person, ready to be added.

    layers: (K, S, S, 3) float32: slopes along u and v in cm per chart width, and darkening 0..1, at full strength.
    boxes: (K, 4) int32 row0 row1 column0 column1 outside which a layer is nil.
    drive: (K, A) float32: strength of each crease per unit of AU intensity.
    rest: (K,) float32 strength at rest.
    """

    layers: Floats
    boxes: npt.NDArray[np.int32]
    drive: Floats
    rest: Floats

    def strength(self, au_intensity: Floats) -> Floats:
        """(K,) strength of each crease, 0..1.3, for (A,) intensities 0..5."""
        total: Floats = np.clip(self.rest + self.drive @ au_intensity, 0, 1.3).astype(np.float32)
        return total


def wrinkle_maps(grid: ChartGrid, complexion: Complexion, aus: tuple[int, ...]) -> WrinkleMaps:
    """Draw a person's creases.

    Args:
        grid: where the landmarks lie in the chart.
        complexion: age, and the seed of the personal variation.
        aus: the action units that intensities come in.
    """
    rng = np.random.default_rng([complexion.seed, 0x3A1])
    layers = np.zeros((len(CREASES), grid.size, grid.size, 3), np.float32)
    boxes = np.zeros((len(CREASES), 4), np.int32)
    drive = np.zeros((len(CREASES), len(aus)), np.float32)
    rest = np.zeros(len(CREASES), np.float32)
    # Young skin folds softly; folds deepen with the years.
    depth = float(np.interp(complexion.age, [15, 30, 50, 75], [0.65, 0.9, 1.2, 1.5]))
    for k, crease in enumerate(CREASES):
        relief = _DRAW[crease.name](grid, rng)
        layers[k, ..., :2] = relief_slopes(relief)
        valley = blurred(np.maximum(-relief, 0), 0.06 / grid.texel_cm)
        layers[k, ..., 2] = np.minimum(valley * 4.5, 0.5)
        used = np.abs(layers[k]).max(-1) > 0.004
        rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
        boxes[k] = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        personal = float(rng.uniform(0.75, 1.3))
        for au, share in crease.drivers.items():
            drive[k, aus.index(au)] = share / 5 * depth * personal
        ageing = np.clip((complexion.age - crease.from_age) / (80 - crease.from_age), 0, 1.2)
        rest[k] = crease.age_strength * ageing * rng.uniform(0.6, 1.4)
    return WrinkleMaps(layers, boxes, drive, rest)


@compiled
def add_creases(chart: Floats, layers: Floats, boxes: npt.NDArray[np.int32], strength: Floats, out: Floats) -> None:
    """Write into `out` (S, S, CHANNELS) the skin chart with the creases' slopes added and their valleys darkened."""
    out[:] = chart
    for k in range(layers.shape[0]):
        amount = strength[k]
        if amount < 0.01:
            continue
        for y in range(boxes[k, 0], boxes[k, 1]):
            for x in range(boxes[k, 2], boxes[k, 3]):
                out[y, x, 3] += amount * layers[k, y, x, 0]
                out[y, x, 4] += amount * layers[k, y, x, 1]
                dark = amount * layers[k, y, x, 2]
                out[y, x, 0] *= 1.0 - 0.7 * dark
                out[y, x, 1] *= 1.0 - dark
                out[y, x, 2] *= 1.0 - dark


def _furrows(grid: ChartGrid, lines: list[Line], width: float, depth: float, ridge: float = 0.45) -> Floats:
    """Valleys `width` cm wide and `depth` cm deep along smooth lines, between ridges of `ridge` times the depth."""
    drawn = np.zeros((grid.size, grid.size), np.float32)
    for line in lines:
        curve = smooth_open(line, 10)
        # Wrinkles run out: the ends are shallower than the middle.
        for start, stop, share in ((0.0, 1.0, 0.45), (0.12, 0.88, 0.3), (0.25, 0.75, 0.25)):
            part = curve[int(start * len(curve)) : max(int(stop * len(curve)), 2)]
            drawn += grid.strokes([part], width * 0.5, share)
    narrow = blurred(drawn, width * 0.35 / grid.texel_cm)
    wide = blurred(drawn, width * 1.1 / grid.texel_cm)
    peak = max(float(narrow.max()), 1e-6)
    return (depth * (-narrow + ridge * 2.4 * wide) / peak).astype(np.float32)


def _forehead_middle(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for level in range(4):
        height = p[[21, 22], 1].mean() + 1.0 + 1.05 * level + rng.normal(0, 0.1)
        x = np.linspace(-1, 1, 6) * (2.6 + rng.normal(0, 0.3)) + rng.normal(0, 0.25)
        y = height - 0.10 * np.cos(np.pi * x / 3) + rng.normal(0, 0.07, 6)
        lines.append(np.stack([x, y], 1))
    return _furrows(grid, lines, 0.26, 0.075)


def _forehead_sides(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for side, brow in ((-1.0, 18), (1.0, 25)):
        for level in range(3):
            x = np.linspace(-1.6, 1.7, 5)
            y = 0.95 + 0.9 * level - 0.16 * x**2 * 0.5 + rng.normal(0, 0.06, 5) + rng.normal(0, 0.1)
            lines.append(p[brow] + np.stack([side * x, y], 1))
    return _furrows(grid, lines, 0.26, 0.075)


def _glabella(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    gap = p[22, 0] - p[21, 0]
    middle = 0.5 * (p[21] + p[22])
    lines = []
    for side in (-1.0, 1.0):
        x = side * gap * (0.24 + rng.normal(0, 0.02))
        lines.append(middle + np.array([[x * 0.85, -0.75], [x, -0.2], [x * 1.05, 0.35], [x * 1.25, 1.0]]))
    deep = _furrows(grid, lines, 0.27, 0.10, 0.6)
    root = _furrows(grid, [p[27] + np.array([[-0.55, 0.42], [0, 0.34], [0.55, 0.42]])], 0.2, 0.045)
    pinch = 0.05 * (
        grid.blob(middle + np.array([-gap * 0.62, 0.05]), 0.35, 0.4)
        + grid.blob(middle + np.array([gap * 0.62, 0.05]), 0.35, 0.4)
    )
    return deep + root + pinch


def _crows_feet(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for side, corner in ((-1.0, p[36]), (1.0, p[45])):
        for angle in (0.55, 0.18, -0.2, -0.55):
            turn = angle + rng.normal(0, 0.06)
            length = rng.uniform(1.1, 1.8)
            start = corner + np.array([side * 0.42, 0.12 * np.sign(angle)])
            reach = np.linspace(0, length, 4)
            bend = 0.10 * reach**2 * np.sign(angle)
            lines.append(start + np.stack([side * np.cos(turn) * reach, np.sin(turn) * reach - bend], 1))
    return _furrows(grid, lines, 0.22, 0.075)


def _under_eye(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for eye in (p[[36, 41, 40, 39]], p[[45, 46, 47, 42]]):
        for drop in (0.55, 0.9):
            lines.append(
                eye - [0, drop + rng.normal(0, 0.04)] + np.array([[0, 0.15], [0, -0.05], [0, -0.08], [0, 0.0]])
            )
    return _furrows(grid, lines, 0.22, 0.05)


def _lid_pouch(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines, bulge = [], np.zeros((grid.size, grid.size), np.float32)
    for eye in (p[[36, 41, 40, 39]], p[[45, 46, 47, 42]]):
        lines.append(eye - [0, 0.40 + rng.normal(0, 0.02)] + np.array([[0, 0.2], [0, 0], [0, 0], [0, 0.15]]))
        bulge += grid.blob(eye[1:3].mean(0) - [0, 0.16], 0.75, 0.13)
    return _furrows(grid, lines, 0.18, 0.06) + 0.08 * bulge


def _nose_root(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for side in (-1.0, 1.0):
        for level in range(3):
            start = p[27] + [side * 0.15, -0.15 - 0.42 * level + rng.normal(0, 0.03)]
            lines.append(start + np.array([[0, 0], [side * 0.35, -0.08], [side * 0.8, 0.18 - 0.06 * level]]))
    lines.append(p[27] + np.array([[-0.5, 0.35], [0, 0.22], [0.5, 0.35]]))
    return _furrows(grid, lines, 0.21, 0.075)


def _nasolabial(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines, fat = [], np.zeros((grid.size, grid.size), np.float32)
    for side, wing, corner in ((-1.0, p[31], p[48]), (1.0, p[35], p[54])):
        line = np.array([
            wing + np.array([side * 0.45, 0.45]),
            wing + np.array([side * 0.95, -0.15]),
            0.5 * (wing + corner) + [side * 0.95, 0.0],
            corner + np.array([side * 0.75, 0.15]),
            corner + np.array([side * 0.70, -0.75]),
        ])  # fmt: skip
        line[1:, 0] += rng.normal(0, 0.06)
        lines.append(line)
        fat += grid.blob(line[1] + [side * 0.75, 0.25], 0.7, 0.8)
    return _furrows(grid, lines, 0.42, 0.125, 0.55) + 0.07 * fat


def _cheek_bulge(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    bulge = np.zeros((grid.size, grid.size), np.float32)
    for side, eye in ((-1.0, p[36:42].mean(0)), (1.0, p[42:48].mean(0))):
        centre = eye + np.array([side * (0.7 + rng.normal(0, 0.05)), -2.3])
        bulge += grid.blob(centre, 1.25, 0.9)
    return 0.22 * bulge


def _dimple(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    pit, lines = np.zeros((grid.size, grid.size), np.float32), []
    for side, corner in ((-1.0, p[48]), (1.0, p[54])):
        at = corner + np.array([side * (0.38 + abs(rng.normal(0, 0.06))), 0.02])
        pit += grid.blob(at, 0.16, 0.3)
        lines.append(at + np.array([[-side * 0.02, 0.55], [side * 0.13, 0.0], [-side * 0.04, -0.6]]))
    return _furrows(grid, lines, 0.24, 0.05) - 0.07 * pit


def _marionette(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines, pouch = [], np.zeros((grid.size, grid.size), np.float32)
    for side, corner in ((-1.0, p[48]), (1.0, p[54])):
        slant = rng.normal(0, 0.05)
        lines.append(
            corner
            + np.array([[side * 0.12, -0.02], [side * 0.3, -0.5], [side * (0.42 + slant), -1.1], [side * 0.4, -1.7]])
        )
        pouch += grid.blob(corner + np.array([side * 0.65, -0.55]), 0.4, 0.45)
    return _furrows(grid, lines, 0.30, 0.095) + 0.05 * pouch


def _chin_pits(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    centre = p[57] * 0.5 + p[8] * 0.5 + [0, 0.15]
    cells = max(24, round(grid.cm_per_u / 0.42))
    pebbles = np.minimum(value_noise(rng, grid.size, cells), 0.4) + 0.5 * value_noise(rng, grid.size, 2 * cells)
    boss = grid.blob(centre, 1.15, 0.75)
    return np.asarray(boss * (0.045 * pebbles + 0.08), np.float32)


def _chin_groove(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    middle = p[57] + [0, -0.62 + rng.normal(0, 0.04)]
    return _furrows(
        grid, [middle + np.array([[-1.25, -0.3], [-0.6, 0.02], [0, 0.1], [0.6, 0.02], [1.25, -0.3]])], 0.42, 0.11
    )


def _mouth_sides(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for side, corner in ((-1.0, p[48]), (1.0, p[54])):
        for out in (0.55, 0.95):
            reach = side * (out + rng.normal(0, 0.04))
            lines.append(corner + np.array([[reach * 0.85, 0.8], [reach * 1.08, 0.0], [reach * 0.9, -0.9]]))
    return _furrows(grid, lines, 0.26, 0.07)


def _lip_lines(grid: ChartGrid, rng: np.random.Generator) -> Floats:
    p = grid.points
    lines = []
    for edge, away, count in ((p[[48, 49, 50, 51, 52, 53, 54]], 1.0, 11), (p[[48, 59, 58, 57, 56, 55, 54]], -1.0, 9)):
        curve = smooth_open(edge, 10)
        for position in np.linspace(0.12, 0.88, count) + rng.normal(0, 0.012, count):
            root = curve[int(position * (len(curve) - 1))]
            lean = 0.35 * (position - 0.5)
            length = rng.uniform(0.3, 0.6)
            lines.append(
                root + np.array([[-lean * 0.4, -0.12 * away], [lean * 0.5, 0.2 * away], [lean, length * away]])
            )
    return _furrows(grid, lines, 0.16, 0.040)


_DRAW = {
    "forehead_middle": _forehead_middle,
    "forehead_sides": _forehead_sides,
    "glabella": _glabella,
    "crows_feet": _crows_feet,
    "under_eye": _under_eye,
    "lid_pouch": _lid_pouch,
    "nose_root": _nose_root,
    "nasolabial": _nasolabial,
    "cheek_bulge": _cheek_bulge,
    "dimple": _dimple,
    "marionette": _marionette,
    "chin_pits": _chin_pits,
    "chin_groove": _chin_groove,
    "mouth_sides": _mouth_sides,
    "lip_lines": _lip_lines,
}
