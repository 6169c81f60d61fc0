"""Features of picture sequences: DCT corners, windows of frames, and the linear maps that give deltas.

T frames, D features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

Array = npt.NDArray[Any]

DCT_BLOCKS = {5: (1, 5), 10: (2, 5), 20: (4, 5), 30: (5, 6)}
"""Dimension -> rows and columns of the low-frequency corner; 5 x 6 is that of published code, the others follow it."""
DELTA_WINDOW = 2
"""Frames on either side over which the regression of a delta runs."""
DELTA_REACH = 2 * DELTA_WINDOW
"""Frames on either side that a delta of deltas sees."""


def block_dct(pictures: Array, dim: int) -> Array:
    """The low-frequency corner of the orthonormal two-dimensional DCT-II.

    Args:
        pictures: (T, H, W) uint8.
        dim: 5, 10, 20 or 30.

    Returns:
        (T, dim) float32 of pictures in 0..1.
    """
    rows, columns = DCT_BLOCKS[dim]
    scaled = pictures.astype(np.float32) / 255
    # Only a corner is wanted: two thin products with the cosine bases.
    vertical, horizontal = (_cosines(n, size) for n, size in ((rows, scaled.shape[1]), (columns, scaled.shape[2])))
    corner: Array = np.einsum("rh,thw,cw->trc", vertical, scaled, horizontal, optimize=True)
    return corner.reshape(len(pictures), dim).astype(np.float32)


def _cosines(n: int, size: int) -> Array:
    """(n, size): the first rows of the orthonormal DCT-II."""
    basis: Array = scipy.fft.dct(np.eye(size), norm="ortho", axis=0)[:n].astype(np.float32)
    return basis


def windows(x: Array, reach: int) -> Array:
    """(T, D) -> (T, 2 reach + 1, D): each frame between its neighbours; the ends are repeated."""
    at = np.arange(len(x))[:, None] + np.arange(-reach, reach + 1)
    window: Array = x[at.clip(0, len(x) - 1)]
    return window


def delta_projection(dim: int) -> Array:
    """(3 D, (2 DELTA_REACH + 1) D): a flattened window -> its centre, its delta, and the delta of the deltas.

    The delta is the slope of the regression line, sum_k k (x_{t+k} - x_{t-k}) / (2 sum_k k^2), k = 1..DELTA_WINDOW.
    """
    offsets = np.arange(-DELTA_WINDOW, DELTA_WINDOW + 1)
    slope = offsets / (offsets**2).sum()
    filters = np.zeros((3, 2 * DELTA_REACH + 1))
    filters[0, DELTA_REACH] = 1
    filters[1, DELTA_REACH - DELTA_WINDOW : DELTA_REACH + DELTA_WINDOW + 1] = slope
    filters[2] = np.convolve(slope[::-1], slope[::-1])[::-1]
    projection: Array = np.einsum("ft,de->fdte", filters, np.eye(dim)).reshape(3 * dim, -1)
    return projection


def resample_frames(x: Array, from_hz: float, to_hz: float) -> Array:
    """Linear interpolation of (T, D) between frame centres to another rate; the ends are held."""
    if from_hz == to_hz:
        return x
    n = max(1, round(len(x) * to_hz / from_hz))
    at = ((np.arange(n) + 0.5) * from_hz / to_hz - 0.5).clip(0, len(x) - 1)
    low = np.floor(at).astype(int).clip(0, max(0, len(x) - 2))
    part = (at - low)[:, None].astype(x.dtype)
    return np.asarray(x[low] * (1 - part) + x[np.minimum(low + 1, len(x) - 1)] * part)
