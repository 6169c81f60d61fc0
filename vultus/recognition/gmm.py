"""Gaussian mixtures with diagonal covariances, one a state class, re-estimated from frames whose class is known.

Viterbi training: each frame belongs to the class that the alignment gives it; within the class its components share it
by their posterior. C classes, M components, D features, N frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[Any]

EMPTY = -40.0
"""Log-weight of a component that is not in use."""
SPLIT_SIGMA = 0.2
"""A component is split into two at so many standard deviations on either side of its mean."""
MIN_FRAMES = 30
"""A class keeps at most one component for each so many frames."""


class GaussianMixtures(nn.Module):
    """log p(x | class), with its parameters as tensors: log-weights, means, log-variances."""

    def __init__(self, n_classes: int, n_components: int, n_features: int) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.full((n_classes, n_components), -math.log(n_components)))
        self.mean = nn.Parameter(torch.zeros(n_classes, n_components, n_features))
        self.log_variance = nn.Parameter(torch.zeros(n_classes, n_components, n_features))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, D) -> log-likelihoods (N, C)."""
        n_classes, n_components, n_features = self.mean.shape
        precision = torch.exp(-self.log_variance).reshape(-1, n_features)
        mean = self.mean.reshape(-1, n_features)
        offset = self.log_variance.reshape(-1, n_features).sum(1) + (mean.square() * precision).sum(1)
        distance = x.square() @ precision.T - 2 * x @ (mean * precision).T + offset
        logs = self.log_weight.reshape(-1) - 0.5 * (distance + n_features * math.log(2 * math.pi))
        return torch.logsumexp(logs.reshape(len(x), n_classes, n_components), dim=2)

    def set(self, mixtures: Mixtures) -> None:
        """Take over estimated mixtures."""
        with torch.no_grad():
            weight = np.where(mixtures.weight > 0, np.log(np.maximum(mixtures.weight, 1e-300)), EMPTY)
            self.log_weight.copy_(torch.from_numpy(weight))
            self.mean.copy_(torch.from_numpy(mixtures.mean))
            self.log_variance.copy_(torch.from_numpy(np.log(mixtures.variance)))


@dataclass
class Mixtures:
    """Estimates in double precision; a weight of 0 marks a component that is not in use.

    Attributes:
        weight: (C, M).
        mean: (C, M, D).
        variance: (C, M, D).
    """

    weight: Array
    mean: Array
    variance: Array

    @classmethod
    def flat(cls, x: Array, n_classes: int, n_components: int) -> Mixtures:
        """Every class the Gaussian of all frames (N, D)."""
        weight = np.zeros((n_classes, n_components))
        weight[:, 0] = 1
        shape = (n_classes, n_components, x.shape[1])
        return cls(weight, np.broadcast_to(x.mean(0), shape).copy(), np.broadcast_to(x.var(0), shape).copy())

    def module(self) -> GaussianMixtures:
        """The same as a module that scores."""
        made = GaussianMixtures(*self.mean.shape)
        made.set(self)
        return made

    def estimate(self, x: Array, classes: Array, floor: float) -> None:
        """One re-estimation; a class without frames keeps what it has.

        Args:
            x: (N, D) frames.
            classes: (N,) class of each.
            floor: variances are at least this share of the variance of all frames.
        """
        lowest = floor * x.var(0)
        order = np.argsort(classes, kind="stable")
        x, classes = x[order], classes[order]
        present, starts = np.unique(classes, return_index=True)
        for c, start, stop in zip(present.tolist(), starts, np.append(starts[1:], len(x)), strict=True):
            frames = x[start:stop]
            used = np.flatnonzero(self.weight[c] > 0)
            share = self._posterior(c, used, frames)
            count = share.sum(0) + 1e-10
            mean = share.T @ frames / count[:, None]
            self.mean[c, used] = mean
            self.variance[c, used] = np.maximum(share.T @ frames**2 / count[:, None] - mean**2, lowest)
            self.weight[c, used] = count / count.sum()

    def split(self, classes: Array, n_components: int) -> None:
        """Split the heaviest components of each class until it has ``n_components``, or too few frames for more."""
        frames = np.bincount(classes, minlength=len(self.weight))
        for c in range(len(self.weight)):
            while (used := np.count_nonzero(self.weight[c])) < min(n_components, max(1, frames[c] // MIN_FRAMES)):
                heavy, new = int(self.weight[c].argmax()), int(np.flatnonzero(self.weight[c] == 0)[0])
                assert used < self.weight.shape[1]
                self.weight[c, [heavy, new]] = self.weight[c, heavy] / 2
                step = SPLIT_SIGMA * np.sqrt(self.variance[c, heavy])
                self.mean[c, new] = self.mean[c, heavy] + step
                self.mean[c, heavy] -= step
                self.variance[c, new] = self.variance[c, heavy]

    def _posterior(self, c: int, used: Array, frames: Array) -> Array:
        """(n, used) share of each component in each frame of a class."""
        if len(used) == 1:
            return np.ones((len(frames), 1))
        precision = 1 / self.variance[c, used]
        mean = self.mean[c, used]
        distance = frames**2 @ precision.T - 2 * frames @ (mean * precision).T
        constant = np.log(self.weight[c, used]) - 0.5 * (mean**2 * precision - np.log(precision)).sum(1)
        logs = constant - 0.5 * distance
        logs -= logs.max(1, keepdims=True)
        share: Array = np.exp(logs)
        share /= share.sum(1, keepdims=True)
        return share


def fit_lda(x: Array, classes: Array, n_components: int, shrinkage: float = 0.05) -> Array:
    """Linear discriminant analysis: the directions that tell the classes apart best, with unit variance within.

    Args:
        x: (N, D) frames.
        classes: (N,).
        n_components: directions kept, at most D.
        shrinkage: share of the average variance that is added to the scatter within classes.

    Returns:
        (n_components, D).
    """
    import scipy.linalg

    present, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    means = np.zeros((len(present), x.shape[1]))
    np.add.at(means, inverse, x)
    means /= counts[:, None]
    residual = x - means[inverse]
    within = residual.T @ residual / len(x)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    centred = means - x.mean(0)
    between = (centred * (counts / len(x))[:, None]).T @ centred
    _, vectors = scipy.linalg.eigh(between, within)
    best = vectors[:, ::-1][:, :n_components].T
    signs = np.sign(best[np.arange(len(best)), np.abs(best).argmax(1)])
    lda: Array = best * signs[:, None]
    return lda
