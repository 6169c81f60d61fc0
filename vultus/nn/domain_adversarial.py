"""Networks of domain adaptation: a classifier, and a discriminator of domains that its features fight.

Ganin and Lempitsky, ICML 2015 (DANN: gradient reversal); Long et al., NeurIPS 2018 (CDAN: the discriminator sees
features and class probabilities together; CDAN+E: sure items count more). Shapes: B batch, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vultus.losses.domain import domain_adversarial, entropy_weights, reversal_strength
from vultus.nn.resnet import FEATURES, ResNet50

Backbone = Literal["resnet50", "small_cnn", "mlp"]
Alignment = Literal["dann", "cdan", "cdan_e"]

DIRECT_LIMIT = 4096
"""Largest F C for which CDAN's map is the full outer product."""
RANDOM_FEATURES = 1024


@dataclass(frozen=True)
class NetworkConfig:
    """A classifier; defaults are the paper's."""

    classes: int = 31
    """Classes C of the data set."""
    backbone: Backbone = "resnet50"
    """``resnet50``: pictures of 224 px; ``small_cnn``: four convolutions, small pictures; ``mlp``: given features."""
    weights: str = ""
    """File with published ImageNet weights for ``resnet50``; empty = random, with which no published number is met."""
    width: int = 128
    """Channels of the last layers of ``small_cnn``; units of the hidden layer of ``mlp``."""
    features: int = 2048
    """Size of the given features, of ``mlp`` alone."""
    bottleneck: int = 256
    """Features F that the classifier and the discriminator see."""
    backbone_rate: float = 0.1
    """Learning rate of the backbone as a share of the others', 1e-3 against 1e-2 in the paper."""
    label_smoothing: float = 0.0
    """Share of a label that is spread over all classes, of the source's labels and of those that a student is given."""

    def __post_init__(self) -> None:
        for name in ("classes", "width", "features", "bottleneck"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, not {getattr(self, name)}")
        if self.weights and self.backbone != "resnet50":
            raise ValueError(f"weights are of resnet50, and the backbone is {self.backbone}")


class Classifier(nn.Module):
    """Backbone, bottleneck and linear classifier; gives the bottleneck's features too."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone, size = _make_backbone(config)
        self.bottleneck = nn.Linear(size, config.bottleneck)
        self.head = nn.Linear(config.bottleneck, config.classes)
        self.activation: nn.Module = nn.Identity()
        if config.backbone == "mlp":
            self.activation = nn.ReLU()
        elif config.backbone == "resnet50":  # as the published code of CDAN starts them
            nn.init.normal_(self.bottleneck.weight, std=0.005)
            nn.init.constant_(self.bottleneck.bias, 0.1)
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, l, l) or features (B, d) -> features (B, F) and logits (B, C), float32."""
        return self.classify(self.backbone(x))

    def classify(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """What the backbone gave -> features (B, F) and logits (B, C), float32."""
        features = self.activation(self.bottleneck(pooled)).float()
        return features, self.head(features).float()


def _make_backbone(config: NetworkConfig) -> tuple[nn.Module, int]:
    """The backbone and the size of what it gives."""
    if config.backbone == "mlp":
        return nn.Sequential(nn.Linear(config.features, config.width), nn.ReLU()), config.width
    if config.backbone == "small_cnn":
        width = config.width
        layers: list[nn.Module] = []
        channels = 3
        for outputs, kernel, stride in ((width // 4, 5, 2), (width // 2, 3, 2), (width, 3, 2), (width, 3, 1)):
            convolution = nn.Conv2d(channels, outputs, kernel, stride, padding=kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            channels = outputs
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()), 4 * width
    network = ResNet50()
    if config.weights:
        network.load_published(config.weights)
    return network, FEATURES


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """The identity, whose gradient is multiplied by ``-strength``."""
    reversed_: Tensor = _Reversal.apply(x, strength)  # type: ignore[no-untyped-call]
    return reversed_


class MultilinearMap(nn.Module):
    """CDAN's joint view of features and probabilities: ``f (x) p``, or its randomised form where that is too long.

    The randomised form is ``(R_f f) * (R_g p) / sqrt(1024)`` with fixed Gaussian matrices.
    """

    of_features: Tensor
    of_classes: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.direct = features * classes <= DIRECT_LIMIT
        self.size = features * classes if self.direct else RANDOM_FEATURES
        if not self.direct:
            self.register_buffer("of_features", torch.randn(features, RANDOM_FEATURES))
            self.register_buffer("of_classes", torch.randn(classes, RANDOM_FEATURES))

    def forward(self, features: Tensor, probability: Tensor) -> Tensor:
        """(B, F) and (B, C) -> (B, size)."""
        if self.direct:
            return (probability[:, :, None] * features[:, None, :]).flatten(1)
        mixed: Tensor = (features @ self.of_features) * (probability @ self.of_classes)
        scaled: Tensor = mixed / self.size**0.5
        return scaled


class DomainDiscriminator(nn.Module):
    """Two hidden layers with ReLU and dropout; gives the logit (B,) of "source"."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B,)."""
        logits: Tensor = self.layers(x).squeeze(1).float()
        return logits


@dataclass(frozen=True)
class TargetView:
    """What a classifier made of the target half of a batch; carries gradients."""

    pooled: Tensor
    """(B, size of the backbone's answer)."""
    features: Tensor
    """(B, F)."""
    logits: Tensor
    """(B, C)."""


class AlignedClassifier(nn.Module):
    """A classifier taught by the source, whose features are aligned between the domains by a discriminator."""

    def __init__(self, config: NetworkConfig, alignment: Alignment, hidden: int = 1024) -> None:
        super().__init__()
        self.alignment, self.label_smoothing = alignment, config.label_smoothing
        self.classifier = Classifier(config)
        self.map = None if alignment == "dann" else MultilinearMap(config.bottleneck, config.classes)
        self.discriminator = DomainDiscriminator(self.map.size if self.map else config.bottleneck, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Class probabilities (B, C)."""
        logits: Tensor = self.classifier(x)[1]
        return logits.softmax(dim=1)

    def losses(self, batch: Mapping[str, Tensor], trade_off: float = 1.0) -> tuple[dict[str, Tensor], TargetView]:
        """L_T: ``classification`` on the source and ``adversarial`` on both domains; and the view of the target.

        The domains pass the network one after the other, so that batch norm sees one domain at a time.

        Args:
            batch: ``source``, ``label`` (B,), ``target``, ``progress`` (B,) in 0..1, the same number B times.
            trade_off: weight of ``adversarial``.
        """
        source, source_logits = self.classifier(batch["source"])
        classification = nn.functional.cross_entropy(
            source_logits, batch["label"], label_smoothing=self.label_smoothing
        )  # fmt: skip
        losses = {"classification": classification}
        pooled = self.classifier.backbone(batch["target"])
        target, target_logits = self.classifier.classify(pooled)
        strength = reversal_strength(float(batch["progress"][0]))
        views, weights = [], []
        for features, logits in ((source, source_logits), (target, target_logits)):
            # detached: a probability must not learn to please the discriminator
            probability = logits.softmax(dim=1).detach()
            joint = features if self.map is None else self.map(features, probability)
            views.append(self.discriminator(reverse_gradient(joint, strength)))
            weights.append(entropy_weights(probability) if self.alignment == "cdan_e" else None)
        losses["adversarial"] = trade_off * domain_adversarial(*views, *weights)
        return losses, TargetView(pooled, target, target_logits)
