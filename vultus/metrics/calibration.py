"""Expected calibration error of binary probabilities, from bin sums that add up over people.

Naeini et al. 2015, Guo et al. 2017. Equal-width bins, closed on the right: bin b holds ``(b-1)/M < p <= b/M``, and
p = 0 falls in the first. "Accuracy" of a bin is the observed frequency of the positive class, not of right decisions.

Shapes: N rows, A labels, S subjects, M bins.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.occurrence import Array, group_sums


def reliability(probability: Array, target: Array, subject: Array | None = None, bins: int = 15) -> Array:
    """Rows, sum of probabilities and sum of positives in each bin.

    Args:
        probability: (N, A) in 0..1.
        target: (N, A), 1 present, 0 absent; negative or NaN = not coded, not counted.
        subject: (N,) integers 0..S-1; None puts all rows into one group.
        bins: M.

    Returns:
        (S, A, M, 3) float64: count, sum of p, sum of y.

    Raises:
        ValueError: shapes differ or a probability lies outside 0..1.
    """
    if probability.shape != target.shape or probability.ndim != 2:
        raise ValueError(f"expected two (N, A) arrays, got {probability.shape} and {target.shape}")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(f"probabilities must lie in 0..1, got {probability.min()}..{probability.max()}")
    # float64: a float32 bin edge would throw exact multiples of 1/M into the wrong bin
    p = np.asarray(probability, dtype=np.float64)
    index = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    valid = target >= 0
    group = np.zeros(len(p), dtype=np.int64) if subject is None else subject
    n_groups, n_labels = (int(group.max()) + 1 if len(group) else 1), p.shape[1]
    cell = (group[:, None] * n_labels + np.arange(n_labels)) * bins + index
    facts = np.stack([valid, np.where(valid, p, 0), np.where(valid, target > 0, 0)], axis=-1)
    sums = group_sums(facts.reshape(-1, 3), cell.reshape(-1))
    full = np.zeros((n_groups * n_labels * bins, 3))
    full[: len(sums)] = sums
    return full.reshape(n_groups, n_labels, bins, 3)


def ece(sums: Array) -> Array:
    """Expected calibration error, ``sum_b |B_b|/N |mean y - mean p|`` = ``sum_b |sum y - sum p| / N``.

    Example: p = .2, .2, .9 with y = 0, 1, 1 in 5 bins: (|1 - .4| + |1 - .9|) / 3 = 0.233.

    Args:
        sums: (..., A, M, 3) from `reliability`, summed over subjects.

    Returns:
        (..., A) in 0..1; NaN where nothing is coded.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1) / sums[..., 0].sum(axis=-1))
