"""Intervals by drawing people, not frames: frames of one person are near-duplicates.

A metric is written as a function of sums over subjects, so a resample is a vector of how often each subject was drawn,
and all resamples are one matrix product. Shapes: S subjects, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vultus.core.seeds import generator
from vultus.metrics.occurrence import Array

RESAMPLES = 2000


def draws(n_subjects: int, seed: int, resamples: int = RESAMPLES) -> Array:
    """How often each subject is drawn in each resample: (R, S) float64, each row sums to S."""
    rng = generator(seed, "bootstrap", n_subjects)
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=resamples).astype(np.float64)


def resample(folds: Sequence[Array], formula: Callable[[Array], Array], seed: int) -> tuple[Array, Array]:
    """A metric on all subjects, and on resamples of them.

    Subjects are drawn within their fold; the metric is computed fold by fold, and the folds are averaged, as in the
    protocols of BP4D and DISFA.

    Args:
        folds: for each fold the sums (S, ...) that the metric needs, a row a subject.
        formula: sums (..., rest) over subjects -> metric (..., shape).
        seed: two metrics (or systems) with the same seed and subjects get the same draws, so differences are paired.

    Returns:
        the metric (shape), and the metric of each resample (R, shape).
    """
    values, samples = [], []
    for index, sums in enumerate(folds):
        values.append(formula(sums.sum(axis=0)))
        samples.append(formula(np.tensordot(draws(len(sums), seed + index), sums, axes=1)))
    return _mean(values), _mean(samples)


def interval(samples: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval over the first axis, (R, ...) -> low (...), high (...); a NaN resample does not count."""
    tail = 50 * (1 - level)
    known = ~np.isnan(samples).all(axis=0)
    safe = np.where(known, samples, 0.0)
    low, high = np.nanpercentile(safe, [tail, 100 - tail], axis=0)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _mean(parts: list[Array]) -> Array:
    stacked = np.stack(parts)
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stacked, 0).sum(axis=0) / known.sum(axis=0))
