from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from vultus.metrics.classification import class_confusion, class_f1, mcnemar, recall, uar, war


def test_the_example_of_the_docstring() -> None:
    target = np.array([0, 0, 0, 0, 1, 1])
    decision = np.array([0, 0, 0, 1, 1, 0])
    counts = class_confusion(decision, target, 2)[0]
    assert counts.tolist() == [[3, 1], [1, 1]]
    assert recall(counts).tolist() == [0.75, 0.5]
    assert uar(counts) == pytest.approx(0.625)
    assert war(counts) == pytest.approx(4 / 6)


def test_an_independent_computation_agrees() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 7, 300)
    decision = np.where(rng.random(300) < 0.5, target, rng.integers(0, 7, 300))
    counts = class_confusion(decision, target, 7)[0]
    np.testing.assert_array_equal(counts, confusion_matrix(target, decision))
    assert uar(counts) == pytest.approx(balanced_accuracy_score(target, decision))
    assert war(counts) == pytest.approx((target == decision).mean())
    np.testing.assert_allclose(class_f1(counts), f1_score(target, decision, average=None))


def test_counts_of_people_add_up() -> None:
    rng = np.random.default_rng(1)
    target, decision, subject = rng.integers(0, 3, 50), rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    by_subject = class_confusion(decision, target, 3, subject)
    assert by_subject.shape == (4, 3, 3)
    np.testing.assert_array_equal(by_subject.sum(axis=0), class_confusion(decision, target, 3)[0])
    assert uar(by_subject).shape == (4,)


def test_a_class_without_items_leaves_the_mean() -> None:
    counts = class_confusion(np.array([0, 1, 2]), np.array([0, 1, 1]), 3)[0]
    assert np.isnan(recall(counts)[2])
    assert np.isnan(class_f1(counts)[2])
    assert uar(counts) == pytest.approx(0.75)


def test_always_the_most_frequent_class_has_the_recall_of_chance() -> None:
    target = np.repeat([0, 1, 2, 3], [70, 10, 10, 10])
    counts = class_confusion(np.zeros(100, int), target, 4)[0]
    assert uar(counts) == pytest.approx(0.25)
    assert war(counts) == pytest.approx(0.7)


def test_mcnemar_is_an_exact_binomial_test_of_the_disagreements() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random(200) < 0.7, rng.random(200) < 0.55
    test = mcnemar(first, second)
    assert test.only_first == (first & ~second).sum()
    assert test.only_second == (second & ~first).sum()
    n = test.only_first + test.only_second
    assert test.p_value == pytest.approx(binomtest(test.only_first, n).pvalue)
    assert mcnemar(first, first).p_value == 1.0
    assert mcnemar(np.array([True] * 5), np.array([False] * 5)).p_value == pytest.approx(2 / 32)


def test_shapes_and_classes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"got \(3,\) and \(2,\)"):
        class_confusion(np.zeros(3, int), np.zeros(2, int), 2)
    with pytest.raises(ValueError, match=r"0\.\.1, not 0\.\.2"):
        class_confusion(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="same items"):
        mcnemar(np.zeros(3, bool), np.zeros(2, bool))
