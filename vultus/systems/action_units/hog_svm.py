"""Baseline: histograms of oriented gradients of the aligned face, and a linear support vector machine for each AU.

The classical detector (the LSVM rows of the published tables are of this kind). It owns its fit: C and the class
weights are chosen for each AU on the validation people. The decision is the sign of the margin; the probability is its
logistic function, which keeps that sign but is not calibrated. Input and output are those of
`vultus.systems.action_units.common`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vultus.core.console import track
from vultus.core.history import HistoryRow
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch, System
from vultus.data.splits import Part
from vultus.metrics.occurrence import confusion, f1
from vultus.systems.action_units.common import PROTOCOL, AuFold, FaceConfig, Prediction

if TYPE_CHECKING:
    from vultus.core.loop import Run

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Config(FaceConfig):
    """Cells, blocks and bins are those of Dalal and Triggs 2005."""

    hog_px: int = 96
    """Side to which the crop is resized before the gradients; a multiple of the cell."""
    cell_px: int = 8
    bins: int = 9
    c_values: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    """Candidates for C, the price of a violated margin."""
    class_weights: tuple[Literal["none", "balanced"], ...] = ("none", "balanced")
    """Candidates: all rows alike, or positives and negatives with equal weight in total."""
    training_frames: int = 6000
    """At most about this many training frames, evenly spaced; 0 = all."""


class HogSvm(System):
    """Standardised HOG features and a linear margin for each AU, ``w x + b``."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.hog_px % config.cell_px:
            raise ValueError(f"hog_px must be a multiple of cell_px, not {config.hog_px} and {config.cell_px}")
        cell, block, side = (config.cell_px,) * 2, (2 * config.cell_px,) * 2, (config.hog_px,) * 2
        self._hog = cv2.HOGDescriptor(side, block, cell, cell, config.bins)
        size = int(self._hog.getDescriptorSize())
        self.weight = nn.Parameter(torch.zeros(len(config.aus), size))
        self.bias = nn.Parameter(torch.zeros(len(config.aus)))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, run: Run) -> None:
        """Fit each AU with each candidate on training people; keep the best on validation people."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        assert isinstance(run.fold, AuFold)
        started = time.perf_counter()
        limits: dict[Part, int] = {"train": self.config.training_frames, "validation": self.config.validation_frames}
        (x, y), (x_val, y_val) = (self._table(run.fold, part, limit) for part, limit in limits.items())
        self.mean.copy_(torch.from_numpy(x.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(x.std(axis=0) + 1e-6))
        x, x_val = ((values - self.mean.numpy()) / self.scale.numpy() for values in (x, x_val))
        chosen: dict[str, Any] = {}
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a large C may stop early; validation decides
            for i, au in enumerate(track(self.config.aus, run.label("machines"))):
                coded, best = y[:, i] >= 0, -1.0
                if len(np.unique(y[coded, i])) < 2:
                    self.bias[i] = 1.0 if (y[coded, i] > 0).any() else -1.0
                    continue
                for weighting in self.config.class_weights:
                    for c in self.config.c_values:
                        weights = None if weighting == "none" else weighting
                        # The dual converges in few sweeps for so small a C, also with more frames than features.
                        machine = LinearSVC(C=c, class_weight=weights, dual=True, random_state=run.seed)
                        machine.fit(x[coded], y[coded, i])
                        margin = machine.decision_function(x_val)[:, None]
                        score = float(np.nan_to_num(f1(confusion(margin, y_val[:, i : i + 1], threshold=0.0))[0, 0]))
                        if score > best:
                            best, chosen[f"AU{au:02d}"] = score, {"C": c, "class_weight": weighting, "F1": score}
                            self.weight[i] = torch.from_numpy(machine.coef_[0]).float()
                            self.bias[i] = float(machine.intercept_[0])
        self.eval()
        seconds = round(time.perf_counter() - started, 3)
        scores = run.fold.validate(self, run.train.batch_size)
        for name, value in scores.items():
            run.history.append(HistoryRow(run.fold.name, "svm", 0, 1, "validation", name, value, seconds))
        run.selected["svm"] = {
            "epoch": 0, "metric": "F1", "value": scores["F1"], "steps": 1, "seconds": seconds, "chosen": chosen,
        }  # fmt: skip

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The squared hinge loss that the machines minimise, averaged over coded entries; `fit` does not use it."""
        target = batch["au_occurrence"]
        sign = torch.where(target > 0, 1.0, -1.0)
        violation = (1 - sign * self._margin(batch)).clamp(min=0).square()
        coded = (target >= 0).float()
        return {"squared_hinge": (violation * coded).sum() / coded.sum().clamp(min=1)}

    def predict(self, batch: Batch) -> Prediction:
        """Probability = logistic function of the margin."""
        return Prediction(au_probability=self._margin(batch).sigmoid())

    def _margin(self, batch: Batch) -> Tensor:
        features = torch.from_numpy(self._features(batch["image"])).to(self.weight.device)
        return ((features - self.mean) / self.scale) @ self.weight.T + self.bias

    def _features(self, image: Tensor) -> Array:
        """HOG descriptors (B, D) of faces (B, 3, l, l) in -1..1."""
        faces = ((image.permute(0, 2, 3, 1).cpu().numpy() + 1) * 127.5).round().astype(np.uint8)
        side = (self.config.hog_px,) * 2
        described = [
            self._hog.compute(cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), side, interpolation=cv2.INTER_AREA))
            for face in faces
        ]
        return np.stack(described).reshape(len(faces), -1)

    def _table(self, fold: AuFold, part: Part, limit: int) -> tuple[Array, Array]:
        """Features (N, D) and targets (N, A) of a part's frames."""
        pieces: Sequence[tuple[Array, Array]] = [
            (self._features(batch["image"]), batch["au_occurrence"].numpy()) for batch in fold.batches(part, 256, limit)
        ]
        features, targets = zip(*pieces, strict=True)
        return np.concatenate(features), np.concatenate(targets)


CARD = register(
    Card(
        key="hog_svm",
        family="action_units",
        role="baseline",
        title="HOG and linear SVM",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=HogSvm,
        train=TrainConfig(epochs=1, batch_size=256),
        datasets=("world", "bp4d", "disfa"),
        protocol=PROTOCOL,
        headline=("F1", "Accuracy", "ECE"),
    )
)
