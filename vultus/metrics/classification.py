"""Scores of a choice among classes, from confusion counts that add up over people.

UAR, the unweighted average recall, is what the speech emotion literature calls UA, and WAR (the accuracy) what it calls
WA. On unbalanced classes they differ, and UAR is the number to compare: always answering the most frequent of C classes
gives 1 / C.

Shapes: N items, C classes, S subjects; a leading ``...`` stands for bootstrap samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from vultus.metrics.occurrence import Array, group_sums, macro


def class_confusion(decision: Array, target: Array, n_classes: int, subject: Array | None = None) -> Array:
    """How often each class was taken for each.

    Args:
        decision: (N,) integers 0..C-1.
        target: (N,) integers 0..C-1.
        n_classes: C.
        subject: (N,) integers 0..S-1; None puts all items into one group.

    Returns:
        (S, C, C) float64: rows are the truth, columns the decisions.

    Raises:
        ValueError: shapes differ, or a class is out of range.
    """
    if decision.shape != target.shape or decision.ndim != 1:
        raise ValueError(f"expected two (N,) arrays, got {decision.shape} and {target.shape}")
    for values in (decision, target):
        if len(values) and not 0 <= values.min() <= values.max() < n_classes:
            raise ValueError(f"classes must lie in 0..{n_classes - 1}, not {values.min()}..{values.max()}")
    cells = np.zeros((len(target), n_classes, n_classes))
    cells[np.arange(len(target)), target, decision] = 1.0
    return group_sums(cells, subject)


def recall(counts: Array) -> Array:
    """Share of each class that was found, ``n_cc / n_c``; NaN for a class without items. (..., C, C) -> (..., C)."""
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def class_f1(counts: Array) -> Array:
    """``2 n_cc / (n_c + answers c)`` of each class; NaN for a class without items. (..., C, C) -> (..., C)."""
    found, given = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1)
    return np.where(given > 0, _ratio(2 * found, given + counts.sum(axis=-2)), np.nan)


def uar(counts: Array) -> Array:
    """Unweighted average recall, the mean of `recall` over the classes that have items. (..., C, C) -> (...).

    Example: 3 of 4 items of one class and 1 of 2 of the other found give (0.75 + 0.5) / 2 = 0.625.
    """
    return macro(recall(counts))


def war(counts: Array) -> Array:
    """Weighted average recall, the accuracy: 4 of 6 in the example of `uar`. (..., C, C) -> (...)."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


@dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same items."""

    only_first: int
    """Items that the first alone had right."""
    only_second: int
    p_value: float
    """Two-sided exact probability of so uneven a division if both err equally often."""


def mcnemar(first_correct: Array, second_correct: Array) -> McNemar:
    """McNemar's exact test: the items on which exactly one of two classifiers is right are a fair coin's tosses.

    Items of one speaker are not independent, so the probability is too small where speakers are few: read it beside the
    bootstrap over speakers.

    Args:
        first_correct: (N,) bool.
        second_correct: (N,) bool, of the same items.

    Raises:
        ValueError: shapes differ.
    """
    if first_correct.shape != second_correct.shape:
        raise ValueError(f"expected the same items, got {first_correct.shape} and {second_correct.shape}")
    only_first = int((first_correct & ~second_correct).sum())
    only_second = int((second_correct & ~first_correct).sum())
    smaller, n = min(only_first, only_second), only_first + only_second
    return McNemar(only_first, only_second, min(1.0, 2.0 * float(binom.cdf(smaller, n, 0.5))))


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)
