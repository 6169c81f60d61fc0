"""Frechet distances against the closed form of Gaussians and against a general matrix root."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from vultus.metrics.frechet import Gaussian, efid, fid, frechet_distance, gaussian


def _random_covariance(d: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(d, d))
    return root @ root.T / d


def test_one_dimension_is_difference_of_means_and_of_deviations() -> None:
    first = Gaussian(np.array([0.0]), np.array([[1.0]]))
    second = Gaussian(np.array([3.0]), np.array([[4.0]]))
    assert frechet_distance(first, second) == pytest.approx(9 + (1 - 2) ** 2)


def test_diagonal_covariances_add_up_dimension_by_dimension() -> None:
    deviations = np.array([[0.5, 1.0, 2.0], [1.5, 1.0, 0.1]])
    means = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])
    first, second = (Gaussian(m, np.diag(s**2)) for m, s in zip(means, deviations, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_full_covariances_agree_with_the_matrix_root() -> None:
    a, b = _random_covariance(6, 1), _random_covariance(6, 2)
    expected = np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    zero = np.zeros(6)
    assert frechet_distance(Gaussian(zero, a), Gaussian(zero, b)) == pytest.approx(expected)
    assert frechet_distance(Gaussian(zero, b), Gaussian(zero, a)) == pytest.approx(expected)
    assert frechet_distance(Gaussian(zero, a), Gaussian(zero, a)) == pytest.approx(0, abs=1e-12)


def test_singular_covariance_has_a_distance() -> None:
    flat = np.diag([1.0, 0.0])
    assert frechet_distance(Gaussian(np.zeros(2), flat), Gaussian(np.zeros(2), np.eye(2))) == pytest.approx(1.0)


def test_samples_give_numpys_mean_and_covariance() -> None:
    rows = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
    fitted = gaussian(rows)
    assert np.allclose(fitted.mean, rows.mean(axis=0), atol=1e-6)
    assert np.allclose(fitted.covariance, np.cov(rows.T), atol=1e-6)


def test_fid_of_shifted_features_is_the_square_of_the_shift() -> None:
    rows = np.random.default_rng(4).normal(size=(200, 5))
    assert fid(rows + 2.0, rows) == pytest.approx(5 * 4.0)
    assert fid(rows, rows) == pytest.approx(0, abs=1e-9)


def test_efid_leaves_out_what_the_judge_was_not_taught() -> None:
    rows = np.random.default_rng(5).uniform(0, 5, size=(100, 3))
    unknown = np.column_stack([rows, np.full(100, np.nan)])
    assert efid(unknown + [1, 0, 0, 0], unknown) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no action unit"):
        efid(np.full((5, 2), np.nan), np.zeros((5, 2)))


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match="at least two"):
        gaussian(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        gaussian(np.full((4, 2), np.inf))
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        frechet_distance(gaussian(np.eye(2)), gaussian(np.eye(3)))
    with pytest.raises(ValueError, match=r"\(d, d\)"):
        Gaussian(np.zeros(2), np.zeros((2, 3)))
