"""Classifiers of feature vectors: support vector machines, an extreme learning machine, a small perceptron.

All of them map standardised vectors to one score a class; the largest score is the decision. The machines are solved at
once by `solve` and hold what they learnt in tensors, so that weights need no pickle and prediction no scikit-learn.

Legend: B vectors of D values, C classes, P = C (C - 1) / 2 pairs of classes, S support vectors.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Array = npt.NDArray[Any]


class VectorClassifier(nn.Module, ABC):
    """What the classifiers have in common."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, C) of vectors (B, D); they compare the classes of one vector, not vectors with each other."""

    @abstractmethod
    def losses(self, x: Tensor, label: Tensor, class_weight: Tensor) -> dict[str, Tensor]:
        """Named losses.

        Args:
            x: (B, D).
            label: (B,) integers 0..C-1.
            class_weight: (C,) weight of an item of each class.
        """


class SolvedClassifier(VectorClassifier):
    """A classifier that is fitted at once."""

    @abstractmethod
    def place(self, x: Array) -> None:
        """Take the size that training vectors (N, D) ask for; afterwards every class scores the same."""

    @abstractmethod
    def solve(self, x: Array, label: Array, class_weight: Array, c: float) -> None:
        """Fit.

        Args:
            x: (N, D).
            label: (N,) integers 0..C-1; a class without a vector never wins.
            class_weight: (C,).
            c: price of an error against the norm of the solution.
        """


class SupportVectorMachine(SolvedClassifier):
    """One soft-margin machine for each pair of classes (Cortes and Vapnik 1995; pairs as in Knerr et al. 1990).

    ``f_p(x) = sum_s dual_ps k(x, support_s) + bias_p`` is positive for the first class of pair p. A class's score is
    the number of pairs that it wins, and its summed margins squeezed into -1/3..1/3 to order equal votes, as in
    scikit-learn's one-vs-rest view of pairwise machines.
    """

    support: Tensor
    gamma: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, n_inputs: int, n_classes: int, kernel: Literal["rbf", "linear"]) -> None:
        super().__init__()
        self.kernel, self.n_classes = kernel, n_classes
        pairs = np.array(list(itertools.combinations(range(n_classes), 2))).reshape(-1, 2)
        self.register_buffer("first", torch.from_numpy(pairs[:, 0]), persistent=False)
        self.register_buffer("second", torch.from_numpy(pairs[:, 1]), persistent=False)
        self.register_buffer("support", torch.zeros(1, n_inputs))
        self.register_buffer("gamma", torch.tensor(1.0 / n_inputs))
        self.dual = nn.Parameter(torch.zeros(len(pairs), 1))
        self.bias = nn.Parameter(torch.zeros(len(pairs)))

    def forward(self, x: Tensor) -> Tensor:
        """Votes plus squeezed margins, (B, C)."""
        margin = self.margins(x)
        wins = torch.zeros(len(x), self.n_classes, dtype=margin.dtype, device=x.device)
        votes = wins.index_add(1, self.first, (margin > 0).to(margin)).index_add(
            1, self.second, (margin < 0).to(margin)
        )
        summed = wins.index_add(1, self.first, margin).index_add(1, self.second, -margin)
        return votes + summed / (3.0 * (summed.abs() + 1.0))

    def margins(self, x: Tensor) -> Tensor:
        """(B, P), positive for the first class of the pair."""
        if self.kernel == "linear":
            kernel = x @ self.support.T
        else:
            square = x.square().sum(1, keepdim=True) - 2 * x @ self.support.T + self.support.square().sum(1)
            kernel = torch.exp(-self.gamma * square.clamp(min=0))
        return kernel @ self.dual.T + self.bias

    def losses(self, x: Tensor, label: Tensor, class_weight: Tensor) -> dict[str, Tensor]:
        """The hinge loss of the pairs that a vector belongs to; the norm that `solve` trades it against is left out."""
        sign = (label[:, None] == self.first).to(x) - (label[:, None] == self.second).to(x)
        weight = sign.abs() * class_weight[label][:, None]
        violation = (1.0 - sign * self.margins(x)).clamp(min=0)
        return {"hinge": (weight * violation).sum() / weight.sum().clamp(min=1e-6)}

    def place(self, x: Array) -> None:
        """Every training vector is a support vector with zero weight; gamma is 1 / (D var(x))."""
        support = torch.from_numpy(np.asarray(x)).to(self.support)
        self.support, self.gamma = support, 1.0 / (x.shape[1] * support.var(correction=0).clamp(min=1e-12))
        self.dual = nn.Parameter(support.new_zeros(len(self.bias), len(support)))

    def solve(self, x: Array, label: Array, class_weight: Array, c: float) -> None:
        """Solve the pairs with libsvm and keep the vectors that any of them needs."""
        from sklearn.svm import SVC

        self.place(x)
        gamma, dual, bias = float(self.gamma), np.zeros(self.dual.shape), np.zeros(len(self.bias))
        for pair, (first, second) in enumerate(zip(self.first.tolist(), self.second.tolist(), strict=True)):
            rows = np.flatnonzero((label == first) | (label == second))
            is_first = label[rows] == first
            if not is_first.any() or is_first.all():
                # Nobody taught one of the two, so the other wins.
                bias[pair] = float(is_first.any()) - float((~is_first).any())
                continue
            weights = {True: class_weight[first], False: class_weight[second]}
            machine = SVC(C=c, kernel=self.kernel, gamma=gamma, class_weight=weights, tol=1e-5).fit(x[rows], is_first)
            dual[pair, rows[machine.support_]] = machine.dual_coef_[0]
            bias[pair] = machine.intercept_[0]
        needed = np.flatnonzero(dual.any(axis=0))
        needed = needed if len(needed) else np.array([0])
        self.support = self.support[torch.from_numpy(needed)]
        self.dual = nn.Parameter(torch.from_numpy(np.ascontiguousarray(dual[:, needed])).to(self.dual))
        self.bias = nn.Parameter(torch.from_numpy(bias).to(self.bias))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As every module, but with as many support vectors as the weights hold."""
        stored = state_dict.get(f"{prefix}support")
        if stored is not None and stored.ndim == 2 and stored.shape[1] == self.support.shape[1]:
            self.support = self.support.new_zeros(stored.shape)
            self.dual = nn.Parameter(self.dual.new_zeros(len(self.dual), len(stored)))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class ExtremeLearningMachine(SolvedClassifier):
    """One hidden layer of random sigmoid units and a ridge read-out (Huang, Zhu, Siew 2006)."""

    hidden_weight: Tensor
    hidden_bias: Tensor

    def __init__(self, n_inputs: int, n_classes: int, units: int) -> None:
        super().__init__()
        self.register_buffer("hidden_weight", torch.rand(n_inputs, units) * 2 - 1)
        self.register_buffer("hidden_bias", torch.rand(units) * 2 - 1)
        self.readout = nn.Parameter(torch.zeros(units, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Read-out of the hidden units, (B, C); 1 is meant for the true class and -1 for the others."""
        return self._hidden(x) @ self.readout

    def losses(self, x: Tensor, label: Tensor, class_weight: Tensor) -> dict[str, Tensor]:
        """Weighted squared error against 1 and -1; the norm of the read-out is left out."""
        weight = class_weight[label]
        error = (self(x) - self._target(label, self.readout)).square().mean(dim=1)
        return {"squared_error": (weight * error).sum() / weight.sum()}

    def place(self, x: Array) -> None:
        """A machine that knows nothing: the read-out is zero."""
        self.readout = nn.Parameter(torch.zeros_like(self.readout))

    def solve(self, x: Array, label: Array, class_weight: Array, c: float) -> None:
        """``readout = (H' W H + I / c)^-1 H' W Y``, in double precision."""
        hidden = self._hidden(torch.from_numpy(np.asarray(x)).to(self.readout)).double()
        target = self._target(torch.from_numpy(label), hidden)
        weighted = hidden * torch.from_numpy(class_weight[label]).to(hidden)[:, None]
        gram = hidden.T @ weighted + torch.eye(hidden.shape[1], dtype=hidden.dtype) / c
        self.readout = nn.Parameter(torch.linalg.solve(gram, weighted.T @ target).to(self.readout))

    def _hidden(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x @ self.hidden_weight + self.hidden_bias)

    def _target(self, label: Tensor, like: Tensor) -> Tensor:
        return 2.0 * functional.one_hot(label, self.readout.shape[1]).to(like) - 1.0


class Perceptron(VectorClassifier):
    """Two linear layers with ReLU and dropout between; trained by the shared loop."""

    def __init__(self, n_inputs: int, n_classes: int, units: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits: Tensor = self.layers(x)
        return logits

    def losses(self, x: Tensor, label: Tensor, class_weight: Tensor) -> dict[str, Tensor]:
        """Weighted cross-entropy."""
        return {"cross_entropy": functional.cross_entropy(self(x), label, class_weight)}
