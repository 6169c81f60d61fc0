from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from vultus.recognition.gmm import Mixtures, fit_lda


def test_scores_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    weight, mean = np.array([[0.3, 0.7], [1.0, 0.0]]), rng.normal(size=(2, 2, 3))
    variance = rng.uniform(0.5, 2, (2, 2, 3))
    x = rng.normal(size=(5, 3))
    found = Mixtures(weight, mean, variance).module()(torch.from_numpy(x).float()).detach().numpy()
    for c in range(2):
        parts = [
            weight[c, m] * scipy.stats.multivariate_normal(mean[c, m], np.diag(variance[c, m])).pdf(x) for m in (0, 1)
        ]
        np.testing.assert_allclose(found[:, c], np.log(sum(parts)), rtol=1e-4)


def test_one_gaussian_is_mean_and_variance() -> None:
    rng = np.random.default_rng(1)
    x, classes = rng.normal(size=(200, 2)) * [1, 3] + [5, 0], np.arange(200) % 2
    mixtures = Mixtures.flat(x, 3, 1)
    mixtures.estimate(x, classes, 0.01)
    np.testing.assert_allclose(mixtures.mean[1, 0], x[1::2].mean(0))
    np.testing.assert_allclose(mixtures.variance[1, 0], x[1::2].var(0))
    np.testing.assert_allclose(mixtures.mean[2, 0], x.mean(0))  # without frames it keeps what it has


def test_splitting_and_passes_raise_the_likelihood_of_two_clouds() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(-3, 1, (300, 1)), rng.normal(3, 1, (100, 1))])
    classes = np.zeros(400, int)
    mixtures, values = Mixtures.flat(x, 1, 2), []
    for n_components in (1, *[2] * 40):
        mixtures.split(classes, n_components)
        mixtures.estimate(x, classes, 0.01)
        values.append(float(mixtures.module()(torch.from_numpy(x).float()).mean().detach()))
    assert values[-1] > values[0] + 0.2
    assert sorted(mixtures.weight[0]) == pytest.approx([0.25, 0.75], abs=0.03)
    assert sorted(mixtures.mean[0, :, 0]) == pytest.approx([-3, 3], abs=0.3)


def test_a_class_of_few_frames_is_not_split() -> None:
    mixtures = Mixtures.flat(np.random.default_rng(3).normal(size=(59, 1)), 1, 4)
    mixtures.split(np.zeros(59, int), 4)
    assert (mixtures.weight > 0).sum() == 1


def test_lda_finds_the_direction_that_tells_classes_apart() -> None:
    rng = np.random.default_rng(4)
    classes = np.arange(600) % 3
    x = rng.normal(size=(600, 4)) * [1, 10, 1, 1]
    x[:, 2] += 3 * classes
    lda = fit_lda(x, classes, 1, shrinkage=1e-6)
    direction = np.abs(lda[0]) / np.abs(lda[0]).max()
    assert direction[2] == 1
    assert direction[[0, 1, 3]].max() < 0.1
    projected = x @ lda.T
    residual = projected[:, 0] - np.array([projected[classes == c].mean() for c in range(3)])[classes]
    assert residual.std() == pytest.approx(1, abs=0.01)
