"""SyncNet: how well, and at which offset, the lips of a clip go with its sound.

Chung and Zisserman, Out of time: automated lip sync in the wild, ACCV workshops 2016: two towers that bring five frames
of the mouth and their 0.2 s of MFCCs into one space, in which what belongs together is near; Sync-C, Sync-D and offset
follow from the distances (`vultus.metrics.sync`). With published weights (``network: published``) this is the public
tool's network (`vultus.judges.syncnet_published`), whose values compare with papers.

Taught here, on minutes instead of hundreds of hours, it is smaller [R]: strided convolutions on the grey mouth region,
unit embeddings of 64 numbers, and InfoNCE in place of the contrastive loss with a margin, which does not leave ln 2
for very long. Half of each batch comes from few clips, several windows of each, so that only the timing, not the
speaker, tells them apart. Windows in which nobody speaks teach nothing and are left out.

Input: ``face`` (T, S, S, 3) uint8 RGB at 25 frames/s and ``mfcc`` (T, 4, 13) of the store ``faces``, T >= 36.

Legend: T frames, N = T - 5 windows, S side of the face crop, d embedding, H W sides of the mouth region.
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

from vultus.audio.windows import mfcc_window
from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig
from vultus.core.system import Batch, Fold
from vultus.data.splits import Part
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold
from vultus.judges.mouth import Cut, Jitter, grey_faces
from vultus.judges.syncnet_published import PublishedSyncNet
from vultus.losses.contrastive import info_nce
from vultus.metrics.sync import MAX_SHIFT, SyncScores, sync_scores

WINDOW = 5
"""Frames."""
ROWS, COEFFICIENTS = 20, 13
PLANTED = range(-10, 11)
"""Offsets of the acceptance test, frames."""
PLANTED_FRAMES = 50
LOUDEST_SCALE = 50.0
LARGEST = 5.0
"""Bound of a standardised MFCC: digital silence has no finite logarithm."""
CHUNK = 16
"""Windows that the published network sees at a time."""


@dataclass(frozen=True)
class Config:
    """Settings of the judge."""

    network: Literal["small", "published"] = "small"
    """``published``: the public tool's network, which needs its weights."""
    width: int = 24
    """Channels of the first convolutions; doubled twice."""
    embedding: int = 64
    dropout: float = 0.2
    windows_of_clip: int = 32
    """Windows that one clip gives to the half of a batch which comes from few clips."""
    gap_frames: int = 1
    """Smallest distance between two windows of one clip in a batch; neighbours (1) teach the exact frame."""
    loudness: float = 2.0
    """Largest random change of a teaching window's log energy."""
    sound_noise: float = 0.1
    """Standard deviation of the noise on a teaching window's MFCCs, in theirs."""
    quiet: float = 6.0
    """A frame is silent where its log energy lies this far below its clip's loudest, about 26 dB."""


class SmallSyncNet(nn.Module):
    """The two towers that are taught here; embeddings of unit length."""

    mfcc_mean: Tensor
    mfcc_deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.eyes = nn.Sequential(
            *_convolution(WINDOW, width, 2, kernel=5),
            *_convolution(width, 2 * width, 2),
            *_convolution(2 * width, 4 * width, 2),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * width * 5 * 6, config.embedding),
        )
        self.ears = nn.Sequential(
            *_convolution(1, width, 1),
            *_convolution(width, 2 * width, (1, 2)),
            *_convolution(2 * width, 4 * width, 2),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * width * 10 * 4, config.embedding),
        )
        self.register_buffer("mfcc_mean", torch.zeros(COEFFICIENTS))
        self.register_buffer("mfcc_deviation", torch.ones(COEFFICIENTS))

    def look(self, region: Tensor) -> Tensor:
        """Mouth regions (N, 5, H, W) to (N, d)."""
        return functional.normalize(self.eyes(region).float(), dim=1)

    def see(self, windows: Tensor) -> Tensor:
        """Five grey faces (N, 5, S, S) in 0..255 to (N, d)."""
        return self.look(Cut.still(len(windows)).regions(windows.cpu()).to(self.mfcc_mean.device))

    def hear(self, windows: Tensor) -> Tensor:
        """Twenty MFCC frames (N, 20, 13) to (N, d)."""
        standard = ((windows - self.mfcc_mean) / self.mfcc_deviation).clamp(-LARGEST, LARGEST)
        return functional.normalize(self.ears(standard[:, None]).float(), dim=1)


class SyncNet(Judge):
    """The judge: one of the two networks, and what it is asked."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = PublishedSyncNet() if config.network == "published" else SmallSyncNet(config)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log(), requires_grad=config.network == "small")
        self._speech: _Speech | None = None

    def prepare(self, fold: Fold) -> None:
        """Mean and deviation of the teaching people's MFCCs."""
        assert isinstance(fold, JudgeFold)
        network = self._small()
        self._speech = _Speech(fold, "train", self.config)
        mfcc = self._speech.sound.reshape(-1, COEFFICIENTS)
        mfcc = mfcc[mfcc[:, 0] > 0]  # digital silence, at -36, would be most of the deviation
        network.mfcc_mean.copy_(torch.from_numpy(mfcc.mean(axis=0)))
        network.mfcc_deviation.copy_(torch.from_numpy(mfcc.std(axis=0) + 1e-3))

    def load_published(self, path: Path) -> None:
        """Take the public tool's weights.

        Raises:
            UserError: the configuration asks for the small network, or the file does not fit.
        """
        if not isinstance(self.network, PublishedSyncNet):
            raise UserError("judges.syncnet.weights is set: set judges.syncnet.config.network to published, too")
        self.network.load_weights(path)

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Windows of speech: one half several of each of a few clips, the other half from anywhere."""
        speech = self._speech if self._speech is not None else _Speech(fold, "train", self.config)
        self._speech = speech
        chosen = speech.draw(rng, batch_size, self.config)
        cut = Cut.draw(batch_size, rng, Jitter())
        sound = speech.sound[chosen]
        sound[..., 0] += rng.uniform(-self.config.loudness, self.config.loudness, (batch_size, 1))
        deviation = self._small().mfcc_deviation.cpu().numpy() * self.config.sound_noise
        sound += rng.standard_normal(sound.shape, np.float32) * deviation
        return {
            "region": cut.regions(torch.from_numpy(speech.pictures(chosen))),
            "mfcc": torch.from_numpy(sound),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Symmetric InfoNCE at a learned scale of at most 50."""
        network = self._small()
        scale = self.log_scale.exp().clamp(max=LOUDEST_SCALE)
        return {"info_nce": info_nce(network.look(batch["region"]), network.hear(batch["mfcc"]), scale)}

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings (N, d) of ``region`` (N, 5, H, W) and of ``mfcc`` (N, 20, 13)."""
        network = self._small()
        return network.look(batch["region"]), network.hear(batch["mfcc"])

    def embed(self, face: npt.NDArray[np.uint8], mfcc: npt.NDArray[np.floating]) -> tuple[Tensor, Tensor]:
        """Embeddings of a clip's windows, pictures and sound.

        Args:
            face: (T, S, S, 3) RGB at 25 frames/s.
            mfcc: (T, 4, 13) as in the store ``faces``.

        Returns:
            (N, d) and (N, d); N = T - 5, as the public tool counts.

        Raises:
            ValueError: shapes that do not belong together.
        """
        if face.ndim != 4 or face.shape[1] != face.shape[2] or mfcc.shape != (len(face), 4, COEFFICIENTS):
            raise ValueError(f"expected faces (T, S, S, 3) and mfcc (T, 4, 13), got {face.shape} and {mfcc.shape}")
        small = isinstance(self.network, SmallSyncNet)
        pictures = grey_faces(face) if small else face
        seen = (
            torch.from_numpy(np.ascontiguousarray(pictures)).unfold(0, WINDOW, 1).movedim(-1, 1)[: len(face) - WINDOW]
        )
        heard = torch.from_numpy(mfcc_window(mfcc, 0, WINDOW - 1)[: len(face) - WINDOW])
        device = self.log_scale.device
        with torch.inference_mode():
            parts = torch.split(seen, len(seen) if small else CHUNK)
            look = torch.cat([self.network.see(part.to(device)) for part in parts])
            return look.cpu(), self.network.hear(heard.to(device)).cpu()

    def scores(self, face: npt.NDArray[np.uint8], mfcc: npt.NDArray[np.floating]) -> SyncScores:
        """Sync-C, Sync-D and offset over +-15 frames, from windows whose shifts all exist; arguments as in `embed`.

        Raises:
            ValueError: the clip has fewer than 36 frames.
        """
        return sync_scores(*self.embed(face, mfcc))

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """``OffsetExact`` and ``Retrieval`` of the acceptance test, on the people that select the epoch."""
        return {name: value for name, value in self._measure(fold, "validation").items() if name != "ConfidenceRatio"}

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """On real clips of people who taught nothing.

        ``OffsetExact``: share of clips of 2 s, sound moved by -10..10 frames, whose offset is found to the frame.
        ``Retrieval``: share of speaking windows whose own sound is the nearest of 31. ``ConfidenceRatio``: mean Sync-C
        over that with the sound of another person's clip.
        """
        bounds = {"OffsetExact": 0.9, "Retrieval": 0.6, "ConfidenceRatio": 3.0}
        measured = self._measure(fold, "test")
        return [AcceptanceTest(name, measured[name], bound, "at least") for name, bound in bounds.items()]

    def _measure(self, fold: JudgeFold, part: Part) -> dict[str, float]:
        speech = _Speech(fold, part, self.config)
        clips = [self.embed(fold.store["face"][span], fold.store["mfcc"][span]) for span in speech.spans]
        exact = [found for look, heard in clips for found in _planted(look, heard)]
        nearest = [
            _nearest(look, heard, speaks[: len(look)])
            for (look, heard), speaks in zip(clips, speech.speaks, strict=True)
        ]
        real = [sync_scores(look, heard).confidence for look, heard in clips]
        strange = []
        for (look, _), subject in zip(clips, speech.subjects, strict=True):
            others = [heard for (_, heard), other in zip(clips, speech.subjects, strict=True) if other != subject]
            strange += [sync_scores(look, heard).confidence for heard in others[:: max(1, len(others) // 4)]]
        return {
            "OffsetExact": float(np.mean(exact)),
            "Retrieval": float(np.concatenate(nearest).mean()),
            "ConfidenceRatio": float(np.mean(real) / np.mean(strange)) if strange else float("nan"),
        }

    def _small(self) -> SmallSyncNet:
        if not isinstance(self.network, SmallSyncNet):
            raise UserError(
                "judges.syncnet.config.network is published: name its weights; only the small one is taught"
            )
        return self.network


class _Speech:
    """The windows of a part's clips that teach: those in which somebody speaks."""

    def __init__(self, fold: JudgeFold, part: Part, config: Config) -> None:
        clips = fold.clips(part)
        clips = clips[clips["stop"] - clips["start"] >= PLANTED_FRAMES + 2 * PLANTED[-1]]
        if clips.empty:
            raise UserError(f"{fold.store.folder}: the {part} people of {fold.name} have no clip of 3 s with speech")
        self.spans = [slice(start, stop) for start, stop in zip(clips["start"], clips["stop"], strict=True)]
        self.subjects = list(clips["subject"])
        grey = [grey_faces(fold.store["face"][span]) for span in self.spans]
        mfcc = [np.asarray(fold.store["mfcc"][span]) for span in self.spans]
        self.speaks = [_speaks(rows, config.quiet) for rows in mfcc]
        """Of each clip, (T,) bool: the window that begins there holds speech throughout its middle."""
        self.grey = np.concatenate(grey)
        self.sound = np.concatenate([mfcc_window(rows, 0, WINDOW - 1) for rows in mfcc])
        """(frames, 20, 13): the sound of the window that begins at a frame."""
        ends = np.cumsum([0] + [len(rows) for rows in mfcc])
        self.starts = [np.flatnonzero(speaks) + first for speaks, first in zip(self.speaks, ends[:-1], strict=True)]

    def pictures(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """(N, 5, S, S) grey faces of the windows that begin at ``starts``."""
        windows: npt.NDArray[np.uint8] = self.grey[starts[:, None] + np.arange(WINDOW)]
        return windows

    def draw(self, rng: np.random.Generator, n_windows: int, config: Config) -> npt.NDArray[np.int64]:
        """Starts of N windows: one half in groups from one clip at a distance, the other half anywhere."""
        chosen: list[int] = []
        while len(chosen) < n_windows // 2:
            starts = rng.permutation(self.starts[rng.integers(len(self.starts))])
            group: list[int] = []
            for start in starts[: 4 * config.windows_of_clip].tolist():
                if all(abs(start - other) >= config.gap_frames for other in group):
                    group.append(start)
            chosen += group[: min(config.windows_of_clip, n_windows // 2 - len(chosen))]
        anywhere = rng.permutation(np.concatenate(self.starts))[: n_windows - len(chosen)]
        return np.concatenate([np.array(chosen, np.int64), anywhere])


def _speaks(mfcc: npt.NDArray[np.floating], quiet: float) -> npt.NDArray[np.bool_]:
    """(T,) whether most of the window that begins at each frame of (T, 4, 13) is louder than the clip's silence."""
    energy = mfcc_window(mfcc, 0, WINDOW - 1)[..., 0]
    heard = (energy > mfcc[..., 0].max() - quiet).mean(axis=1) >= 0.5
    heard[-WINDOW:] = False
    return np.asarray(heard)


def _planted(look: Tensor, heard: Tensor) -> list[bool]:
    """Whether each planted offset of a clip's middle 2 s is found exactly."""
    n_windows = PLANTED_FRAMES - WINDOW
    first = (len(look) - n_windows) // 2
    return [
        sync_scores(look[first : first + n_windows], heard[first + early : first + early + n_windows]).offset_frames
        == early
        for early in PLANTED
    ]


def _nearest(look: Tensor, heard: Tensor, speaks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of the speaking windows whose shifts all exist: whether the own sound is the nearest of 31."""
    shifted = heard.unfold(0, 2 * MAX_SHIFT + 1, 1)
    anchors = slice(MAX_SHIFT, MAX_SHIFT + len(shifted))
    distance = torch.linalg.vector_norm(look[anchors, :, None] - shifted, dim=1)
    found: npt.NDArray[np.bool_] = (distance.argmin(dim=1) == MAX_SHIFT).numpy()[speaks[anchors]]
    return found


def _convolution(channels: int, width: int, stride: int | tuple[int, int], kernel: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU()]


CARD = JudgeCard(
    key="syncnet",
    judge=SyncNet,
    config=Config,
    train=TrainConfig(
        epochs=5, batch_size=128, steps_per_epoch=200, optimizer="adamw", learning_rate=2e-3, momentum=0.9,
        weight_decay=0.01, schedule="cosine", decay_factor=0.02, warmup_steps=20, clip_norm=5.0, channels_last=True,
    ),
    question="Do the lips go with the sound, and if not, by how many frames are they off?",
    kinds=("speech",),
    identifier="10.1007/978-3-319-54427-4_19",
    reconstructed=(
        "A small network on the grey mouth region with InfoNCE stands for the published one, which hundreds of hours"
        " taught; its values compare with one another, not with papers.",
        "The published network sees the box of the store faces, not the wider one of its own face detector.",
    ),
)  # fmt: skip
