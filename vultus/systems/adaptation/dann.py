"""Baseline: domain-adversarial training of features.

Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015: a discriminator tells source
from target features, and a reversed gradient makes the features fight it. The printed numbers are those of the table
in CDAN's paper.
Input and output are those of `vultus.systems.adaptation.common`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vultus.core.registry import Card, register
from vultus.core.system import Batch
from vultus.nn.domain_adversarial import AlignedClassifier
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
    """Defaults are the settings of CDAN's comparison on ResNet-50."""

    discriminator: int = 1024
    """Units of the discriminator."""
    trade_off: float = 1.0
    """Weight of the adversarial loss."""


class Dann(DomainSystem):
    """A classifier whose features are aligned between the domains."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = AlignedClassifier(config, "dann", config.discriminator)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on the source, and the adversarial loss on both domains."""
        return self.network.losses(batch, self.config.trade_off)[0]

    def predict(self, batch: Batch) -> Prediction:
        """Class probabilities."""
        return Prediction(probability=self.network(batch["target"]))


CARD = register(
    Card(
        key="dann",
        family="adaptation",
        role="baseline",
        title="Unsupervised Domain Adaptation by Backpropagation",
        authors="Yaroslav Ganin, Victor Lempitsky",
        venue="ICML",
        year=2015,
        identifier="arXiv 1409.7495",
        config=Config,
        system=Dann,
        train=TRAIN,
        datasets=("styles", "office31", "imageclef"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        paper_values={
            "office31": printed("Accuracy", OFFICE31, (82.0, 96.9, 99.1, 79.7, 68.2, 67.4, 82.2)),
            "imageclef": printed("Accuracy", IMAGECLEF, (75.0, 86.0, 96.2, 87.0, 74.3, 91.5, 85.0)),
        },
    )
)  # fmt: skip
