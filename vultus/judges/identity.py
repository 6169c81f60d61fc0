"""Judge of identity: does this picture show the same person as that one?

A small residual network gives each face a vector of unit length; the cosine of two is their likeness. It is taught with
the supervised contrastive loss (Khosla et al. 2020) on batches of several people in several clips each: in the embedded
data each clip has its own light, room and pose, so that a person can be found again by what stays. The field uses
ArcFace networks taught on millions of faces; this one knows a few dozen drawn people: **[R]**, a design of our own.

The acceptance test compares unseen people, and only frames of different clips: within a clip the background alone would
do. Likeness of small pictures stands beside it, to show what colour and framing give away.

Legend: B faces, d dimensions of the embedding.
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
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold
from vultus.judges.blocks import Residual, ViewConfig, in_parts, random_views, some_rows, stem, to_input
from vultus.losses.metric_learning import supervised_contrastive
from vultus.metrics.verification import auc, eer, pairs

VALIDATION_ROWS, TEST_ROWS = 400, 1000
PIXELS = 12
"""Side of the pictures whose plain likeness stands beside the judge's."""


@dataclass(frozen=True)
class Config:
    """Defaults are what the embedded preset uses; the judge follows no paper's sizes."""

    image_px: int = 64
    """Side at which the network sees the face."""
    width: int = 48
    """Channels after the stem."""
    dimensions: int = 64
    """Of the embedding."""
    frames_per_person: int = 4
    """Of a batch, each from another clip where the person has as many."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            turn_rad=0.15, scale=0.1, shift=0.05, light=0.15, blur_px=1.0, noise=0.05, patch=0.3
        )
    )


class EmbeddingNetwork(nn.Module):
    """(B, 3, s, s) -> (B, d) of unit length."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        w = config.width
        self.body = nn.Sequential(stem(w), Residual(w, w), Residual(w, 2 * w, 2), Residual(2 * w, 5 * w // 2, 2))
        self.embedding = nn.Linear(5 * w, config.dimensions)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        cells = self.body(image).float()
        pooled = torch.cat([cells.mean(dim=(2, 3)), cells.amax(dim=(2, 3))], dim=1)
        return functional.normalize(self.embedding(pooled).float(), dim=1)


class IdentityJudge(Judge):
    """`EmbeddingNetwork` and how it is taught."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = EmbeddingNetwork(config)

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Several people, several clips of each, one frame of each clip."""
        clips, each = fold.clips("train"), self.config.frames_per_person
        by_person = [group[["start", "stop"]].to_numpy(np.int64) for _, group in clips.groupby("subject")]
        people = rng.permutation(len(by_person))[: max(2, batch_size // each)]
        rows = []
        for person in people:
            spans = by_person[person]
            chosen = spans[rng.choice(len(spans), each, replace=len(spans) < each)]
            rows.append(chosen[:, 0] + (rng.random(each) * (chosen[:, 1] - chosen[:, 0])).astype(np.int64))
        at = np.concatenate(rows)
        face = torch.from_numpy(np.asarray(fold.store["face"][at]))
        points = torch.from_numpy(np.asarray(fold.store["landmarks_68"][at]))
        image, _ = random_views(face, points, self.config.image_px, self.config.views, rng)
        return {"image": image, "person": torch.from_numpy(np.repeat(people, each))}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The contrastive loss."""
        embedding = self.network(batch["image"])
        with torch.autocast(embedding.device.type, enabled=False):
            return {"contrastive": supervised_contrastive(embedding, batch["person"], self.config.temperature)}

    def predict(self, batch: Batch) -> Tensor:
        """Embeddings (B, d) of a batch of inputs."""
        embedding: Tensor = self.network(batch["image"])
        return embedding

    def embed(self, face: npt.NDArray[np.uint8] | Tensor) -> npt.NDArray[np.float32]:
        """Vectors of unit length; the likeness of two faces is the product of theirs, -1..1.

        A face and its mirror image are one person: their embeddings are added before the length is made one.

        Args:
            face: (N, S, S, 3) uint8 RGB, cut out as in the store ``faces``; any S.

        Returns:
            (N, d).

        Raises:
            ValueError: another shape or type.
        """
        faces = np.asarray(face)
        (seen,), (mirrored,) = (
            in_parts(self.network, np.ascontiguousarray(side), self.config.image_px)
            for side in (faces, faces[:, :, ::-1])
        )
        return np.asarray(functional.normalize(seen + mirrored, dim=1).numpy())

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """AUC and EER of pairs of frames from different clips."""
        return self._scores(fold, "validation", VALIDATION_ROWS)

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """On unseen people: pairs across clips are told apart, and better than by their pixels."""
        scores = self._scores(fold, "test", TEST_ROWS)
        return [
            AcceptanceTest("AUC", scores["AUC"], 0.95, "at least"),
            AcceptanceTest("EER", scores["EER"], 0.12, "at most"),
            AcceptanceTest("AUC above the pixels'", scores["AUC"] - scores["PixelAUC"], 0.1, "at least"),
        ]

    def _scores(self, fold: JudgeFold, part: Part, limit: int) -> dict[str, float]:
        clips = fold.clips(part)
        clip_of_row = np.repeat(np.arange(len(clips)), (clips["stop"] - clips["start"]).to_numpy(np.int64))
        kept = some_rows(np.arange(len(clip_of_row)), limit)
        clip = clip_of_row[kept]
        face = np.asarray(fold.store["face"][fold.rows(part)[kept]])
        embedding = self.embed(face)
        small = to_input(torch.from_numpy(face), PIXELS).flatten(1)
        pixels = functional.normalize(small - small.mean(dim=1, keepdim=True), dim=1).numpy()
        first, second, same = pairs(clips["subject"].to_numpy()[clip], clip)
        likeness = (embedding @ embedding.T)[first, second]
        return {
            "AUC": auc(likeness, same),
            "EER": eer(likeness, same),
            "PixelAUC": auc((pixels @ pixels.T)[first, second], same),
        }


CARD = JudgeCard(
    key="identity",
    judge=IdentityJudge,
    config=Config,
    train=TrainConfig(
        epochs=4, steps_per_epoch=150, batch_size=48, optimizer="adamw", learning_rate=2e-3, weight_decay=0.05,
        schedule="cosine", decay_factor=0.02, warmup_steps=20, precision="bf16-mixed", channels_last=True,
    ),
    question="Is it the same person?",
    kinds=("spontaneous", "speech", "posed"),
    identifier="arXiv:2004.11362",
    reconstructed=(
        "The field compares faces with ArcFace networks; this one is taught on the judge people with the supervised"
        " contrastive loss.",
    ),
)  # fmt: skip
