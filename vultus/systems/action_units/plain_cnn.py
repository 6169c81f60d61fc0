"""Baseline: a plain convolutional network of the size of `jaa_hat_net`, without landmarks, attention or branches.

It answers what the JAA systems must be asked: is it the attention, or just the number of parameters? Pairs of 3x3
convolutions with batch norm and ReLU between poolings, twice as wide at each, then two linear layers; the losses are
the weighted cross-entropy and Dice of the JAA systems. Input and output are those of
`vultus.systems.action_units.common`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch, Fold, System
from vultus.losses.occurrence import DiceMode, cross_entropy, dice, occurrence_weights
from vultus.systems.action_units.common import PROTOCOL, AuFold, FaceConfig, Prediction


@dataclass(frozen=True)
class Config(FaceConfig):
    """Defaults give 25,187,674 parameters, 0.2 % fewer than `jaa_hat_net` has at paper size."""

    width: int = 97
    """Channels of the first block; doubled at each of four poolings."""
    hidden: int = 512
    """Units of the linear layer before the answer."""
    dice_mode: DiceMode = "sample"
    class_weights: bool = True
    """Weigh AUs by the inverse of their rate among the training people."""


class PlainCnn(System):
    """Five blocks of two convolutions, average pooling to 3x3, two linear layers."""

    au_weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        layers: list[nn.Module] = []
        channels = 3
        for block in range(5):
            width = config.width * 2 ** min(block, 3)
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            if block < 4:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(9 * channels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, len(config.aus))
        )
        self.register_buffer("au_weight", torch.ones(len(config.aus)))

    def prepare(self, fold: Fold) -> None:
        """AU weights of the training people."""
        assert isinstance(fold, AuFold)
        if self.config.class_weights:
            self.au_weight.copy_(occurrence_weights(fold.occurrence_rate()))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, A)."""
        pooled = functional.interpolate(self.features(batch["image"]), size=(3, 3), mode="area")
        logits: Tensor = self.classifier(pooled.flatten(1))
        return logits.float()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted cross-entropy and Dice, as in the JAA systems."""
        logits, target = self(batch), batch["au_occurrence"]
        log_probability = torch.stack([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=1)
        losses = {"softmax": cross_entropy(log_probability, target, self.au_weight)}
        if self.config.dice_mode != "off":
            losses["dice"] = dice(logits.sigmoid(), target, self.au_weight, self.config.dice_mode)
        return losses

    def predict(self, batch: Batch) -> Prediction:
        """Probabilities alone."""
        return Prediction(au_probability=self(batch).sigmoid())


CARD = register(
    Card(
        key="plain_cnn",
        family="action_units",
        role="baseline",
        title="Plain CNN of equal size",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=PlainCnn,
        train=TrainConfig(
            epochs=12, batch_size=16, optimizer="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4,
            schedule="step", decay_factor=0.3, decay_epochs=2, select="F1",
        ),
        datasets=("world", "bp4d", "disfa"),
        protocol=PROTOCOL,
        headline=("F1", "Accuracy", "ECE"),
    )
)  # fmt: skip
