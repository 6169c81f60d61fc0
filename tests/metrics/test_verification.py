"""AUC and EER against counting, chance and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from vultus.metrics.verification import auc, eer, pairs


def test_auc_counts_pairs_rightly_ordered() -> None:
    rng = np.random.default_rng(0)
    score, same = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    wins = [(p > q) + 0.5 * (p == q) for p in score[same] for q in score[~same]]
    assert auc(score, same) == pytest.approx(np.mean(wins))


def test_perfect_inverted_and_constant_scores() -> None:
    same = np.array([True, True, False, False, False])
    score = np.array([5.0, 4, 3, 2, 1])
    assert (auc(score, same), eer(score, same)) == (1.0, 0.0)
    assert (auc(-score, same), eer(-score, same)) == (0.0, 1.0)
    assert (auc(np.zeros(5), same), eer(np.zeros(5), same)) == (0.5, 0.5)


def test_two_gaussians_give_their_closed_forms() -> None:
    distance = 1.6
    grid = norm.ppf((np.arange(4000) + 0.5) / 4000)
    score, same = np.concatenate([grid + distance, grid]), np.repeat([True, False], 4000)
    assert auc(score, same) == pytest.approx(norm.cdf(distance / math.sqrt(2)), abs=1e-3)
    assert eer(score, same) == pytest.approx(norm.cdf(-distance / 2), abs=1e-3)


def test_one_kind_alone_has_no_number() -> None:
    assert math.isnan(auc(np.ones(3), np.ones(3, bool)))
    assert math.isnan(eer(np.ones(3), np.zeros(3, bool)))


def test_pairs_leave_out_those_of_one_clip() -> None:
    first, second, same = pairs(np.array(["a", "a", "a", "b"]), np.array(["a1", "a1", "a2", "b1"]))
    found = {(int(i), int(j)): bool(s) for i, j, s in zip(first, second, same, strict=True)}
    assert found == {(0, 2): True, (1, 2): True, (0, 3): False, (1, 3): False, (2, 3): False}


def test_wrong_shapes_and_nan_are_told() -> None:
    with pytest.raises(ValueError, match="expected two"):
        auc(np.ones(3), np.ones(2, bool))
    with pytest.raises(ValueError, match="NaN"):
        eer(np.array([np.nan, 1.0]), np.array([True, False]))
    with pytest.raises(ValueError, match="expected two"):
        pairs(np.ones(3), np.ones((3, 1)))
