"""Judge of perceptual distance: how different do two pictures of a face look?

The form is LPIPS (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018,
eq. 1; `vultus.metrics.perceptual`): channel vectors of unit length of five stages, squared differences weighed by
``w_l >= 0``, means over places, summed. With the published AlexNet or VGG16 and their weights the number is LPIPS.

Without them the judge is a network of its own, **[R]**. The paper learns ``w_l`` from people's choices between two
damaged pictures; there are none for drawn faces, so here the whole network learns from damages of known strength: of
two damaged copies of a face, the one of the higher grade (`vultus.judges.distortions`) must be further away. The top of
the same network learns who is seen and which action units are shown, so that its `features` describe faces, for Frechet
distances; their 64 numbers are few enough for a full-rank covariance from a hundred frames.

Legend: B pairs, N pictures, F faces, S side, A action units.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig
from vultus.core.seeds import generator
from vultus.core.system import Batch, Fold
from vultus.data.splits import Part
from vultus.data.tables import ACTION_UNITS
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold
from vultus.judges.blocks import draw_rows, some_rows, to_input
from vultus.judges.distortions import STRENGTHS, TAUGHT, UNSEEN, Nature, damaged, grade
from vultus.judges.published import PublishedFeatures, map_lpips, read_tensors
from vultus.losses.metric_learning import supervised_contrastive
from vultus.metrics.perceptual import perceptual_distance

KIND_SHARE = {"spontaneous": 0.6, "speech": 0.2, "posed": 0.2}
LEAST_GAP = 0.75
"""Difference of grades from which two damages are compared."""
VALIDATION_FACES, TEST_FACES = 12, 40
FEATURES = 64
PART = 64
"""Pictures that a trained judge sees at a time."""
MINIMUM = 1e-8
"""Distance below which two pictures count as equal while the network learns from logarithms."""


@dataclass(frozen=True)
class Config:
    """Of the own network; ``network`` chooses a published one, which needs ``weights``."""

    network: Literal["own", "alex", "vgg16"] = "own"
    crop_px: int = 64
    """Side of the crop of the stored face that is damaged while the network learns."""
    widths: tuple[int, ...] = (16, 32, 48, 64, 64)
    """Channels of the five stages; each but the last is followed by a pooling of two."""
    sharpness: float = 3.0
    """Weight of a difference of log distances in the choice between two damages."""
    identity_weight: float = 0.2
    au_weight: float = 0.5
    temperature: float = 0.1


class OwnFeatures(nn.Module):
    """Five stages of two 3x3 convolutions: (N, 3, H, W) in -1..1 -> stages (N, C, h, w).

    There is no batch norm: what a picture looks like must not depend on what else is asked.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = list(widths)
        self.blocks = nn.ModuleList()
        channels = 3
        for width in widths:
            self.blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=1),
                    nn.ReLU(),
                )
            )
            channels = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class."""
        stages, x = [], image
        for index, block in enumerate(self.blocks):
            if index:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = block(x)
            stages.append(x)
        return stages


class PerceptualJudge(Judge):
    """A feature network and the weights of its stages."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network: OwnFeatures | PublishedFeatures
        self.network = OwnFeatures(config.widths) if config.network == "own" else PublishedFeatures(config.network)
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(width)) for width in self.network.channels)
        if config.network == "own":
            self.description = nn.Linear(config.widths[-1], FEATURES)
            self.units = nn.Linear(FEATURES, len(ACTION_UNITS))

    def prepare(self, fold: Fold) -> None:
        """Nothing to learn beforehand; a published network is not taught here.

        Raises:
            UserError: the configuration asks for a published network without its weights.
        """
        if self.config.network != "own":
            raise UserError(
                f"judges.perceptual.config.network is {self.config.network!r}, but weights is null:"
                " set it to a file with the published weights, or network to own"
            )

    def load_published(self, path: Path) -> None:
        """Take LPIPS: AlexNet or VGG16 with the weights of its stages.

        Raises:
            UserError: ``network`` is own, or the file does not hold what it needs.
        """
        if self.config.network == "own":
            raise UserError("judges.perceptual.weights is set: set config.network to alex or vgg16 as well")
        features, weights = map_lpips(read_tensors(path), self.config.network)
        self.network.load_state_dict(features)
        with torch.no_grad():
            for parameter, value in zip(self.weights, weights, strict=True):
                parameter.copy_(value)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """How different the pictures look, pair by pair; 0 for equal ones.

        Args:
            first: (N, 3, H, W) RGB in -1..1, at least 16 px (32 with a published network).
            second: the same.

        Returns:
            (N,), at least 0, without a unit.

        Raises:
            ValueError: shapes differ or are not those of RGB pictures.
        """
        if first.shape != second.shape or first.ndim != 4 or first.shape[1] != 3:
            raise ValueError(f"expected equal (N, 3, H, W), got {tuple(first.shape)} and {tuple(second.shape)}")
        device = self.weights[0].device
        with torch.inference_mode():
            pieces = [
                self._distance(self.network(a.to(device)), self.network(b.to(device))).cpu()
                for a, b in zip(torch.split(first, PART), torch.split(second, PART), strict=True)
            ]
        return torch.cat(pieces)

    def features(self, image: Tensor) -> Tensor:
        """Descriptions of faces for Frechet distances.

        Args:
            image: (N, 3, H, W) RGB in -1..1.

        Returns:
            (N, 64), or the mean of the last stage (N, C) with a published network.
        """
        device = self.weights[0].device
        with torch.inference_mode():
            pieces = [self._describe(self.network(part.to(device))).cpu() for part in torch.split(image, PART)]
        return torch.cat(pieces)

    def _distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        weights = [weight.clamp(min=0) for weight in self.weights]
        return perceptual_distance([f.float() for f in first], [g.float() for g in second], weights)

    def _describe(self, stages: list[Tensor]) -> Tensor:
        pooled = stages[-1].float().mean(dim=(2, 3))
        return self.description(pooled).float() if self.config.network == "own" else pooled

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Crops of teaching faces, each with two damaged copies, the second of the higher grade; labels."""
        clips = fold.clips("train")
        rows = draw_rows(clips, KIND_SHARE, rng, batch_size)
        face = np.asarray(fold.store["face"][rows])
        side, slack = self.config.crop_px, face.shape[1] - self.config.crop_px
        if slack < 0:
            raise UserError(f"judges.perceptual.config.crop_px is {side}, but the faces are {face.shape[1]} px wide")
        triples: npt.NDArray[np.uint8] = np.empty((3, batch_size, side, side, 3), np.uint8)
        for i in range(batch_size):
            y, x = rng.integers(0, slack + 1, 2)
            crop = face[i, y : y + side, x : x + side][:, :: 1 if rng.random() < 0.5 else -1]
            crop = np.ascontiguousarray(crop)
            triples[:, i] = crop, *_two_grades(crop, rng)
        images = [to_input(torch.from_numpy(part), side) for part in triples]
        owner = np.searchsorted(np.unique(clips["subject"]), fold.store.rows["subject"].to_numpy()[rows])
        return {
            "reference": images[0],
            "lesser": images[1],
            "greater": images[2],
            "person": torch.from_numpy(owner),
            "au_occurrence": torch.from_numpy(np.asarray(fold.store["au_occurrence"][rows])).float(),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Choice between the two damages, who is seen, which action units are shown."""
        stages = self.network(torch.cat([batch["reference"], batch["lesser"], batch["greater"]]))
        reference, lesser, greater = ([s.chunk(3)[part] for s in stages] for part in range(3))
        near, far = self._distance(reference, lesser), self._distance(reference, greater)
        gap = ((far + MINIMUM) / (near + MINIMUM)).log()
        described = self._describe(reference)
        coded = batch["au_occurrence"] >= 0
        shown = functional.binary_cross_entropy_with_logits(
            self.units(functional.relu(described)).float(), batch["au_occurrence"].clamp(min=0), reduction="none"
        )
        with torch.autocast(gap.device.type, enabled=False):
            alike = supervised_contrastive(
                functional.normalize(described, dim=1), batch["person"], self.config.temperature
            )
        return {
            "choice": functional.softplus(-self.config.sharpness * gap).mean(),
            "identity": self.config.identity_weight * alike,
            "au": self.config.au_weight * (shown * coded).sum() / coded.sum().clamp(min=1),
        }

    def predict(self, batch: Batch) -> Tensor:
        """Distances (B,) of the reference from the lesser damage."""
        return self._distance(self.network(batch["reference"]), self.network(batch["lesser"]))

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """Shares of pairs in the right order, on a dozen faces."""
        return self._orders(fold, "validation", VALIDATION_FACES)

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """On unseen people: damages in the order of their strength and grade, also where PSNR fails."""
        scores = self._orders(fold, "test", TEST_FACES)
        face = torch.from_numpy(np.asarray(fold.store["face"][some_rows(fold.rows("test"), TEST_FACES)]))
        image = to_input(face, face.shape[1])
        return [
            AcceptanceTest("order within a damage", scores["Order"], 0.95, "at least"),
            AcceptanceTest("order within a damage that did not teach", scores["UnseenOrder"], 0.9, "at least"),
            AcceptanceTest(
                "order across damages above PSNR's", scores["Cross"] - scores["CrossPSNR"], 0.05, "at least"
            ),
            AcceptanceTest("small shift below strong damage", scores["Shift"], 0.95, "at least"),
            AcceptanceTest(
                "distance of equal pictures", float(self.distance(image, image).abs().max()), 0.0, "at most"
            ),
        ]

    def _orders(self, fold: JudgeFold, part: Part, limit: int) -> dict[str, float]:
        """Shares of pairs that are ordered rightly by the judge, and by PSNR (higher is nearer)."""
        rng = generator(fold.seed, "damage", part)
        face = np.asarray(fold.store["face"][some_rows(fold.rows(part), limit)])
        kinds = [*TAUGHT, *UNSEEN]
        copies = np.empty((len(face), len(kinds), len(STRENGTHS), *face.shape[1:]), np.uint8)
        for i, picture in enumerate(face):
            for k, kind in enumerate(kinds):
                nature = Nature.draw(rng)
                copies[i, k] = [damaged(picture, kind, strength, nature) for strength in STRENGTHS]
        same = np.broadcast_to(face[:, None, None], copies.shape)
        error = (copies.astype(np.float32) - same).reshape(*copies.shape[:3], -1)
        mean_square = np.square(error).mean(axis=-1)  # PSNR falls as it rises: the same order, upside down
        flat = [
            to_input(torch.from_numpy(np.ascontiguousarray(array).reshape(-1, *face.shape[1:])), face.shape[1])
            for array in (copies, same)
        ]
        far = self.distance(*flat).numpy().reshape(mean_square.shape)
        grades = np.array([[grade(kind, strength) for strength in STRENGTHS] for kind in kinds])
        return order_scores(far, mean_square, grades, len(TAUGHT), kinds.index("shift"))


def order_scores(
    far: npt.NDArray[np.floating],
    mean_square: npt.NDArray[np.floating],
    grades: npt.NDArray[np.floating],
    n_taught: int,
    shift: int,
) -> dict[str, float]:
    """Shares of pairs in the right order.

    Args:
        far: (N, D, L), distance of each face from its copy with damage D of strength L.
        mean_square: the same of the mean squared error.
        grades: (D, L).
        n_taught: the first of the damages; the others are unseen.
        shift: which damage is the shift.

    Returns:
        ``Order`` and ``UnseenOrder``: pairs of two strengths of one damage; ``Cross`` and ``CrossPSNR``: pairs of two
        taught damages whose grades differ enough; ``Shift``: a shift of the first three strengths against the two
        greatest strengths of another taught damage.
    """
    lower, upper = np.triu_indices(grades.shape[1], k=1)
    within = far[:, :, lower] < far[:, :, upper]
    flat = grades[:n_taught].reshape(-1)
    damage = np.repeat(np.arange(n_taught), grades.shape[1])
    less, more = np.nonzero((flat[None] - flat[:, None] >= LEAST_GAP) & (damage[None] != damage[:, None]))
    judged, squared = (values[:, :n_taught].reshape(len(far), -1) for values in (far, mean_square))
    others = [k for k in range(n_taught) if k != shift]
    moved, strong = far[:, shift, :3].max(axis=1), far[:, others, -2:].reshape(len(far), -1)
    return {
        "Order": float(within[:, :n_taught].mean()),
        "UnseenOrder": float(within[:, n_taught:].mean()),
        "Cross": float((judged[:, less] < judged[:, more]).mean()),
        "CrossPSNR": float((squared[:, less] < squared[:, more]).mean()),
        "Shift": float((moved[:, None] < strong).mean()),
    }


def _two_grades(
    picture: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two damaged copies, the second of the higher grade; half of the pairs share damage and nature."""
    names = list(TAUGHT)
    if rng.random() < 0.5:
        kind, nature = names[rng.integers(len(names))], Nature.draw(rng)
        first = rng.uniform(STRENGTHS[0], STRENGTHS[-1] - 0.5)
        second = rng.uniform(first + 0.5, STRENGTHS[-1])
        return damaged(picture, kind, first, nature), damaged(picture, kind, second, nature)
    while True:
        kinds = [names[k] for k in rng.choice(len(names), 2, replace=False)]
        strengths = rng.uniform(STRENGTHS[0], STRENGTHS[-1], 2)
        lesser, greater = (grade(kind, strength) for kind, strength in zip(kinds, strengths, strict=True))
        if abs(greater - lesser) >= LEAST_GAP:
            copies = [damaged(picture, kind, s, Nature.draw(rng)) for kind, s in zip(kinds, strengths, strict=True)]
            return (copies[0], copies[1]) if greater > lesser else (copies[1], copies[0])


CARD = JudgeCard(
    key="perceptual",
    judge=PerceptualJudge,
    config=Config,
    train=TrainConfig(
        epochs=3, steps_per_epoch=100, batch_size=24, optimizer="adamw", learning_rate=1e-3, weight_decay=0.01,
        schedule="cosine", decay_factor=0.02, warmup_steps=20, clip_norm=5.0, precision="bf16-mixed",
        channels_last=True,
    ),
    question="How different do two pictures of a face look?",
    kinds=("spontaneous", "speech", "posed"),
    identifier="arXiv:1801.03924",
    reconstructed=(
        "Without published weights the network learns from damages of known strength, not from people's choices.",
    ),
)  # fmt: skip
