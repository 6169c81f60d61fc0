"""Baseline: logistic regression on the source's grey pixels, or on its given features.

It learns no feature and sees no target: what remains of the task when nothing but contrast is taken away. It owns its
fit, a convex problem without a step size. Input and output are those of `vultus.systems.adaptation.common`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.history import HistoryRow
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch
from vultus.systems.adaptation.common import (
    HEADLINE,
    PROTOCOL,
    DomainConfig,
    DomainFold,
    DomainSystem,
    Prediction,
)

if TYPE_CHECKING:
    from vultus.core.loop import Run

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Config(DomainConfig):
    """With ``backbone: mlp`` the given features are taken as they are, else pictures are made small and grey."""

    side_px: int = 24
    """Side to which a picture is reduced."""
    c: float = 0.01
    """Inverse strength of the squared penalty on the weights."""


class SourceLogistic(DomainSystem):
    """Standardised inputs and one linear layer."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        size = config.features if config.backbone == "mlp" else config.side_px**2
        self.linear = nn.Linear(size, config.classes)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, run: Run) -> None:
        """Solve the regression on all source items, seen as they are tested."""
        from sklearn.linear_model import LogisticRegression

        fold, started = run.fold, time.perf_counter()
        assert isinstance(fold, DomainFold)
        seen = [self._inputs(batch["target"]) for batch in fold.batches("source", run.train.batch_size)]
        inputs = torch.cat(seen)
        self.mean.copy_(inputs.mean(dim=0))
        self.deviation.copy_(inputs.std(dim=0) + 1e-6)
        x: Array = ((inputs - self.mean) / self.deviation).numpy().astype(np.float64)
        solved = LogisticRegression(C=self.config.c, max_iter=300, tol=1e-5).fit(x, fold.source_label)
        # of two classes the solver keeps one row, the logit of the second
        two = len(solved.coef_) == 1
        weight = np.concatenate([-solved.coef_, solved.coef_]) / 2 if two else solved.coef_
        bias = np.concatenate([-solved.intercept_, solved.intercept_]) / 2 if two else solved.intercept_
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(weight))
            self.linear.bias.copy_(torch.from_numpy(bias))
        self.eval()
        seconds = round(time.perf_counter() - started, 3)
        for name, value in fold.validate(self, run.train.batch_size).items():
            run.history.append(HistoryRow(fold.name, "logistic", 0, 1, "validation", name, value, seconds))
        run.selected["logistic"] = {"epoch": 0, "metric": "", "value": None, "steps": 1, "seconds": seconds}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the source, without the penalty; `fit` does not use it."""
        return {"classification": functional.cross_entropy(self._logits(batch["source"]), batch["label"])}

    def predict(self, batch: Batch) -> Prediction:
        """Class probabilities."""
        return Prediction(probability=self._logits(batch["target"]).softmax(dim=1))

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear((self._inputs(x) - self.mean) / self.deviation)
        return logits

    def _inputs(self, x: Tensor) -> Tensor:
        """(B, 3, l, l) -> (B, side^2) grey pixels; (B, d) as they are."""
        if self.config.backbone == "mlp":
            return x
        grey = x.mean(dim=1, keepdim=True)
        return functional.interpolate(grey, size=(self.config.side_px,) * 2, mode="area").flatten(1)


CARD = register(
    Card(
        key="source_logistic",
        family="adaptation",
        role="baseline",
        title="Logistic regression on the source",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=SourceLogistic,
        train=TrainConfig(epochs=1, batch_size=256),
        datasets=("styles", "office31", "imageclef"),
        protocol=PROTOCOL,
        headline=HEADLINE,
    )
)
