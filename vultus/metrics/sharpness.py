"""Sharpness without a reference: cumulative probability of blur detection (CPBD).

Narvekar and Karam, "A No-Reference Image Blur Metric Based on the Cumulative Probability of Blur Detection", IEEE TIP
2011: the share of a picture's edge pixels whose blur would not be noticed. The probability of noticing an edge of
width w is ``1 - exp(-(w / w_jnb)^3.6)``, and the threshold is its value at w_jnb, 1 - 1/e (63 %). It rises with w, so
that an edge is below the threshold just where w <= w_jnb: no probability needs to be computed. Programs that round it
to whole percent first count w = w_jnb as blurred; their numbers are lower.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vultus.metrics.occurrence import Array

BLOCK_PX = 64
EDGE_SHARE = 0.002
"""A block counts if more than this share of its pixels is on an edge."""
JUST_NOTICEABLE_PX = {"low": 5, "high": 3}
"""Width of an edge whose blur is just noticed, in a block of low contrast (grey range of at most 50) and of high."""


def edge_widths(grey: npt.NDArray[np.uint8]) -> Array:
    """Width of each vertical edge: from the edge pixel to the nearest extremum left and right in its row.

    A pixel is on an edge where Sobel's horizontal response is a thinned maximum along its row. The walk goes on while
    the grey value keeps falling (or rising) as it does at the edge.

    Args:
        grey: (H, W).

    Returns:
        (H, W) px; 0 where there is no edge.
    """
    values = grey.astype(np.int32)
    slope = cv2.Sobel(values.astype(np.float64), cv2.CV_64F, 1, 0, ksize=3) / 8
    strength = slope**2
    peak = np.zeros(grey.shape, bool)
    middle = strength[:, 1:-1]
    peak[:, 1:-1] = (middle > 4.0) & (middle >= strength[:, :-2]) & (middle > strength[:, 2:])
    step = np.diff(values, axis=1)
    rising, falling = _runs(step > 0), _runs(step < 0)
    left, right = (np.where(slope > 0, rising[side], falling[side]) for side in (0, 1))
    return np.where(peak, left + right, 0)


def cpbd(grey: npt.NDArray[np.uint8], block_px: int = BLOCK_PX) -> float:
    """Share of edge pixels whose blur is not noticed, over blocks with edges.

    Example: hard steps of black and white have 1; the same steps blurred over 20 px have 0.

    Args:
        grey: (H, W); every side at least ``block_px``. A last strip narrower than a block is left out.
        block_px: 64 as published; a number from other blocks is another metric and is named so (``CPBD16``).

    Returns:
        0..1, higher is sharper; NaN where no block has edges.

    Raises:
        ValueError: not a grey picture, or smaller than a block.
    """
    if grey.ndim != 2 or min(grey.shape) < block_px:
        raise ValueError(f"expected a grey picture of at least {block_px}x{block_px}, got {grey.shape}")
    edges = cv2.Canny(grey, 30, 60) > 0
    widths = edge_widths(grey)
    sharp = total = 0
    for y in range(0, grey.shape[0] - block_px + 1, block_px):
        for x in range(0, grey.shape[1] - block_px + 1, block_px):
            here = np.s_[y : y + block_px, x : x + block_px]
            if edges[here].sum() <= EDGE_SHARE * block_px**2:
                continue
            block = grey[here]
            contrast = "low" if int(block.max()) - int(block.min()) <= 50 else "high"
            found = widths[here][widths[here] > 0]
            sharp += int((found <= JUST_NOTICEABLE_PX[contrast]).sum())
            total += len(found)
    return sharp / total if total else float("nan")


def _runs(holds: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """How many steps in a row hold, ending left of each pixel and starting right of it: two (H, W) of (H, W - 1)."""
    height, steps = holds.shape
    before, after = np.zeros((height, steps + 1), np.int32), np.zeros((height, steps + 1), np.int32)
    for x in range(steps):
        before[:, x + 1] = np.where(holds[:, x], before[:, x] + 1, 0)
        after[:, steps - 1 - x] = np.where(holds[:, steps - 1 - x], after[:, steps - x] + 1, 0)
    return before, after
