from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from vultus.metrics.occurrence import accuracy, confusion, f1, group_sums, macro


def example(rng: np.random.Generator, n: int = 200, a: int = 4) -> tuple[np.ndarray, np.ndarray]:
    return rng.random((n, a)), (rng.random((n, a)) < 0.3).astype(np.int8)


def test_against_scikit_learn() -> None:
    probability, target = example(np.random.default_rng(0))
    counts = confusion(probability, target)[0]
    for i in range(4):
        decided = probability[:, i] >= 0.5
        assert f1(counts)[i] == pytest.approx(f1_score(target[:, i], decided))
        assert accuracy(counts)[i] == pytest.approx(accuracy_score(target[:, i], decided))
    assert macro(f1(counts)) == pytest.approx(f1_score(target, probability >= 0.5, average="macro"))


def test_entries_that_are_not_coded_do_not_count() -> None:
    probability, target = example(np.random.default_rng(1))
    missing = np.random.default_rng(2).random(target.shape) < 0.3
    masked = np.where(missing, -1, target)
    counts = confusion(probability, masked)[0]
    for i in range(4):
        keep = ~missing[:, i]
        assert f1(counts)[i] == pytest.approx(f1_score(target[keep, i], probability[keep, i] >= 0.5))
        assert counts[i].sum() == keep.sum()


def test_edges_of_f1() -> None:
    """Counts are TP, FP, FN, TN: all missed is 0; no positive at all has no F1, even with false alarms."""
    counts = np.array([[0, 0, 5, 5], [0, 0, 0, 9], [0, 3, 0, 6], [4, 0, 0, 0]])
    np.testing.assert_array_equal(f1(counts), [0.0, np.nan, np.nan, 1.0])
    assert macro(f1(counts)) == pytest.approx(0.5)
    assert np.isnan(macro(np.full(3, np.nan)))
    assert np.isnan(accuracy(np.zeros((1, 4)))[0])


def test_the_threshold_belongs_to_present() -> None:
    assert confusion(np.array([[0.5]]), np.array([[1]]))[0, 0].tolist() == [1, 0, 0, 0]
    assert confusion(np.array([[0.4999]]), np.array([[1]]))[0, 0].tolist() == [0, 0, 1, 0]


def test_counts_add_up_over_subjects() -> None:
    probability, target = example(np.random.default_rng(3))
    subject = np.random.default_rng(4).integers(0, 5, len(target))
    per_subject = confusion(probability, target, subject)
    assert per_subject.shape == (5, 4, 4)
    np.testing.assert_array_equal(per_subject.sum(0), confusion(probability, target)[0])
    np.testing.assert_array_equal(per_subject[2], confusion(probability[subject == 2], target[subject == 2])[0])


def test_group_sums_of_nothing() -> None:
    assert group_sums(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0, 3)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected two \(N, A\) arrays, got \(3, 2\) and \(3, 1\)"):
        confusion(np.zeros((3, 2)), np.zeros((3, 1)))
