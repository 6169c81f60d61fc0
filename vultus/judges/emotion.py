"""Judge of emotion: which acted expression does a face show?

It learns from posed pictures, each an actor's expression at its apex, and from speech, which is neutral however far the
mouth opens. Spontaneous clips have a task and no certain expression: they teach landmarks and action unit intensities
alone, from which the answer is read, because the expressions are made of them (Ekman and Friesen's prototypes). Few
pictures are labelled, but every face has points: hence `blocks.PointNetwork`, a judge of its own with its own weights.
The field uses networks taught on AffectNet or RAF-DB; this one is **[R]**, a design of our own.

Legend: B faces, A action units, E emotions, K = 68 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.loop import TrainConfig
from vultus.core.system import Batch
from vultus.data.splits import Part
from vultus.data.tables import ACTION_UNITS, EMOTIONS
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
)

KIND_SHARE = {"posed": 0.5, "spontaneous": 0.4, "speech": 0.1}
SPEECH_ROWS = 120
"""Frames of speech that are scored beside all posed pictures."""
NOT_TOLD = -1
"""Label of a face whose expression is not certain."""


@dataclass(frozen=True)
class Config:
    """Defaults are what the embedded preset uses; the judge follows no paper's sizes."""

    emotions: tuple[str, ...] = ("happiness", "sadness", "anger", "surprise", "fear", "disgust", "neutral")
    """Names of the answers, in order."""
    image_px: int = 64
    """Side at which the network sees the face; a multiple of 16."""
    width: int = 32
    """Channels of the map."""
    point_channels: int = 16
    """Numbers that are read from the map at each landmark."""
    hidden: int = 128
    """Units of the layer before the answers."""
    dropout: float = 0.3
    intensity_weight: float = 2.0
    """Of the action unit intensities, against the cross-entropy of the emotion."""
    landmark_weight: float = 3.0
    """Of the mean distance of the landmarks as a share of the eye distance."""
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            turn_rad=0.15, scale=0.1, shift=0.04, light=0.25, blur_px=0.8, noise=0.04, patch=0.2
        )
    )

    def __post_init__(self) -> None:
        unknown = [name for name in self.emotions if name not in EMOTIONS]
        if unknown:
            raise ValueError(f"emotions has {unknown[0]!r}; known: {', '.join(EMOTIONS)}")


class EmotionNetwork(nn.Module):
    """(B, 3, s, s) -> logits (B, E), action unit intensities (B, A), landmarks (B, K, 2) in 0..1 of the side."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.n_emotions = len(config.emotions)
        self.points = PointNetwork(
            config.width, config.point_channels, config.hidden, config.dropout, self.n_emotions + len(ACTION_UNITS)
        )
        self.prototypes = nn.Linear(len(ACTION_UNITS), len(config.emotions), bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        points, answer = self.points(image)
        direct, intensity = answer[:, : self.n_emotions], answer[:, self.n_emotions :]
        logits: Tensor = direct + self.prototypes(intensity)
        return logits.float(), intensity, points


class EmotionJudge(Judge):
    """`EmotionNetwork` and how it is taught."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = EmotionNetwork(config)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the columns of `probability`."""
        names: tuple[str, ...] = self.config.emotions
        return names

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Random views of posed pictures, speech and spontaneous clips."""
        rows = draw_rows(fold.clips("train"), KIND_SHARE, rng, batch_size)
        face, points = (torch.from_numpy(np.asarray(fold.store[name][rows])) for name in ("face", "landmarks_68"))
        image, placed = random_views(face, points, self.config.image_px, self.config.views, rng)
        return {
            "image": image,
            "landmarks": placed,
            "biocular": eye_share(points, face.shape[1]),
            "emotion": torch.from_numpy(self._labels(fold, rows)),
            "au_intensity": torch.from_numpy(np.asarray(fold.store["au_intensity"][rows])).float(),
        }

    def _labels(self, fold: JudgeFold, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Index of each row's emotion; `NOT_TOLD` for spontaneous clips and for emotions without a column."""
        about = fold.store.rows.iloc[rows]
        number = {name: index for index, name in enumerate(self.emotions)}
        label = about["emotion"].map(number).fillna(NOT_TOLD).to_numpy(np.int64)
        return np.where(about["kind"].to_numpy() == "spontaneous", NOT_TOLD, label)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the emotion where it is certain, smooth L1 of intensities, mean distance of landmarks."""
        logits, intensity, points = self.network(batch["image"])
        distance = landmark_distance(points, batch["landmarks"], batch["biocular"])
        told = batch["emotion"] != NOT_TOLD
        entropy = functional.cross_entropy(logits, batch["emotion"], ignore_index=NOT_TOLD, reduction="sum")
        rated = ~batch["au_intensity"].isnan()
        error = functional.smooth_l1_loss(intensity, batch["au_intensity"].nan_to_num(), reduction="none")
        return {
            "emotion": entropy / told.sum().clamp(min=1),
            "intensity": self.config.intensity_weight * (error * rated).sum() / rated.sum().clamp(min=1),
            "landmarks": self.config.landmark_weight * distance,
        }

    def predict(self, batch: Batch) -> Tensor:
        """Probabilities (B, E) of a batch of inputs."""
        logits, _, _ = self.network(batch["image"])
        probability: Tensor = logits.softmax(dim=1)
        return probability

    def probability(self, face: npt.NDArray[np.uint8] | Tensor) -> npt.NDArray[np.float32]:
        """How sure the judge is of each emotion, the mean over a face and its mirror image.

        Args:
            face: (N, S, S, 3) uint8 RGB, cut out as in the store ``faces``; any S.

        Returns:
            (N, E), rows sum to 1; `emotions` names the columns.

        Raises:
            ValueError: another shape or type.
        """
        faces = np.asarray(face)
        seen, mirrored = (
            in_parts(self.network, np.ascontiguousarray(side), self.config.image_px)[0].softmax(dim=1)
            for side in (faces, faces[:, :, ::-1])
        )
        return np.asarray(((seen + mirrored) / 2).numpy())

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """Unweighted average recall of posed pictures, and how much of the speech is called neutral."""
        return self._scores(fold, "validation")

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """On unseen people: far above chance, 1/E, on posed pictures; speech is mostly neutral."""
        scores = self._scores(fold, "test")
        return [
            AcceptanceTest("UAR", scores["UAR"], 0.6, "at least"),
            AcceptanceTest("speech called neutral", scores["SpeechNeutral"], 0.6, "at least"),
        ]

    def _scores(self, fold: JudgeFold, part: Part) -> dict[str, float]:
        kind = fold.store.rows["kind"].to_numpy()[fold.rows(part)]
        posed, speech = (fold.rows(part)[kind == name] for name in ("posed", "speech"))
        found = {"UAR": float("nan"), "SpeechNeutral": float("nan")}
        if len(posed):
            answer = self.probability(np.asarray(fold.store["face"][posed])).argmax(axis=1)
            truth = self._labels(fold, posed)
            recalls = [float((answer[truth == e] == e).mean()) for e in np.unique(truth[truth != NOT_TOLD])]
            found["UAR"] = float(np.mean(recalls)) if recalls else float("nan")
        if len(speech) and "neutral" in self.emotions:
            face = np.asarray(fold.store["face"][some_rows(speech, SPEECH_ROWS)])
            found["SpeechNeutral"] = float(
                (self.probability(face).argmax(axis=1) == self.emotions.index("neutral")).mean()
            )
        return found


CARD = JudgeCard(
    key="emotion",
    judge=EmotionJudge,
    config=Config,
    train=TrainConfig(
        epochs=5, steps_per_epoch=300, batch_size=32, optimizer="adamw", learning_rate=1.5e-3, weight_decay=0.05,
        schedule="cosine", decay_factor=0.02, warmup_steps=30, precision="bf16-mixed", channels_last=True,
    ),
    question="Which acted expression does this face show?",
    kinds=("spontaneous", "speech", "posed"),
    reconstructed=(
        "The field uses networks taught on AffectNet or RAF-DB; this one is taught on the judge people's posed"
        " pictures.",
    ),
)  # fmt: skip
