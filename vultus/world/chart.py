"""The face chart as a drawing board: places in centimetres, soft shapes, strokes, noise.

Chart centimetres: x to image right, y up, origin between the eyes, one scale for the whole chart (true at the front of
the face).

Legend: S side of the chart in texels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChartGrid:
    """Where things are in the face chart.

    anchors: (68, 2) chart positions (u, v) of the landmarks.
    cm_per_u, cm_per_v: size of the whole chart at the front of the face, cm.
    size: S.
    """

    anchors: Floats
    cm_per_u: float
    cm_per_v: float
    size: int

    @cached_property
    def points(self) -> Doubles:
        """(68, 2) landmarks in chart centimetres."""
        return self.to_cm(self.anchors)

    @cached_property
    def origin(self) -> Doubles:
        """(2,) the chart position (u, v) between the eyes."""
        middle: Doubles = self.anchors[36:48].mean(0).astype(np.float64)
        return middle

    def to_cm(self, uv: npt.NDArray[np.float32]) -> Doubles:
        """(N, 2) chart positions -> chart centimetres."""
        return (uv - self.origin) * [self.cm_per_u, -self.cm_per_v]

    def to_texels(self, points: npt.NDArray[np.float64]) -> Doubles:
        """(N, 2) chart centimetres -> texels (x, y); the centre of the first texel is (0, 0)."""
        uv = points / [self.cm_per_u, -self.cm_per_v] + self.origin
        texels: Doubles = uv * (self.size - 1)
        return texels

    @cached_property
    def mesh(self) -> tuple[Floats, Floats]:
        """Two (S, S): x and y of each texel in chart centimetres."""
        axis = np.linspace(0, 1, self.size)
        x = (axis - self.origin[0]) * self.cm_per_u
        y = -(axis - self.origin[1]) * self.cm_per_v
        grid_x, grid_y = np.meshgrid(x, y)
        return grid_x.astype(np.float32), grid_y.astype(np.float32)

    @property
    def texel_cm(self) -> float:
        """Side of a texel, cm (mean of both directions)."""
        return (self.cm_per_u + self.cm_per_v) / 2 / (self.size - 1)

    def blob(self, centre: npt.NDArray[np.float64], width: float, height: float | None = None) -> Floats:
        """(S, S) Gaussian bump of height 1 at `centre` (cm) with these standard deviations (cm)."""
        x, y = self.mesh
        height = width if height is None else height
        bump: Floats = np.exp(-0.5 * (((x - centre[0]) / width) ** 2 + ((y - centre[1]) / height) ** 2))
        return bump.astype(np.float32)

    def polygon(self, outline: npt.NDArray[np.float64], soft_cm: float) -> Floats:
        """(S, S) 0..1: inside of a closed outline (N, 2) cm with a border that fades over about `soft_cm`."""
        mask = np.zeros((self.size, self.size), np.float32)
        cv2.fillPoly(mask, [_fixed(self.to_texels(smooth_closed(outline)))], 1.0, cv2.LINE_AA, shift=4)
        return blurred(mask, soft_cm / 2 / self.texel_cm)

    def strokes(self, lines: list[npt.NDArray[np.float64]], width_cm: float, strength: float = 1.0) -> Floats:
        """(S, S) 0..1: thin lines, each (N, 2) cm; thinner than a texel they fade instead of vanishing."""
        fine = 2 if self.size < 768 else 1
        canvas = np.zeros((self.size * fine, self.size * fine), np.float32)
        texels = width_cm / self.texel_cm * fine
        value = strength * min(1.0, texels)
        for line in lines:
            texel_line = (self.to_texels(line) + 0.5) * fine - 0.5
            cv2.polylines(canvas, [_fixed(texel_line)], False, value, max(1, round(texels)), cv2.LINE_AA, shift=4)
        if fine == 1:
            return canvas
        return np.asarray(cv2.resize(canvas, (self.size, self.size), interpolation=cv2.INTER_AREA), np.float32)


def _fixed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.rint(points * 16).astype(np.int32).reshape(-1, 1, 2)


def blurred(image: Floats, sigma: float) -> Floats:
    """Gaussian blur of standard deviation `sigma` texels; unchanged below a third of a texel."""
    if sigma < 0.33:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def smooth_closed(points: npt.NDArray[np.float64], steps: int = 6) -> Doubles:
    """Closed Catmull-Rom curve through (N, 2) points: (N * steps, 2)."""
    return _catmull_rom(np.concatenate([points[-1:], points, points[:2]]), steps)


def smooth_open(points: npt.NDArray[np.float64], steps: int = 6) -> Doubles:
    """Open Catmull-Rom curve through (N, 2) points: ((N - 1) * steps, 2)."""
    before = 2 * points[:1] - points[1:2]
    after = 2 * points[-1:] - points[-2:-1]
    return _catmull_rom(np.concatenate([before, points, after]), steps)


def _catmull_rom(points: npt.NDArray[np.float64], steps: int) -> Doubles:
    p0, p1, p2, p3 = (points[i : len(points) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    flat: Doubles = curve.reshape(-1, points.shape[-1])
    return flat


def value_noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """(size, size) smooth noise, mean 0, standard deviation about 1, `cells` bumps across."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    big = cv2.resize(coarse, (size + 3 * size // cells, size + 3 * size // cells), interpolation=cv2.INTER_CUBIC)
    start = size // cells
    noise = big[start : start + size, start : start + size]
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def relief_slopes(relief: Floats) -> Floats:
    """(S, S) heights in cm -> (S, S, 2) slopes along u and v in cm per chart width."""
    size = relief.shape[0]
    along_v, along_u = np.gradient(relief)
    return np.stack([along_u, along_v], -1).astype(np.float32) * np.float32(size - 1)
