"""JAA-Net: presence of action units and 49 landmarks from one face, each task helping the other through attention.

Zhiwen Shao, Zhilei Liu, Jianfei Cai, Lizhuang Ma: "Deep Adaptive Attention for Joint Facial Action Unit Detection and
Face Alignment", ECCV 2018, pp. 725-740, arXiv 1803.05588.

Region features are learned in patches of several scales (section 3.1, `vultus.nn.jaa.RegionLearning`); landmarks are
estimated from them (3.2); around the landmarks a map is drawn for each AU, a small network refines it, and a branch for
each AU sees the features through its map (3.3); alignment, global and assembled local features are classified together
(3.4). Landmarks are needed only to train: at test time the maps follow the predicted ones.

Input and output are those of `vultus.systems.action_units.common`. Where we deviate, and why:

* Dice is computed row by row as in the paper; the released PyTorch code divides the fraction once more by the batch
  size, which all but switches it off (``dice_mode: legacy``).
* Local features are averaged as in that code, not summed as in the paper (``assemble``).
* The enhanced back-propagation is a factor on the gradient at the refined maps (``grad_enhance``), not a second rate.
* The last landmark layer starts at the mean shape, so that the first maps already lie on the face.
* AUs that are not coded are left out of every loss; the released code trains on lists without such rows.
* The epoch is selected on held-out training people, not on the test people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, Claim, register
from vultus.core.system import Batch, Fold, System
from vultus.losses.alignment import landmark_loss, refinement_loss
from vultus.losses.occurrence import DiceMode, cross_entropy, dice, occurrence_weights
from vultus.nn.jaa import JaaTrunk, TrunkFeatures, assemble, high_level_size, start_from, target_maps
from vultus.systems.action_units.common import HEADLINE, PROTOCOL, AuFold, FaceConfig, Prediction


@dataclass(frozen=True)
class Config(FaceConfig):
    """The paper's values; the switches are its ablations."""

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
    dice_mode: DiceMode = "sample"
    class_weights: bool = True
    """Weigh AUs by the inverse of their rate among the training people."""
    lambda_align: float = 0.5
    """Weight of E_align."""
    lambda_refine: float = 1e-7
    """Weight of E_r, which sums over cells."""
    grad_enhance: float = 2.0
    """Factor on the gradient of the AU loss at the refined maps (lambda_3)."""
    start_from: str = ""
    """Folder with trained weights to start from, e.g. of BP4D for DISFA; the AUs may differ."""


class JaaNet(System):
    """The network of figure 2."""

    au_weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.trunk = JaaTrunk(
            config.aus, config.unit, config.image_px, config.land_num, config.region, config.attention,
            config.use_global, config.map_extra, config.zeta, config.xi,
        )  # fmt: skip
        blocks = config.use_align_feat + config.use_global + 1
        self.classifier = nn.Sequential(
            nn.Linear(blocks * high_level_size(config.unit, config.image_px), 64 * config.unit),
            nn.Linear(64 * config.unit, 2 * len(config.aus)),
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

    def forward(self, batch: Batch) -> tuple[Tensor, TrunkFeatures]:
        """Log-probabilities (B, 2, A) of absence and presence, and the features behind them."""
        true_points = batch["landmarks"] if self.config.attention_source == "ground_truth" else None
        features = self.trunk(batch["image"], true_points, self.config.grad_enhance)
        parts = [features.whole, assemble(features.local, self.config.assemble)]
        if self.config.use_align_feat:
            parts.insert(0, features.align)
        logits = self.classifier(torch.cat(parts, dim=1).flatten(1)).unflatten(1, (2, -1))
        return logits.float().log_softmax(dim=1), features

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """E_softmax, E_dice, lambda_1 E_align and lambda_2 E_r of section 3.4."""
        log_probability, features = self(batch)
        target = batch["au_occurrence"]
        losses = {"softmax": cross_entropy(log_probability, target, self.au_weight)}
        if self.config.dice_mode != "off":
            losses["dice"] = dice(log_probability[:, 1].exp(), target, self.au_weight, self.config.dice_mode)
        if self.config.use_align_loss:
            error = landmark_loss(features.landmarks, batch["landmarks"], batch["biocular"])
            losses["align"] = self.config.lambda_align * error
        if self.config.lambda_refine and self.config.attention == "adaptive":
            drawn = target_maps(features.predefined, features.refined.shape[-1])
            losses["refine"] = self.config.lambda_refine * refinement_loss(features.refined, drawn)
        return losses

    def predict(self, batch: Batch) -> Prediction:
        """See the family's contract; the attention maps are the refined ones."""
        log_probability, features = self(batch)
        return Prediction(
            au_probability=log_probability[:, 1].exp(),
            landmarks=features.landmarks,
            predefined=features.predefined,
            attention=features.refined,
        )


CARD = register(
    Card(
        key="jaa_net",
        family="action_units",
        title="Deep Adaptive Attention for Joint Facial Action Unit Detection and Face Alignment",
        authors="Zhiwen Shao, Zhilei Liu, Jianfei Cai, Lizhuang Ma",
        venue="ECCV",
        year=2018,
        identifier="arXiv:1803.05588",
        config=Config,
        system=JaaNet,
        train=TrainConfig(
            epochs=12, batch_size=16, optimizer="sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4,
            schedule="step", decay_factor=0.3, decay_epochs=2, select="F1", channels_last=True,
        ),
        datasets=("world", "bp4d", "disfa"),
        protocol=f"{PROTOCOL}; attention follows predicted points",
        headline=HEADLINE,
        paper_values={
            "bp4d": {
                "F1": 0.600, "F1/AU01": 0.472, "F1/AU02": 0.440, "F1/AU04": 0.549, "F1/AU06": 0.775,
                "F1/AU07": 0.746, "F1/AU10": 0.840, "F1/AU12": 0.869, "F1/AU14": 0.619, "F1/AU15": 0.436,
                "F1/AU17": 0.603, "F1/AU23": 0.427, "F1/AU24": 0.419,
            },
            "disfa": {
                "F1": 0.560, "F1/AU01": 0.437, "F1/AU02": 0.462, "F1/AU04": 0.560, "F1/AU06": 0.414,
                "F1/AU09": 0.447, "F1/AU12": 0.696, "F1/AU25": 0.883, "F1/AU26": 0.584,
            },
        },
        reconstructed=(
            "Landmark layer starts at the mean shape; the paper does not say how it starts.",
            "Labels that are not coded are masked in every loss; the released lists hold none.",
            "The factor on the attention's gradient is a hook; the release doubles a learning rate instead.",
            "The epoch is selected on held-out training people; the release evaluates all epochs on the test people.",
            "Weights start as torch draws them; the Caffe release draws from N(0, 0.01^2).",
        ),
        data_licence="BP4D and DISFA: by agreement with their owners, research only",
        claims=(
            Claim(
                name="attention",
                sentence="Attention maps refined for each AU beat the same network without attention.",
                metric="F1",
                direction="higher",
                baseline={"attention": "none"},
            ),
        ),
    )
)  # fmt: skip
