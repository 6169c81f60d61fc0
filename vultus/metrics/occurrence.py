"""Scores of binary decisions in several columns, from counts that add up over people.

Every metric is computed in two steps: counts per group of rows (a subject), then a formula on their sum. The bootstrap
over subjects then needs no second pass over the rows: see `vultus.metrics.bootstrap`.

Shapes: N rows, A labels, S subjects; a leading ``...`` stands for bootstrap samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def confusion(probability: Array, target: Array, subject: Array | None = None, threshold: float = 0.5) -> Array:
    """Counts of true and false positives and negatives, per subject and label.

    Args:
        probability: (N, A), of presence, in 0..1.
        target: (N, A), 1 present, 0 absent; negative or NaN = not coded, not counted.
        subject: (N,) integers 0..S-1; None puts all rows into one group.
        threshold: present means probability >= threshold.

    Returns:
        (S, A, 4) float64: TP, FP, FN, TN.

    Raises:
        ValueError: shapes differ.
    """
    if probability.shape != target.shape or probability.ndim != 2:
        raise ValueError(f"expected two (N, A) arrays, got {probability.shape} and {target.shape}")
    valid, positive, decided = target >= 0, target > 0, probability >= threshold
    cells = [decided & positive, decided & ~positive, ~decided & positive, ~decided & ~positive]
    return group_sums(np.stack([cell & valid for cell in cells], axis=-1), subject)


def group_sums(values: Array, group: Array | None) -> Array:
    """Sums of ``values`` (N, ...) over rows of equal ``group`` (N,) in 0..S-1: (S, ...) float64."""
    if group is None:
        total: Array = np.asarray(values, dtype=np.float64).sum(axis=0, keepdims=True)
        return total
    n_groups = int(group.max()) + 1 if len(group) else 0
    sums: Array = np.zeros((n_groups, *values.shape[1:]))
    np.add.at(sums, group, values)
    return sums


def f1(counts: Array) -> Array:
    """F1 of the positive class, ``2 TP / (2 TP + FP + FN)``.

    A label without a positive row has no F1: NaN, which means over labels leave out. A label with positives that are
    all missed has F1 = 0. Example: TP 2, FP 1, FN 1 gives 2/3.

    Args:
        counts: (..., A, 4) from `confusion`, summed over subjects.

    Returns:
        (..., A) in 0..1 or NaN.
    """
    true_positive, false_positive, false_negative = counts[..., 0], counts[..., 1], counts[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        score = 2 * true_positive / (2 * true_positive + false_positive + false_negative)
    return np.where(true_positive + false_negative > 0, score, np.nan)


def accuracy(counts: Array) -> Array:
    """Share of right decisions, ``(TP + TN) / valid``; (..., A) in 0..1, NaN where nothing is coded."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((counts[..., 0] + counts[..., 3]) / counts.sum(axis=-1))


def macro(per_label: Array) -> Array:
    """Plain mean over labels (..., A) -> (...), NaN labels left out; NaN if all are."""
    known = ~np.isnan(per_label)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, per_label, 0).sum(axis=-1) / known.sum(axis=-1))
