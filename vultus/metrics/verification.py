"""Verification: does a score tell pairs of one person from pairs of two?

Ties count half everywhere, so that a constant score is chance: AUC 0.5.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from vultus.metrics.occurrence import Array


def auc(score: Array, same: Array) -> float:
    """Area under the ROC curve: the probability that a same pair scores above a different pair.

    Mann and Whitney 1947: ``(sum of ranks of the positives - P (P + 1) / 2) / (P Q)``.
    Example: scores .9, .8, .3 with same = 1, 0, 0 give 1.

    Args:
        score: (N,), higher means more alike.
        same: (N,) bool.

    Returns:
        0..1; NaN where one of the two kinds is missing.

    Raises:
        ValueError: shapes differ.
    """
    positive = _checked(score, same)
    n_same, n_other = int(positive.sum()), int((~positive).sum())
    if not n_same or not n_other:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - n_same * (n_same + 1) / 2) / (n_same * n_other))


def eer(score: Array, same: Array) -> float:
    """Equal error rate: the error where false accepts and false rejects are equally frequent.

    The ROC curve through all thresholds is crossed with the line of equal errors, linearly between two thresholds.
    Example: scores .9, .4, .6, .1 with same = 1, 1, 0, 0 give 0.5.

    Args:
        score: (N,), higher means more alike.
        same: (N,) bool.

    Returns:
        0..1; NaN where one of the two kinds is missing.

    Raises:
        ValueError: shapes differ.
    """
    positive = _checked(score, same)
    if positive.all() or not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # a threshold never divides equal scores
    accepted_same = np.append(0, positive[order].cumsum()[ends])
    accepted_other = np.append(0, (~positive[order]).cumsum()[ends])
    false_reject = 1 - accepted_same / positive.sum()
    false_accept = accepted_other / (~positive).sum()
    gap = false_accept - false_reject  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(false_accept[after - 1] + share * (false_accept[after] - false_accept[after - 1]))


def pairs(subject: Array, clip: Array) -> tuple[Array, Array, Array]:
    """All pairs of items that come from different clips.

    Frames of one clip share light, pose and camera: a pair of them asks nothing of an identity network.

    Args:
        subject: (N,), of each item.
        clip: (N,), of each item.

    Returns:
        indices (M,) and (M,) with first < second, and whether the person is the same, (M,) bool.
    """
    if subject.shape != clip.shape or subject.ndim != 1:
        raise ValueError(f"expected two (N,) arrays, got {subject.shape} and {clip.shape}")
    first, second = np.triu_indices(len(subject), k=1)
    kept = clip[first] != clip[second]
    first, second = first[kept], second[kept]
    return first, second, np.asarray(subject[first] == subject[second])


def _checked(score: Array, same: Array) -> Array:
    if score.shape != same.shape or score.ndim != 1:
        raise ValueError(f"expected two (N,) arrays, got {score.shape} and {same.shape}")
    if np.isnan(score).any():
        raise ValueError("a score is NaN")
    return np.asarray(same, bool)
