"""Baseline: domain-adversarial training of features together with class probabilities.

Long et al., "Conditional Adversarial Domain Adaptation", NeurIPS 2018: the discriminator sees the outer product of
features and probabilities; with ``entropy`` (CDAN+E) sure items count more. This is `tsc_uda`'s teacher on its own.
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
    """Defaults are those of CDAN+E on ResNet-50."""

    entropy: bool = True
    """CDAN+E: weigh items by how sure their prediction is."""
    discriminator: int = 1024
    """Units of the discriminator."""
    trade_off: float = 1.0
    """Weight of the adversarial loss."""


class Cdan(DomainSystem):
    """A classifier whose features are aligned between the domains, given the classes."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = AlignedClassifier(config, "cdan_e" if config.entropy else "cdan", config.discriminator)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy on the source, and the adversarial loss on both domains."""
        return self.network.losses(batch, self.config.trade_off)[0]

    def predict(self, batch: Batch) -> Prediction:
        """Class probabilities."""
        return Prediction(probability=self.network(batch["target"]))


CARD = register(
    Card(
        key="cdan",
        family="adaptation",
        role="baseline",
        title="Conditional Adversarial Domain Adaptation",
        authors="Mingsheng Long, Zhangjie Cao, Jianmin Wang, Michael I. Jordan",
        venue="NeurIPS",
        year=2018,
        identifier="arXiv 1705.10667",
        config=Config,
        system=Cdan,
        train=TRAIN,
        datasets=("styles", "office31", "imageclef"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        paper_values={
            "office31": printed("Accuracy", OFFICE31, (94.1, 98.6, 100.0, 92.9, 71.0, 69.3, 87.7)),
            "imageclef": printed("Accuracy", IMAGECLEF, (77.7, 90.7, 97.7, 91.3, 74.2, 94.3, 87.7)),
        },
    )
)  # fmt: skip
