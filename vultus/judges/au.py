"""Judge of action units: presence, intensity and the 68 landmarks of a face in the box of the store ``faces``.

It is the probe with which talking heads are measured (LMD, AUE, AU F1): a network of its own, taught on people whom no
system sees, never part of a loss. The field uses OpenFace 2 and the FAN landmark detector for this; neither can be had
without its published weights, so that everything here is **[R]**: our own design.

It is a `blocks.PointNetwork`: it places the landmarks first and reads the face there for all action units at once.

Beside it, from the same batches and with the same number of steps, learns a plain network of convolutions and pooling
(`PlainControl`): the acceptance test asks that the judge beats it on unseen people, so that the landmarks are known to
help and not only to cost. The two share no weight, and a loss of one has no gradient for the other.

Legend: B faces, A action units (`tables.ACTION_UNITS`), K = 68 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.loop import TrainConfig
from vultus.core.system import Batch, Fold
from vultus.data.splits import Part
from vultus.data.tables import ACTION_UNITS
from vultus.face.landmarks import biocular_distance, normalised_mean_error
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold
from vultus.judges.blocks import (
    PointNetwork,
    ViewConfig,
    draw_rows,
    eye_share,
    in_parts,
    landmark_distance,
    random_views,
    some_rows,
    stem,
)
from vultus.metrics.intensity import icc_3_1
from vultus.metrics.occurrence import Array, confusion, f1, macro

BP4D = [ACTION_UNITS.index(au) for au in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)]
"""Columns of the 12 action units over which the acceptance test averages."""
KIND_SHARE = {"spontaneous": 0.6, "speech": 0.25, "posed": 0.15}
"""Of a batch. Spontaneous clips show most action units; most frames are speech, and alike."""
VALIDATION_ROWS, TEST_ROWS = 300, 3000


@dataclass(frozen=True)
class Config:
    """Defaults are what the embedded preset uses; the judge follows no paper's sizes."""

    image_px: int = 64
    """Side at which the network sees the face; a multiple of 16."""
    width: int = 48
    """Channels of the 16x16 map."""
    point_channels: int = 16
    """Numbers that are read from the map at each landmark."""
    hidden: int = 192
    """Units of the layer before the answers."""
    dropout: float = 0.3
    min_rate: float = 0.01
    """Share of the teaching frames in which an action unit must be present; rarer ones are not taught, their answer is
    NaN."""
    balance: float = 0.6
    """Exponent of (absent / present) that weighs presences; 1 makes both equal."""
    landmark_weight: float = 3.0
    """Of the mean distance of the landmarks as a share of the eye distance, against the cross-entropy of presence."""
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            turn_rad=0.15, scale=0.1, shift=0.04, light=0.25, blur_px=1.0, noise=0.04, patch=0.25
        )
    )

    def __post_init__(self) -> None:
        if self.image_px % 16:
            raise ValueError(f"image_px must be a multiple of 16, not {self.image_px}")


@dataclass(frozen=True)
class AuReading:
    """What the judge sees in N faces; columns of action units that it was not taught are NaN."""

    probability: npt.NDArray[np.float32]
    """(N, A) in 0..1, of presence."""
    intensity: npt.NDArray[np.float32]
    """(N, A) in 0..5."""
    landmarks_68: npt.NDArray[np.float32]
    """(N, 68, 2) px of the given faces."""


class PlainControl(nn.Module):
    """Convolutions and poolings, then two linear layers: (B, 3, s, s) -> logits (B, A); has no landmarks."""

    def __init__(self, width: int, hidden: int, n_units: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [*stem(width)]
        channels = width
        for block in range(3):
            wider = width * min(2**block, 2)
            for _ in range(2):
                layers += [nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
                channels = wider
            if block < 2:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(4 * channels, hidden), nn.ReLU(), nn.Linear(hidden, n_units))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        pooled = functional.adaptive_avg_pool2d(self.features(image), 2)
        logits: Tensor = self.classifier(pooled.flatten(1))
        return logits.float()


class AuJudge(Judge):
    """`PointNetwork` that answers, and `PlainControl` that it must beat."""

    taught: Tensor
    presence_weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = PointNetwork(
            config.width, config.point_channels, config.hidden, config.dropout, 2 * len(ACTION_UNITS)
        )
        self.control = PlainControl(config.width, config.hidden, len(ACTION_UNITS))
        self.register_buffer("taught", torch.ones(len(ACTION_UNITS), dtype=torch.bool))
        self.register_buffer("presence_weight", torch.ones(len(ACTION_UNITS)))

    def prepare(self, fold: Fold) -> None:
        """Which action units are shown often enough, and how much a presence weighs."""
        assert isinstance(fold, JudgeFold)
        occurrence = np.asarray(fold.store["au_occurrence"][fold.rows("train")])
        rate = (occurrence > 0).sum(axis=0) / np.maximum((occurrence >= 0).sum(axis=0), 1)
        self.taught.copy_(torch.from_numpy(rate >= self.config.min_rate))
        bounded = rate.clip(max(self.config.min_rate, 0.01), 0.99)
        self.presence_weight.copy_(torch.from_numpy(((1 - bounded) / bounded) ** self.config.balance))

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Random views of teaching faces with their labels."""
        rows = np.sort(draw_rows(fold.clips("train"), KIND_SHARE, rng, batch_size))
        face, points = (torch.from_numpy(np.asarray(fold.store[name][rows])) for name in ("face", "landmarks_68"))
        image, placed = random_views(face, points, self.config.image_px, self.config.views, rng)
        return {
            "image": image,
            "landmarks": placed,
            "biocular": eye_share(points, face.shape[1]),
            "au_occurrence": torch.from_numpy(np.asarray(fold.store["au_occurrence"][rows])).float(),
            "au_intensity": torch.from_numpy(np.asarray(fold.store["au_intensity"][rows])).float(),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted cross-entropy of presence, smooth L1 of intensity, mean distance of landmarks; the control's."""
        points, answer = self.network(batch["image"])
        logits, intensity = answer.chunk(2, dim=1)
        distance = landmark_distance(points, batch["landmarks"], batch["biocular"])
        rated = ~batch["au_intensity"].isnan() & self.taught
        error = functional.smooth_l1_loss(intensity, batch["au_intensity"].nan_to_num(), reduction="none")
        return {
            "occurrence": self._cross_entropy(logits, batch["au_occurrence"]),
            "intensity": (error * rated).sum() / rated.sum().clamp(min=1),
            "landmarks": self.config.landmark_weight * distance,
            "control": self._cross_entropy(self.control(batch["image"]), batch["au_occurrence"]),
        }

    def _cross_entropy(self, logits: Tensor, occurrence: Tensor) -> Tensor:
        coded = (occurrence >= 0) & self.taught
        value = functional.binary_cross_entropy_with_logits(
            logits, occurrence.clamp(min=0), pos_weight=self.presence_weight, reduction="none"
        )
        return (value * coded).sum() / coded.sum().clamp(min=1)

    def predict(self, batch: Batch) -> AuReading:
        """The reading of a batch of inputs, with landmarks in px of the input."""
        return self._reading(batch["image"].shape[-1], *self.network(batch["image"]))

    def look(self, face: npt.NDArray[np.uint8] | Tensor) -> AuReading:
        """Action units and landmarks of faces cut out as in the store ``faces``.

        Args:
            face: (N, S, S, 3) uint8 RGB; any S.

        Raises:
            ValueError: another shape or type.
        """
        return self._reading(face.shape[1], *in_parts(self.network, face, self.config.image_px))

    def _reading(self, side: int, points: Tensor, answer: Tensor) -> AuReading:
        unknown = ~self.taught.cpu()
        logits, intensity = answer.cpu().chunk(2, dim=1)
        return AuReading(
            probability=logits.sigmoid().masked_fill(unknown, torch.nan).numpy(),
            intensity=intensity.clamp(0, 5).masked_fill(unknown, torch.nan).numpy(),
            landmarks_68=(points.cpu() * side - 0.5).numpy(),
        )

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """F1 and ICC over the BP4D action units, and NME, on about 300 frames."""
        return self._scores(fold, "validation", VALIDATION_ROWS)

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """On unseen people: above the plain network, landmarks within 6 % of the eye distance, intensities agree."""
        scores = self._scores(fold, "test", TEST_ROWS)
        return [
            AcceptanceTest("F1 above the plain network's", scores["F1"] - scores["ControlF1"], 0.0, "at least"),
            AcceptanceTest("F1", scores["F1"], 0.5, "at least"),
            AcceptanceTest("NME", scores["NME"], 0.06, "at most"),
            AcceptanceTest("ICC", scores["ICC"], 0.4, "at least"),
        ]

    def _scores(self, fold: JudgeFold, part: Part, limit: int) -> dict[str, float]:
        rows = some_rows(fold.rows(part), limit)
        face = np.asarray(fold.store["face"][rows])
        reading = self.look(face)
        (control,) = in_parts(self.control, face, self.config.image_px)
        target = np.asarray(fold.store["au_occurrence"][rows])[:, BP4D]
        truth: Array = np.asarray(fold.store["landmarks_68"][rows], np.float64)
        eyes: Array = np.asarray(biocular_distance(truth))
        error: Array = np.asarray(normalised_mean_error(reading.landmarks_68, truth, eyes))
        intensity = np.asarray(fold.store["au_intensity"][rows])[:, BP4D]
        judged, plain = reading.probability[:, BP4D], control.sigmoid().numpy()[:, BP4D]
        return {
            "F1": float(macro(f1(confusion(judged, target).sum(axis=0)))),
            "ControlF1": float(macro(f1(confusion(plain, target).sum(axis=0)))),
            "NME": float(np.nanmean(error)),
            "ICC": float(macro(icc_3_1(reading.intensity[:, BP4D], intensity))),
        }


CARD = JudgeCard(
    key="au",
    judge=AuJudge,
    config=Config,
    train=TrainConfig(
        epochs=4, steps_per_epoch=400, batch_size=32, optimizer="adamw", learning_rate=1.5e-3, weight_decay=0.02,
        schedule="cosine", decay_factor=0.02, warmup_steps=30, precision="bf16-mixed", channels_last=True,
    ),
    question="Which action units does this face show, how strongly, and where are its landmarks?",
    kinds=("spontaneous", "speech", "posed"),
    reconstructed=(
        "The field reads action units with OpenFace 2 and landmarks with FAN; this is a network of our own design,"
        " taught on the judge people.",
    ),
)  # fmt: skip
