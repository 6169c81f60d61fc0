"""Frechet distances between two sets of pictures, each seen as one Gaussian in a feature space.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017, eq. 6:
``d^2 = |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))``. The name of the number follows the features: FID only with the
Inception features of the published network, EFID with descriptors of the expression (here the AU intensities of the
``au`` judge), otherwise "FID (judge)" with the judge's label beside it.

The trace of the root is taken from eigenvalues: C1 C2 is similar to the symmetric ``R C2 R`` with ``R = C1^(1/2)``, so
its eigenvalues are real and at least 0, and no complex part has to be thrown away, as happens with a general matrix
root. Numbers of two feature sizes are not comparable, and a covariance of fewer pictures than features has no full
rank: the distance is then biased upwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.metrics.occurrence import Array


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and covariance (d, d) of a set of features."""

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.mean.shape != (d,) or self.covariance.shape != (d, d):
            raise ValueError(f"expected (d,) and (d, d), got {self.mean.shape} and {self.covariance.shape}")


def gaussian(features: Array) -> Gaussian:
    """Mean and unbiased covariance of the rows.

    Args:
        features: (N, d).

    Raises:
        ValueError: fewer than two rows, or a value is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"expected (N, d) features of at least two pictures, got {features.shape}")
    rows = np.asarray(features, np.float64)
    if not np.isfinite(rows).all():
        raise ValueError("a feature is not finite")
    mean = rows.mean(axis=0)
    centred = rows - mean
    return Gaussian(mean, centred.T @ centred / (len(rows) - 1))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """The squared Frechet distance of two Gaussians; 0 for equal ones, symmetric.

    Example: two one-dimensional Gaussians with means 0, 3 and deviations 1, 2 give 9 + (1 - 2)^2 = 10.

    Raises:
        ValueError: the dimensions differ.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(f"features of {len(first.mean)} and {len(second.mean)} dimensions cannot be compared")
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ second.covariance @ root).clip(min=0)
    traces = np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(product).sum()
    return float(((first.mean - second.mean) ** 2).sum() + max(traces, 0.0))


def fid(generated: Array, real: Array) -> float:
    """Frechet distance between the features (N, d) and (M, d) of generated and real pictures; lower is better."""
    return frechet_distance(gaussian(generated), gaussian(real))


def efid(generated: Array, real: Array) -> float:
    """Expression FID: the same between expression descriptors of generated and real frames; lower is better.

    The papers use 64 coefficients of a 3D face model; here it is AU intensities, (N, A) and (M, A) in 0..5. Columns
    that hold NaN in either set (action units that the judge was not taught) are left out of both.

    Raises:
        ValueError: no column is known in both sets.
    """
    if generated.ndim != 2 or generated.shape[1:] != real.shape[1:]:
        raise ValueError(f"expected (N, A) and (M, A), got {generated.shape} and {real.shape}")
    known = ~(np.isnan(generated).any(axis=0) | np.isnan(real).any(axis=0))
    if not known.any():
        raise ValueError("no action unit is known in both sets")
    return fid(generated[:, known], real[:, known])
