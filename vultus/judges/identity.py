"""Judge of identity: does this picture show the same person as that one?

A small residual network gives each face a vector of unit length; the cosine of two is their likeness. It is taught with
the supervised contrastive loss (Khosla et al. 2020) on batches of several people in several clips each: in the embedded
data each clip has its own light, room and pose, so that a person can be found again by what stays. The field uses
ArcFace networks taught on millions of faces; this one knows fifteen drawn people: **[R]**, a design of our own. So few
could be learnt by heart, so that each batch shows them in disguise: all frames of a person are bent, stretched and
tinted alike, and whoever wears another disguise counts as somebody else (`disguised`).

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
from vultus.judges.blocks import (
    N_POINTS,
    Residual,
    ViewConfig,
    in_parts,
    random_views,
    some_rows,
    stem,
    to_input,
)
from vultus.losses.metric_learning import supervised_contrastive
from vultus.metrics.verification import auc, eer, pairs

VALIDATION_ROWS, TEST_ROWS = 400, 1000
KNOTS = 4
PIXELS = 12
"""Side of the pictures whose plain likeness stands beside the judge's."""


@dataclass(frozen=True)
class GuiseConfig:
    """How far a disguise goes; 0 switches a change off."""

    warp: float = 0.03
    """Deviation of the shift of each of 4x4 knots, between which the face is bent smoothly; a share of the side."""
    stretch: float = 0.06
    """Deviation of the logarithm by which a face becomes narrower and longer, or wider and shorter."""
    tint: float = 0.12
    """Deviation of the logarithm of each colour's strength."""


@dataclass(frozen=True)
class Config:
    """Defaults are what the embedded preset uses; the judge follows no paper's sizes."""

    image_px: int = 48
    """Side at which the network sees the face."""
    width: int = 32
    """Channels after the stem."""
    dimensions: int = 64
    """Of the embedding."""
    frames_per_person: int = 4
    """Of a batch, each from another clip where the person has as many."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    guises: GuiseConfig = field(default_factory=GuiseConfig)
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            turn_rad=0.15, scale=0.1, shift=0.05, light=0.15, blur_px=1.0, noise=0.05, patch=0.3
        )
    )


def disguised(face: Tensor, each: int, config: GuiseConfig, rng: np.random.Generator) -> Tensor:
    """Faces of people who do not exist: each run of ``each`` faces is bent, stretched and tinted alike.

    Args:
        face: (B, S, S, 3) uint8 RGB; B is a multiple of ``each``.
        each: frames of a person, in a row.
        config: how far the disguises go.
        rng: of this batch alone.

    Returns:
        (B, S, S, 3) uint8 RGB.
    """
    n, side = len(face) // each, face.shape[1]
    knots = torch.from_numpy(rng.normal(0, 2 * config.warp, (n, 2, KNOTS, KNOTS)).astype(np.float32))
    bend = functional.interpolate(knots, size=(side, side), mode="bicubic", align_corners=True)
    wider = np.exp(rng.normal(0, config.stretch, n))
    matrix = np.zeros((n, 2, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 1, 1] = wider, 1 / wider
    straight = functional.affine_grid(torch.from_numpy(matrix), [n, 3, side, side], align_corners=False)
    grid = (straight + bend.permute(0, 2, 3, 1)).repeat_interleave(each, dim=0)
    tint = torch.from_numpy(np.exp(rng.normal(0, config.tint, (n, 3))).astype(np.float32))
    view = (
        functional.grid_sample(face.permute(0, 3, 1, 2).float(), grid, padding_mode="border", align_corners=False)
        * tint.repeat_interleave(each, dim=0)[:, :, None, None]
    )
    return view.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


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
        """People in disguise, several clips of each, one frame of a clip; some come twice, disguised anew."""
        clips, each = fold.clips("train"), self.config.frames_per_person
        by_person = [group[["start", "stop"]].to_numpy(np.int64) for _, group in clips.groupby("subject")]
        wanted = max(2, batch_size // each)
        rounds = -(-wanted // len(by_person))
        people = np.concatenate([rng.permutation(len(by_person)) for _ in range(rounds)])[:wanted]
        rows = []
        for person in people:
            spans = by_person[person]
            chosen = spans[rng.choice(len(spans), each, replace=len(spans) < each)]
            rows.append(chosen[:, 0] + (rng.random(each) * (chosen[:, 1] - chosen[:, 0])).astype(np.int64))
        at = np.concatenate(rows)
        face = disguised(torch.from_numpy(np.asarray(fold.store["face"][at])), each, self.config.guises, rng)
        points = torch.zeros(len(at), N_POINTS, 2)
        image, _ = random_views(face, points, self.config.image_px, self.config.views, rng)
        return {"image": image, "person": torch.arange(wanted).repeat_interleave(each)}

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
        epochs=4, steps_per_epoch=125, batch_size=64, optimizer="adamw", learning_rate=2e-3, weight_decay=0.05,
        schedule="cosine", decay_factor=0.02, warmup_steps=20, precision="bf16-mixed", channels_last=True,
    ),
    question="Is it the same person?",
    kinds=("spontaneous", "speech", "posed"),
    identifier="arXiv:2004.11362",
    reconstructed=(
        "The field compares faces with ArcFace networks; this one is taught on the judge people with the supervised"
        " contrastive loss, in disguises that make more people of them.",
    ),
)  # fmt: skip
