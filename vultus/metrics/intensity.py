"""Agreement of intensity ratings."""

from __future__ import annotations

import numpy as np

from vultus.metrics.occurrence import Array


def icc_3_1(prediction: Array, target: Array) -> Array:
    """Intraclass correlation ICC(3,1) of intensity ratings, per action unit.

    Shrout and Fleiss 1979, case 3: two fixed raters, consistency, single rating:
    ``(BMS - EMS) / (BMS + EMS)`` with the mean squares between frames and of the residual.
    Example: ratings 1, 2, 3 against 2, 3, 4 give 1: a constant shift is no disagreement.

    Args:
        prediction: (N, A), intensity in 0..5, rounded to whole numbers where the protocol says so.
        target: (N, A), same unit; rows with NaN are left out, label by label.

    Returns:
        (A,), in -1..1; NaN where neither rater varies or fewer than two rows are coded.

    Raises:
        ValueError: shapes differ.
    """
    if prediction.shape != target.shape or prediction.ndim != 2:
        raise ValueError(f"expected two (N, A) arrays, got {prediction.shape} and {target.shape}")
    ratings = np.stack([prediction, target], axis=-1).astype(np.float64)  # (N, A, 2)
    known = ~np.isnan(ratings).any(axis=-1, keepdims=True)
    ratings = np.where(known, ratings, 0)
    n = known.sum(axis=0)  # (A, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        grand = (ratings.sum(axis=(0, 2)) / (2 * n[:, 0]))[:, None]  # (A, 1)
        row_mean = ratings.mean(axis=-1, keepdims=True)
        rater_mean = ratings.sum(axis=0) / n  # (A, 2)
        between = 2 * (np.where(known, row_mean - grand, 0) ** 2).sum(axis=(0, 2)) / (n[:, 0] - 1)
        residual = np.where(known, ratings - row_mean - rater_mean + grand, 0)
        error = (residual**2).sum(axis=(0, 2)) / (n[:, 0] - 1)
        return np.asarray(np.where(n[:, 0] > 1, (between - error) / (between + error), np.nan))


def mae(prediction: Array, target: Array) -> Array:
    """Mean absolute error per column: (N, A), (N, A) -> (A,); NaN targets are left out; in the unit of the target."""
    if prediction.shape != target.shape or prediction.ndim != 2:
        raise ValueError(f"expected two (N, A) arrays, got {prediction.shape} and {target.shape}")
    known = ~np.isnan(target)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, np.abs(prediction - target), 0).sum(axis=0) / known.sum(axis=0))
