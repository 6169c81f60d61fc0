"""The lip reader: which GRID sentence a face says, from its pictures alone.

Its word error rate on generated faces, beside that on real ones, says how readable the lips are (Vougioukas, Petridis
and Pantic 2020 ask LipNet, Assael et al. 2016). LipNet learns a sentence's letters without times from 28 hours of
film. Here are minutes of film whose every phone, muscle and landmark is known, so the task is divided [R]:

* *eyes*: from five grey pictures of the mouth region, three strided convolutions tell the lower face's action units,
  the twenty lip points and the phone of each half frame, through a few features that are all the rest sees of a face;
* *reading*: a bidirectional GRU over the clip turns them into the phone of each half frame, in its context;
* *words*: the best path through the lattice of the GRID grammar (`vultus.judges.grid`), with the posteriors divided by
  a power of the phones' priors.

Eyes learn first, from strips of many clips. Then they are fixed, a few views of each clip are put through them, and
the reading part learns from those at changed speeds. The grammar has 64 000 sentences; the teaching people say little
more than a hundred, which it would know by heart. So each of its sentences is spliced, between words, from several.

Input: ``face`` (T, S, S, 3) uint8 RGB at 25 frames/s, a box that stands still. Output: six words.

Legend: B clips, T frames, R time steps a frame, P phones, A action units, K lip points, H W sides of the region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig
from vultus.core.seeds import generator
from vultus.core.system import Batch, Fold, Phase
from vultus.data.splits import Part
from vultus.data.tables import ACTION_UNITS
from vultus.face.landmarks import FLIP_68
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold
from vultus.judges.grid import (
    MAX_LENGTH,
    MAX_PRONUNCIATIONS,
    PHONES,
    SLOTS,
    WORDS,
    Lattice,
    gather_lexicon,
    phone_shares,
)
from vultus.judges.mouth import Cut, Jitter, grey_faces
from vultus.metrics.wer import wer, word_errors

FPS = 25.0
MOUTH_AUS = (10, 11, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28)
"""Action units of the lower face."""
LIPS = slice(48, 68)
N_LIPS = 20
CONTEXT = 2
"""Frames that the eyes see before and after the one in question."""
GLANCE = Jitter(shift=0.05, scale=0.07, stretch=0.04, turn_rad=0.05, gamma=0.2, noise=0.03, blur=0.3)
"""How the views of a clip differ that are read together: by about half of what teaching has them differ."""


@dataclass(frozen=True)
class Config:
    """Settings of the lip reader; training of the reading part is here, that of the eyes in ``train``."""

    width: int = 24
    """Channels of the first convolution; doubled twice."""
    hidden: int = 128
    """Features of a frame, and units of the GRU in each direction."""
    steps_per_frame: int = 2
    """R: the shortest phones last half a frame."""
    dropout: float = 0.3
    """Of the eyes."""
    strip_frames: int = 20
    """Length of the strips of film that teach the eyes."""
    views: int = 6
    """Random views of each clip that teach the reading part."""
    splices: int = 3
    """Places at which a teaching sentence goes on as another clip does."""
    speed: float = 0.15
    """Largest change of speed of a teaching clip, natural logarithm."""
    input_noise: float = 0.1
    """Standard deviation of the noise on what the reading part is told."""
    read_dropout: float = 0.45
    read_epochs: int = 10
    """Each with the steps of an epoch of ``train``."""
    read_batch_size: int = 16
    read_learning_rate: float = 3e-3
    prior_power: float = 0.3
    """Power of the phones' priors by which the posteriors are divided."""
    glances: int = 6
    """Views of a clip that are read; their log posteriors are averaged."""


class Eyes(nn.Module):
    """What the mouth does in each frame: (B, T, H, W) to features, action units, lip points and phones."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.see = nn.Sequential(
            *_convolution(2 * CONTEXT + 1, width, 5),
            *_convolution(width, 2 * width),
            *_convolution(2 * width, 4 * width),
        )
        self.features = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(4 * width * 5 * 6, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.actions = nn.Linear(config.hidden, len(MOUTH_AUS))
        self.points = nn.Linear(config.hidden, 2 * N_LIPS)
        self.phones = nn.Linear(config.hidden, config.steps_per_frame * len(PHONES))

    def forward(self, region: Tensor) -> dict[str, Tensor]:
        """Features (B, T, F), and what follows from them.

        Actions (B, T, A) in fifths of FACS intensity, points (B, T, 2 K) of the region, phone logits (B, T, R P).
        """
        clips, frames = region.shape[:2]
        first, last = region[:, :1].expand(-1, CONTEXT, -1, -1), region[:, -1:].expand(-1, CONTEXT, -1, -1)
        around = torch.cat([first, region, last], dim=1).unfold(1, 2 * CONTEXT + 1, 1)  # (B, T, H, W, 5)
        stack = around.permute(0, 1, 4, 2, 3).reshape(clips * frames, -1, *region.shape[2:])
        features = self.features(self.see(stack).flatten(1)).reshape(clips, frames, -1)
        return {
            "features": features,
            "actions": self.actions(features),
            "points": self.points(features),
            "phones": self.phones(features),
        }


class LipReader(Judge):
    """Eyes, reading part, lexicon."""

    lexicon: Tensor
    log_prior: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        told = config.hidden + len(MOUTH_AUS) + 2 * N_LIPS + config.steps_per_frame * len(PHONES)
        self.eyes = Eyes(config)
        self.context = nn.Sequential(nn.Linear(told, config.hidden), nn.ReLU(), nn.Dropout(config.read_dropout))
        self.recurrent = nn.GRU(config.hidden, config.hidden, batch_first=True, bidirectional=True)
        self.answer = nn.Sequential(
            nn.Dropout(config.read_dropout), nn.Linear(2 * config.hidden, config.steps_per_frame * len(PHONES))
        )
        lexicon = torch.full((len(WORDS), MAX_PRONUNCIATIONS, MAX_LENGTH), -1)
        self.register_buffer("lexicon", lexicon)
        self.register_buffer("log_prior", torch.zeros(len(PHONES)))
        self.reads = False
        self._films: _Films | None = None
        self._told: npt.NDArray[np.float32] | None = None

    def prepare(self, fold: Fold) -> None:
        """Pronunciations and priors of the teaching people."""
        assert isinstance(fold, JudgeFold)
        films = self._films = _Films(fold, "train", self.config)
        said = fold.units[fold.units["clip_id"].isin(films.clip_id)]
        self.lexicon.copy_(torch.from_numpy(gather_lexicon(said)))
        self.log_prior.copy_(torch.from_numpy(films.phones.mean(axis=(0, 1, 2)) + 1e-3).log())

    def phases(self, train: TrainConfig) -> Sequence[Phase]:
        """Eyes with ``train``, then the reading part with the settings of the Config."""
        read = replace(
            train,
            epochs=self.config.read_epochs,
            batch_size=self.config.read_batch_size,
            learning_rate=self.config.read_learning_rate,
            validate_every=self.config.read_epochs,
        )
        return Phase("see", train), Phase("read", read)

    def begin_phase(self, phase: Phase) -> None:
        """The eyes are fixed while the reading part learns."""
        self.reads = phase.name == "read"
        self._told = None
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith("eyes.") != self.reads)
        self.train(self.training)

    def train(self, mode: bool = True) -> LipReader:
        """As always, but fixed eyes stay in evaluation mode."""
        super().train(mode)
        self.eyes.train(mode and not self.reads)
        return self

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """Strips of film for the eyes, or whole clips as the fixed eyes tell them, at another speed, for reading."""
        films = self._films if self._films is not None else _Films(fold, "train", self.config)
        self._films = films
        return self._clips(films, rng, batch_size) if self.reads else self._strips(films, rng, batch_size)

    def _strips(self, films: _Films, rng: np.random.Generator, batch_size: int) -> Batch:
        length = min(self.config.strip_frames, films.n_frames)
        clip = rng.integers(len(films.clip_id), size=batch_size)
        start = rng.integers(films.n_frames - length + 1, size=batch_size)
        index = (clip[:, None], start[:, None] + np.arange(length))
        cut = Cut.draw(batch_size, rng, Jitter())
        points = np.where(cut.mirrored.numpy()[:, None, None, None], films.mirrored_lips[index], films.lips[index])
        return {
            "region": cut.regions(torch.from_numpy(films.grey[index])),
            "actions": torch.from_numpy(films.actions[index]),
            "points": cut.points(torch.from_numpy(points)).flatten(2),
            "phones": torch.from_numpy(films.phones[index]).flatten(2),
        }

    def _clips(self, films: _Films, rng: np.random.Generator, batch_size: int) -> Batch:
        if self._told is None:
            self._told = self._views(films)
        speed = np.exp(rng.uniform(-self.config.speed, self.config.speed, (batch_size, 1)))
        centre = (films.n_frames - 1) / 2
        at = (np.arange(films.n_frames) - centre) * speed + centre + rng.uniform(-4, 4, (batch_size, 1))
        clip, at = _spliced(films.joints, at, self.config.splices, rng)
        view = rng.integers(self.config.views, size=(batch_size, 1))
        told = _between(self._told, view * len(films.clip_id) + clip, at)
        noise = rng.standard_normal(told.shape, np.float32) * self.config.input_noise
        phones = films.phones.reshape(len(films.clip_id), films.n_frames, -1)
        return {"told": torch.from_numpy(told + noise), "phones": torch.from_numpy(_between(phones, clip, at))}

    def _views(self, films: _Films) -> npt.NDArray[np.float32]:
        """What the eyes tell of random views of all teaching clips, view after view: (views clips, T, told)."""
        pieces = []
        with torch.inference_mode():
            for view in range(self.config.views):
                for start in range(0, len(films.grey), 16):
                    grey = torch.from_numpy(films.grey[start : start + 16])
                    cut = Cut.draw(len(grey), generator(films.seed, "view", view, start), Jitter())
                    pieces.append(_told(self.eyes(cut.regions(grey).to(self.log_prior.device))).cpu())
        views: npt.NDArray[np.float32] = torch.cat(pieces).numpy()
        return views

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the phones; the eyes also learn action units (mean square) and lip points (smooth L1)."""
        if "told" in batch:
            return {"reading": self._cross_entropy(self._read(batch["told"]), batch["phones"])}
        seen = self.eyes(batch["region"])
        coded = batch["actions"].isfinite(), batch["points"].isfinite()
        actions = torch.where(coded[0], seen["actions"].float() - batch["actions"].nan_to_num(), 0)
        points = torch.where(coded[1], seen["points"].float() - batch["points"].nan_to_num(), 0)
        return {
            "phones": 0.3 * self._cross_entropy(seen["phones"], batch["phones"]),
            "actions": 10 * actions.square().mean(),
            "points": 10 * functional.smooth_l1_loss(points, torch.zeros_like(points), beta=0.05),
        }

    def _cross_entropy(self, logits: Tensor, shares: Tensor) -> Tensor:
        logits, shares = (value.float().reshape(-1, len(PHONES)) for value in (logits, shares))
        return functional.cross_entropy(logits, shares)

    def _read(self, told: Tensor) -> Tensor:
        features, _ = self.recurrent(self.context(told))
        logits: Tensor = self.answer(features)
        return logits

    def predict(self, batch: Batch) -> Tensor:
        """Log posteriors (B, T R, P) of the phones; ``region`` (B, T, H, W)."""
        logits = self._read(_told(self.eyes(batch["region"])))
        return logits.float().reshape(len(logits), -1, len(PHONES)).log_softmax(dim=2)

    def read(self, face: npt.NDArray[np.uint8]) -> list[str]:
        """The words of a GRID sentence.

        Args:
            face: (T, S, S, 3) RGB at 25 frames/s, cut out by a box that stands still.

        Returns:
            six words, in the order of the grammar's slots.

        Raises:
            ValueError: another shape, or a clip too short for a sentence.
        """
        if face.ndim != 4 or face.shape[1] != face.shape[2] or face.shape[3] != 3:
            raise ValueError(f"expected faces (T, S, S, 3), got {face.shape}")
        glances = self.config.glances
        cut = Cut.draw(glances, generator(0, "glances"), GLANCE)
        region = cut.regions(torch.from_numpy(grey_faces(face)).expand(glances, -1, -1, -1))
        with torch.inference_mode():
            posterior = self.predict({"region": region.to(self.log_prior.device)}).mean(dim=0)
        likelihood = posterior - self.config.prior_power * self.log_prior
        return Lattice(self.lexicon.cpu().numpy()).decode(likelihood.cpu().numpy())

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """While the eyes learn, how far off they are (means of absolute differences); then WER and phone accuracy."""
        films = _Films(fold, "validation", self.config)
        region = Cut.still(len(films.grey)).regions(torch.from_numpy(films.grey)).to(self.log_prior.device)
        with torch.inference_mode():
            if self.reads:
                likeliest = self.predict({"region": region}).argmax(dim=2).cpu().numpy()
                true = films.phones.reshape(*likeliest.shape, -1).argmax(axis=2)
                return {
                    "WER": _rate(self, fold, "validation")["WER"],
                    "PhoneAccuracy": float((likeliest == true).mean()),
                }
            seen = self.eyes(region)
        lips = Cut.still(len(films.lips)).points(torch.from_numpy(films.lips)).flatten(2)
        differences = {
            "AuError": 5 * (seen["actions"].cpu() - torch.from_numpy(films.actions)).abs(),
            "LipError": (seen["points"].cpu() - lips).abs(),
        }
        return {name: float(value.nanmean()) for name, value in differences.items()}

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """Word errors on real clips of people who taught nothing: below one in five; each slot's for the record."""
        rates = _rate(self, fold, "test")
        slots = [AcceptanceTest(f"WER/{slot}", rates[slot], 1.0, "at most") for slot in SLOTS]
        return [AcceptanceTest("WER", rates["WER"], 0.2, "at most"), *slots]


class _Films:
    """The clips of a part in memory: (clips, T, ...) arrays; clips of another length are left out."""

    def __init__(self, fold: JudgeFold, part: Part, config: Config) -> None:
        clips = fold.clips(part)
        lengths = (clips["stop"] - clips["start"]).to_numpy()
        self.n_frames = int(np.bincount(lengths).argmax()) if len(lengths) else 0
        clips = clips[lengths == self.n_frames]
        if clips.empty:
            raise UserError(f"{fold.store.folder}: the {part} people of {fold.name} have no clip with a sentence")
        self.seed, self.clip_id = fold.seed, list(clips["clip_id"])
        spans = [slice(start, stop) for start, stop in zip(clips["start"], clips["stop"], strict=True)]
        side = fold.store["face"].shape[1]

        def stack(name: str) -> npt.NDArray[Any]:
            return np.stack([fold.store[name][span] for span in spans])

        self.grey = np.stack([grey_faces(fold.store["face"][span]) for span in spans])
        columns = [ACTION_UNITS.index(au) for au in MOUTH_AUS]
        self.actions = (stack("au_intensity")[..., columns] / 5).astype(np.float32)
        points = ((stack("landmarks_68") + 0.5) * (2 / side) - 1).astype(np.float32)
        self.lips, self.mirrored_lips = points[..., LIPS, :], points[..., FLIP_68, :][..., LIPS, :]
        """-1..1 of the crop; ``mirrored_lips`` in the order that they have in a mirror."""
        rate, of_clip = config.steps_per_frame, dict(iter(fold.units.groupby("clip_id")))
        phones = [phone_shares(of_clip[clip_id], self.n_frames * rate, FPS * rate) for clip_id in self.clip_id]
        self.phones = np.stack(phones).reshape(len(phones), self.n_frames, rate, len(PHONES))
        self.joints = np.stack([_joints(of_clip[clip_id]) for clip_id in self.clip_id])
        """(clips, 5): the frame, with fractions, between each word and the next."""


def _rate(judge: LipReader, fold: JudgeFold, part: Part) -> dict[str, float]:
    """WER of a part's clips, and the share of wrong words of each slot."""
    clips = fold.clips(part)
    spans = zip(clips["start"], clips["stop"], strict=True)
    found = [judge.read(fold.store["face"][start:stop]) for start, stop in spans]
    spoken = [str(transcript).lower().split() for transcript in clips["transcript"]]
    wrong = np.array([[a != b for a, b in zip(*pair, strict=True)] for pair in zip(found, spoken, strict=True)])
    rates = dict(zip(SLOTS, wrong.mean(axis=0).tolist(), strict=True))
    return {
        "WER": wer(word_errors([" ".join(words) for words in spoken], [" ".join(words) for words in found])),
        **rates,
    }


def _told(seen: dict[str, Tensor]) -> Tensor:
    """(B, T, told), all of order 1: features, action units, lip points about their mean place, phone probabilities."""
    points = seen["points"].float()
    rated = seen["phones"].float()
    probability = rated.reshape(*rated.shape[:2], -1, len(PHONES)).softmax(dim=3).flatten(2)
    middle = points.mean(dim=1, keepdim=True)
    features, actions = seen["features"].float(), seen["actions"].float()
    return torch.cat([features, 5 * actions, 10 * (points - middle), 5 * probability], dim=2)


def _joints(units: pd.DataFrame) -> npt.NDArray[np.float64]:
    words = units[units["tier"] == "word"].sort_values("start_s")
    if len(words) != len(SLOTS):
        clip_id = units["clip_id"].iloc[0]
        raise UserError(
            f"{clip_id}: a GRID sentence has {len(SLOTS)} words, the units table {len(words)}; mend it or drop the clip"
        )
    middle = (words["end_s"].to_numpy()[:-1] + words["start_s"].to_numpy()[1:]) / 2
    return np.asarray(FPS * middle - 0.5, np.float64)


def _spliced(
    joints: npt.NDArray[np.float64], at: npt.NDArray[np.float64], splices: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Clips (B, T) and frames (B, T) of them that make up sentences: one clip up to a joint, then another from there.

    Args:
        joints: (clips, 5) as in `_Films`.
        at: (B, T) frames of the clips that the sentences begin with.
        splices: how often another clip takes over; two at one joint count as one.
        rng: draws clips and joints.
    """
    sentences, clips = len(at), len(joints)
    clip = np.repeat(rng.integers(clips, size=(sentences, 1)), at.shape[1], axis=1)
    for joint in np.sort(rng.integers(joints.shape[1], size=(splices, sentences, 1)), axis=0):
        other, left = rng.integers(clips, size=(sentences, 1)), joints[clip, joint]
        past = at > left
        clip, at = np.where(past, other, clip), np.where(past, at - left + joints[other, joint], at)
    return clip, at


def _between(
    tracks: npt.NDArray[np.float32], clip: npt.NDArray[np.int64], at: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Values (B, T', C) of tracks (clips, T, C) at fractional frames (B, T'), linearly between neighbours.

    Args:
        tracks: of all clips.
        clip: (B, T') which of them.
        at: (B, T') frames; those before the first or behind the last frame stand for that.
    """
    at = np.clip(at, 0, tracks.shape[1] - 1)
    low = np.minimum(np.floor(at).astype(np.int64), tracks.shape[1] - 2)
    share = (at - low)[..., None].astype(np.float32)
    mixed: npt.NDArray[np.float32] = tracks[clip, low] * (1 - share) + tracks[clip, low + 1] * share
    return mixed


def _convolution(channels: int, width: int, kernel: int = 3) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    ]  # fmt: skip


CARD = JudgeCard(
    key="lip_reader",
    judge=LipReader,
    config=Config,
    train=TrainConfig(
        epochs=8, batch_size=30, steps_per_epoch=80, optimizer="adamw", learning_rate=2e-3, momentum=0.9,
        weight_decay=0.01, schedule="cosine", decay_factor=0.02, warmup_steps=20, clip_norm=5.0, channels_last=True,
    ),
    question="Which words of the GRID grammar does the face say?",
    kinds=("speech",),
    identifier="arXiv:1611.01599",
    reconstructed=(
        "LipNet learns from 28 hours with CTC; minutes of film with exact phone times take a frame-wise loss, action"
        " units and lip points teach what the eyes see, and words come from a lattice of the GRID grammar.",
    ),
)  # fmt: skip
