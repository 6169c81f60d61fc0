"""JÂA-Net: action units and landmarks, where each AU's attention is taught by detecting that AU alone.

Zhiwen Shao, Zhilei Liu (equal contribution), Jianfei Cai, Lizhuang Ma: "JÂA-Net: Joint Facial Action Unit Detection
and Face Alignment via Adaptive Attention", International Journal of Computer Vision 129(2), 321-340, 2021, arXiv
2003.08834.

The journal version of `jaa_net`; the shared modules are in `vultus.nn.jaa`. What differs: each AU's branch has a head
of its own and a loss on it; nothing ties the refined map to the predefined one; the local features are detached before
the joint classifier. So the final loss trains region, alignment and global features, the local losses train region,
maps and branches, and the landmark loss trains region and alignment (the table in the tests).

Input and output are those of `vultus.systems.action_units.common`. Deviations are those of `jaa_net`: row-wise Dice,
the mean shape as a start, masked labels, selection on held-out people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, Claim, register
from vultus.core.seeds import generator
from vultus.core.system import Batch, Fold, System
from vultus.losses.alignment import landmark_loss, refinement_loss
from vultus.losses.occurrence import DiceMode, cross_entropy, dice, occurrence_weights
from vultus.nn.jaa import JaaTrunk, TrunkFeatures, assemble, high_level_size, start_from, target_maps
from vultus.systems.action_units.common import HEADLINE, PROTOCOL, AuFold, FaceConfig, Prediction

Occlusion = Literal["none", "upper", "lower", "random_block"]


@dataclass(frozen=True)
class Config(FaceConfig):
    """The paper's values; the switches are its ablations and those of `jaa_net`."""

    unit: int = 8
    """c: all widths are multiples of it."""
    region: Literal["hmr", "region", "plain"] = "hmr"
    """Patches of three scales, of 8x8 alone (R-Net), or none."""
    attention: Literal["adaptive", "fixed", "none"] = "adaptive"
    """Refined maps, the predefined maps as drawn, or the whole face in each branch."""
    attention_source: Literal["predicted", "ground_truth"] = "predicted"
    """Landmarks that the maps are drawn around; the true ones give an upper bound."""
    map_extra: int = 8
    """Cells by which the predefined map is wider than the features: 8 for valid convolutions, 0 for padded ones."""
    zeta: float = 0.14
    """Side of an AU's square as a share of the map."""
    xi: float = 0.56
    """How fast attention falls off within it."""
    assemble: Literal["mean", "sum"] = "mean"
    """How the local features of the AUs are joined."""
    use_align_feat: bool = True
    """Alignment features enter the classifier."""
    use_global: bool = True
    """Features of the whole face enter the classifier."""
    use_align_loss: bool = True
    """Landmarks are learned."""
    local_loss: bool = True
    """Each branch has a head and a loss of its own."""
    local_head_dim: int = 64
    """Hidden width of those heads."""
    detach_local: bool = True
    """The final loss does not reach the local branches."""
    predict_from: Literal["final", "local", "mean"] = "final"
    """Head that answers: the joint classifier, the branch heads, or the mean of their probabilities."""
    dice_mode: DiceMode = "sample"
    class_weights: bool = True
    """Weigh AUs by the inverse of their rate among the training people."""
    lambda_align: float = 0.5
    """Weight of E_align."""
    lambda_refine: float = 0.0
    """Weight of the E_r of `jaa_net`; the journal version has none."""
    grad_enhance: float = 1.0
    """Factor on the gradient at the refined maps; the journal version has none."""
    occlusion: Occlusion = "none"
    """Part of the face that is covered before a prediction (the occlusion study); never while training."""
    start_from: str = ""
    """Folder with trained weights to start from, e.g. of BP4D for DISFA; the AUs may differ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.local_loss and (self.predict_from != "final" or self.detach_local):
            raise ValueError("without local_loss there are no branch heads: set detach_local false, predict_from final")


PRESETS: dict[str, dict[str, Any]] = {
    "v1": {"local_loss": False, "detach_local": False, "lambda_refine": 1e-7, "grad_enhance": 2.0},
    "v2": {},
    "v2_fixed": {"attention": "fixed"},
    "v2_uniform": {"attention": "none"},
    "v2_no_local": {"local_loss": False, "detach_local": False},
    "v2_no_detach": {"detach_local": False},
    "v2_with_Er": {"lambda_refine": 1e-7},
}
"""Named variants as overrides of `Config`; ``v1`` is `jaa_net`."""


class JaaHatNet(System):
    """The network of figure 2 of the journal version."""

    au_weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.trunk = JaaTrunk(
            config.aus, config.unit, config.image_px, config.land_num, config.region, config.attention,
            config.use_global, config.map_extra, config.zeta, config.xi,
        )  # fmt: skip
        size = high_level_size(config.unit, config.image_px)
        blocks = config.use_align_feat + config.use_global + 1
        self.classifier = nn.Sequential(
            nn.Linear(blocks * size, 64 * config.unit), nn.Linear(64 * config.unit, 2 * len(config.aus))
        )
        hidden = config.local_head_dim
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.Linear(hidden, 2)) for _ in config.aus if config.local_loss
        )
        self.register_buffer("au_weight", torch.ones(len(config.aus)))

    def prepare(self, fold: Fold) -> None:
        """AU weights and mean shape of the training people; or the weights of another training."""
        assert isinstance(fold, AuFold)
        if self.config.class_weights:
            self.au_weight.copy_(occurrence_weights(fold.occurrence_rate()))
        self.trunk.align.start_at(fold.mean_shape())
        if self.config.start_from:
            start_from(self, self.config.start_from, self.config.aus)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None, TrunkFeatures]:
        """Final and local log-probabilities (B, 2, A) of absence and presence, and the features behind them."""
        true_points = batch["landmarks"] if self.config.attention_source == "ground_truth" else None
        features = self.trunk(batch["image"], true_points, self.config.grad_enhance)
        joined = assemble(features.local, self.config.assemble)
        parts = [features.whole, joined.detach() if self.config.detach_local else joined]
        if self.config.use_align_feat:
            parts.insert(0, features.align)
        logits = self.classifier(torch.cat(parts, dim=1).flatten(1)).unflatten(1, (2, -1))
        local = None
        if self.heads:
            scores = [head(f.flatten(1)) for head, f in zip(self.heads, features.local, strict=True)]
            local = torch.stack(scores, dim=2).float().log_softmax(dim=1)
        return logits.float().log_softmax(dim=1), local, features

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """E_au on the final and on the local predictions, and lambda_1 E_align."""
        final, local, features = self(batch)
        target = batch["au_occurrence"]
        losses = {}
        for name, log_probability in (("", final), ("local_", local)):
            if log_probability is None:
                continue
            losses[f"{name}softmax"] = cross_entropy(log_probability, target, self.au_weight)
            if self.config.dice_mode != "off":
                probability = log_probability[:, 1].exp()
                losses[f"{name}dice"] = dice(probability, target, self.au_weight, self.config.dice_mode)
        if self.config.use_align_loss:
            error = landmark_loss(features.landmarks, batch["landmarks"], batch["biocular"])
            losses["align"] = self.config.lambda_align * error
        if self.config.lambda_refine and self.config.attention == "adaptive":
            drawn = target_maps(features.predefined, features.refined.shape[-1])
            losses["refine"] = self.config.lambda_refine * refinement_loss(features.refined, drawn)
        return losses

    def predict(self, batch: Batch) -> Prediction:
        """See the family's contract; the attention maps are the refined ones."""
        if self.config.occlusion != "none":
            batch = {**batch, "image": occlude(batch["image"], self.config.occlusion, batch["row"])}
        final, local, features = self(batch)
        probability = final[:, 1].exp()
        local_probability = None if local is None else local[:, 1].exp()
        if local_probability is not None and self.config.predict_from != "final":
            both = (probability + local_probability) / 2
            probability = local_probability if self.config.predict_from == "local" else both
        return Prediction(
            au_probability=probability,
            local_probability=local_probability,
            landmarks=features.landmarks,
            predefined=features.predefined,
            attention=features.refined,
        )


def occlude(image: Tensor, where: Occlusion, row: Tensor) -> Tensor:
    """Cover half of each face with grey: its upper or lower half, or a block of half its width and height.

    Args:
        image: (B, 3, l, l) in -1..1.
        where: which part.
        row: (B,) row of the feature store; the place of a random block depends on it alone.

    Returns:
        (B, 3, l, l), a copy.
    """
    covered, half = image.clone(), image.shape[-1] // 2
    if where == "upper":
        covered[:, :, :half] = 0
    elif where == "lower":
        covered[:, :, half:] = 0
    elif where == "random_block":
        for face, number in zip(covered, row.tolist(), strict=True):
            x, y = generator(0, "occlusion", number).integers(0, half + 1, size=2)
            face[:, y : y + half, x : x + half] = 0
    return covered


CARD = register(
    Card(
        key="jaa_hat_net",
        family="action_units",
        title="JÂA-Net: Joint Facial Action Unit Detection and Face Alignment via Adaptive Attention",
        authors="Zhiwen Shao, Zhilei Liu, Jianfei Cai, Lizhuang Ma",
        venue="International Journal of Computer Vision",
        year=2021,
        identifier="arXiv:2003.08834",
        config=Config,
        system=JaaHatNet,
        train=TrainConfig(
            epochs=12, batch_size=16, optimizer="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4,
            schedule="step", decay_factor=0.3, decay_epochs=2, select="F1", channels_last=True,
        ),
        datasets=("world", "bp4d", "disfa"),
        protocol=f"{PROTOCOL}; attention follows predicted points",
        headline=HEADLINE,
        paper_values={
            "bp4d": {
                "F1": 0.624, "F1/AU01": 0.538, "F1/AU02": 0.478, "F1/AU04": 0.582, "F1/AU06": 0.785, "F1/AU07": 0.758,
                "F1/AU10": 0.827, "F1/AU12": 0.882, "F1/AU14": 0.637, "F1/AU15": 0.433, "F1/AU17": 0.618,
                "F1/AU23": 0.456, "F1/AU24": 0.499,
            },
            "disfa": {
                "F1": 0.635, "F1/AU01": 0.624, "F1/AU02": 0.607,
                "F1/AU04": 0.671, "F1/AU06": 0.411, "F1/AU09": 0.451, "F1/AU12": 0.735, "F1/AU25": 0.909,
                "F1/AU26": 0.674,
            },
        },
        reconstructed=(
            "Landmark layer starts at the mean shape; the paper does not say how it starts.",
            "Labels that are not coded are masked in every loss; the released lists hold none.",
            "The epoch is selected on held-out training people; the release evaluates all epochs on the test people.",
            "The occlusion study covers halves or a block with the mean grey; its masks are not published.",
        ),
        data_licence="BP4D and DISFA: by agreement with their owners, research only",
        claims=(
            Claim(
                name="own_loss",
                sentence="Attention taught by each AU's own loss beats attention tied to the predefined maps.",
                metric="F1",
                direction="higher",
                baseline=PRESETS["v1"],
                paper_claim="F1 62.4 against 60.0 of JAA-Net (BP4D)",
            ),
        ),
    )
)  # fmt: skip
