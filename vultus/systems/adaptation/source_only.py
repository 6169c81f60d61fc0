"""Baseline: the teacher's network, taught by the source alone.

What adaptation must beat: no target item is seen in training, not even by batch norm.
Input and output are those of `vultus.systems.adaptation.common`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from vultus.core.registry import Card, register
from vultus.core.system import Batch
from vultus.nn.domain_adversarial import Classifier
from vultus.systems.adaptation.common import (
    HEADLINE,
    IMAGECLEF,
    OFFICE31,
    PROTOCOL,
    TRAIN,
    DomainConfig,
    DomainSystem,
    Prediction,
    printed,
)


@dataclass(frozen=True)
class Config(DomainConfig):
    """Defaults are the network of `tsc_uda`'s teacher."""


class SourceOnly(DomainSystem):
    """A classifier without alignment."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = Classifier(config)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on the source."""
        logits, smoothing = self.network(batch["source"])[1], self.config.label_smoothing
        return {"classification": functional.cross_entropy(logits, batch["label"], label_smoothing=smoothing)}

    def predict(self, batch: Batch) -> Prediction:
        """Class probabilities."""
        return Prediction(probability=self.network(batch["target"])[1].softmax(dim=1))


CARD = register(
    Card(
        key="source_only",
        family="adaptation",
        role="baseline",
        title="Source only",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=SourceOnly,
        train=TRAIN,
        datasets=("styles", "office31", "imageclef"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        paper_values={
            "office31": printed("Accuracy", OFFICE31, (68.4, 96.7, 99.3, 68.9, 62.5, 60.7, 76.1)),
            "imageclef": printed("Accuracy", IMAGECLEF, (74.8, 83.9, 91.5, 78.0, 65.5, 91.2, 80.7)),
        },
    )
)  # fmt: skip
