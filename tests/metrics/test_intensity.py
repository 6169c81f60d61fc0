from __future__ import annotations

import numpy as np
import pytest

from vultus.metrics.intensity import icc_3_1, mae


def icc_by_anova(a: np.ndarray, b: np.ndarray) -> float:
    """Two-way table of sums of squares, written out."""
    table = np.stack([a, b], axis=1)
    n, k = table.shape
    total = ((table - table.mean()) ** 2).sum()
    rows = k * ((table.mean(1) - table.mean()) ** 2).sum()
    raters = n * ((table.mean(0) - table.mean()) ** 2).sum()
    between, error = rows / (n - 1), (total - rows - raters) / ((n - 1) * (k - 1))
    return float((between - error) / (between + (k - 1) * error))


def test_icc_against_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 6, (50, 3)).astype(float)
    prediction = np.clip(target + rng.integers(-1, 2, target.shape), 0, 5)
    missing = rng.random(target.shape) < 0.2
    masked = np.where(missing, np.nan, target)
    for i in range(3):
        keep = ~missing[:, i]
        assert icc_3_1(prediction, masked)[i] == pytest.approx(icc_by_anova(prediction[keep, i], target[keep, i]))


def test_icc_of_shift_and_opposite_and_constant() -> None:
    rating = np.array([[1.0], [2.0], [3.0]])
    assert icc_3_1(rating, rating + 1)[0] == pytest.approx(1.0)
    assert icc_3_1(rating, 4 - rating)[0] == pytest.approx(-1.0)
    assert np.isnan(icc_3_1(np.ones((3, 1)), np.ones((3, 1)))[0])


def test_mae_leaves_out_what_is_not_coded() -> None:
    prediction, target = np.array([[1.0], [2.0], [5.0]]), np.array([[1.0], [4.0], [np.nan]])
    assert mae(prediction, target)[0] == pytest.approx(1.0)
