"""The contract of the talking head family: what a batch holds, what a prediction is, how it is scored.

A batch (B sequences of T consecutive frames of a clip, A action units, l side of the frames):

    video         (B, T, 3, l, l) float32, RGB in -1..1: the true frames
    identity      (B, 3, l, l) float32, the same range: the still picture
    mfcc          (B, T, 12, 28) float32: cepstra 1..12 of the 28 10 ms steps around a frame (7 frames); silence = 0
    au_occurrence (B, T, A) float32: 1 present, 0 absent, -1 not coded
    mouth         (B, T, l, l) float32: 1 inside the mouth's box
    valid         (B, T) bool: false where a clip has ended
    row           (B, T) int64, row of the `faces` store

A system for many people is trained on sequences of training people. One that is made for a single person (NeRF,
Gaussians) brings a `Fold` of its own, with people for clips and rays for frames; whatever gives a `Prediction` for a
whole clip is scored here.

Every test clip is generated from its own first frame and its own sound, and measured frame by frame. Landmarks, action
units, words, synchrony and perceptual distance are read by the judges, from generated and from true frames alike;
labels of the data set stand for the truth of F1 alone. A row without a mark is the generated clip's; the others are
controls, measured in the same way:

    @truth         the true frames: what the judges say of reality
    @still         the first frame, held: what a face that never speaks gets
    @shifted5      the true frames with their sound five frames (0.2 s) late
    @other_speech  the generated frames with the sound of another person's test clip

Sync-C and Sync-D search over shifts of the sound, so that @shifted5 shows in SyncOffset alone, and @other_speech is
what they make of a foreign sound. Intervals draw people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from vultus.audio.windows import mfcc_window
from vultus.core.errors import UserError
from vultus.core.results import ResultRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Evaluation, Family, Fold, System
from vultus.data import splits
from vultus.data.parquet import read_frame
from vultus.data.stores import Store, open_store
from vultus.data.tables import ACTION_UNITS
from vultus.metrics.bootstrap import interval, resample
from vultus.metrics.image import psnr
from vultus.metrics.occurrence import confusion, f1, macro
from vultus.metrics.talking import JUDGE_OF, JUDGES, Bench, Clip, metrics, pixels

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment

Array = npt.NDArray[Any]
Part = splits.Part

SPEECH_AUS = (10, 14, 20, 25, 26)
"""Upper lip raiser, dimpler, lip stretcher, lips part, jaw drop: the five that the group's systems hear in speech."""

MFCC_COEFFICIENTS = 12
MFCC_STEPS = 28
"""Of 10 ms: the frame's four, twelve before and twelve after."""
_AROUND = 3
"""Frames of sound on either side of a frame."""

HEADLINE = ("PSNR", "SSIM", "LPIPS", "SyncC", "SyncD", "LMD", "AUE", "WER", "EFID")
PROTOCOL = "unseen people with unseen sentences; each clip from its first frame and its sound"
_STEADY_POINTS = slice(27, 48)
"""Nose and eyes: what speech does not move."""
_SHOWN_PEOPLE = 4
NAN = float("nan")


@dataclass(frozen=True)
class TalkingConfig:
    """What every system of the family can be told about its frames and labels."""

    image_px: int = 112
    """Side of the frames (l); stored faces are resized to it."""
    seq_len: int = 25
    """Frames of a training sequence (T)."""
    aus: tuple[int, ...] = SPEECH_AUS
    """FACS numbers, in the order of the outputs."""
    id_frame: Literal["first", "random", "other_clip"] = "first"
    """The still picture of a training sequence: the first frame of its clip, as of test clips; any frame of the clip;
    or one of another clip of the person (of the same clip, where there is no other)."""
    steady: bool = False
    """Turn and move all frames of a clip so that eyes and nose stand where they do in its median frame. Sound cannot
    tell where a head moves; talkers of GRID hold still, others do not. Clips are measured as they are trained."""
    flip: bool = True
    """Mirror half of the training sequences."""
    colour_jitter: float = 0.1
    """Largest relative change of brightness and of each colour of a training sequence."""
    validation_clips: int = 0
    """At most this many clips are scored after an epoch; 0 = all of the validation people."""

    def __post_init__(self) -> None:
        unknown = [au for au in self.aus if au not in ACTION_UNITS]
        if unknown:
            raise ValueError(f"aus has no action unit {unknown[0]}; known: {', '.join(map(str, ACTION_UNITS))}")


@dataclass(frozen=True)
class Prediction:
    """What a system of the family makes of B sequences; zeros where a sequence has ended."""

    frames: Tensor | None = field(default=None, metadata={"unit": "", "range": (-1.0, 1.0), "shape": "B T C H W"})
    """(B, T, 3, l, l): the generated frames, RGB; absent while a part is trained that draws nothing."""
    au_from_speech: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B T A"})
    """(B, T, A): probability of each action unit from the sound alone."""
    au_from_truth: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B T A"})
    """(B, T, A): the same from the true frames, by a classifier that a loss asks; while it is trained."""


@dataclass(frozen=True)
class _Take:
    """A sequence to be read: rows [start, stop) of the store, the row of its still picture, and what is changed."""

    start: int
    stop: int
    identity: int
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)


class TalkingFold(Fold):
    """One fold: people of a split, clips of a `faces` store."""

    def __init__(
        self, store: Store, clips: pd.DataFrame, split: splits.Split, config: TalkingConfig, seed: int
    ) -> None:
        split.check_disjoint()
        self.name, self.split, self.split_hash = split.name, split, split.hash
        self.store, self.config, self.seed = store, config, seed
        self.stored_px = int(store.meta["arrays"]["face"]["shape"][1])
        about = clips.set_index("clip_id")
        spans = store.clips[store.clips["clip_id"].isin(about.index) & (store.clips["stop"] > store.clips["start"])]
        self.clips = spans.assign(
            subject=about["subject"].reindex(spans["clip_id"]).to_numpy(),
            transcript=about["transcript"].reindex(spans["clip_id"]).to_numpy() if "transcript" in about else None,
            audio=about["audio"].reindex(spans["clip_id"]).to_numpy() if "audio" in about else None,
        ).reset_index(drop=True)
        self.of: dict[Part, pd.DataFrame] = {}
        for part in splits.PARTS:
            self.of[part] = self.clips[split.mask(self.clips["subject"], part)].reset_index(drop=True)
            if self.of[part].empty:
                raise UserError(f"{store.folder}: the {part} people of {split.name} have no clip")
        self.occurrence: Array = np.asarray(store["au_occurrence"][:, [ACTION_UNITS.index(au) for au in config.aus]])
        hashes = ",".join(store.clips["content_hash"].astype(str))
        self.fingerprint = hashlib.sha256(f"{hashes};{split.hash};{split.name}".encode()).hexdigest()[:16]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold as many frames as the training people have."""
        frames = int((self.of["train"]["stop"] - self.of["train"]["start"]).sum())
        return max(1, frames // (batch_size * self.config.seq_len))

    def training_batch(self, epoch: int, step: int, batch_size: int, length: int = 0) -> Batch:
        """Sequences of different clips (as far as there are enough) from random places of the training people's clips.

        Args:
            epoch: from 0.
            step: from 0.
            batch_size: B.
            length: T; 0 = ``config.seq_len``.
        """
        config, clips = self.config, self.of["train"]
        length = length or config.seq_len
        rng = generator(self.seed, "sequences", epoch, step)
        rounds = [rng.permutation(len(clips)) for _ in range(-(-batch_size // len(clips)))]
        takes = []
        for index in np.concatenate(rounds)[:batch_size]:
            clip = clips.iloc[index]
            start = int(rng.integers(clip.start, max(clip.start, clip.stop - length) + 1))
            gain = 1 + config.colour_jitter * (rng.uniform(-1, 1) + rng.uniform(-1, 1, 3)) / 2
            takes.append(
                _Take(
                    start=start,
                    stop=min(start + length, int(clip.stop)),
                    identity=self._identity_row(clip, rng),
                    flip=bool(config.flip and rng.random() < 0.5),
                    gain=tuple(gain.tolist()),
                )
            )
        return self._batch(takes, length)

    def whole(self, clip: pd.Series) -> Batch:
        """A clip from its first to its last frame as a batch of one, its first frame as the still picture."""
        return self._batch([_Take(int(clip.start), int(clip.stop), int(clip.start))], int(clip.stop - clip.start))

    def occurrence_rate(self) -> Tensor:
        """(A,) share of the training people's coded frames in which an AU is present, at least one frame's share."""
        target = self.occurrence[self._training_rows]
        coded = np.maximum((target >= 0).sum(axis=0), 1)
        return torch.from_numpy(np.clip((target > 0).sum(axis=0), 1, np.maximum(coded - 1, 1)) / coded).float()

    def mfcc_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (12,) of cepstra 1..12 over the training people's sound."""
        values = np.asarray(self.store["mfcc"][self._training_rows])[..., 1:].reshape(-1, MFCC_COEFFICIENTS)
        return torch.from_numpy(values.mean(axis=0)), torch.from_numpy(values.std(axis=0) + 1e-3)

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """PSNR of frames and mouths, beside those of the held first frame; F1 of what hears and sees action units."""
        clips = self.of["validation"]
        if self.config.validation_clips:
            clips = clips.iloc[:: max(1, -(-len(clips) // self.config.validation_clips))]
        values: dict[str, list[Array]] = {}
        heard, seen, labels = [], [], []
        for _, clip in clips.iterrows():
            batch = self.whole(clip)
            prediction = _predict(system, batch)
            labels.append(batch["au_occurrence"][0].numpy())
            if prediction.frames is not None:
                truth, generated = _unit(batch["video"][0]), _unit(prediction.frames[0])
                still = _unit(batch["identity"]).expand_as(truth)
                box = _mouth_box(batch["mouth"][0])
                for name, frames in (("", generated), ("Still", still)):
                    values.setdefault(f"PSNR{name}", []).append(psnr(frames, truth).numpy())
                    values.setdefault(f"MouthPSNR{name}", []).append(psnr(frames[box], truth[box]).numpy())
            if prediction.au_from_speech is not None:
                heard.append(prediction.au_from_speech[0].numpy())
            if prediction.au_from_truth is not None:
                seen.append(prediction.au_from_truth[0].numpy())
        scores = {name: float(np.concatenate(parts).mean()) for name, parts in values.items()}
        for name, probabilities in (("SpeechF1", heard), ("TruthF1", seen)):
            if probabilities:
                counts = confusion(np.concatenate(probabilities), np.concatenate(labels))
                scores[name] = float(macro(f1(counts.sum(axis=0))))
        return scores

    @cached_property
    def windows(self) -> Array:
        """(N, 12, 28) float32: the cepstra around each frame of the store, silent beyond a clip's ends."""
        windows = np.zeros((len(self.store), MFCC_COEFFICIENTS, MFCC_STEPS), np.float32)
        for _, start, stop in self.store.clips[["clip_id", "start", "stop"]].itertuples(index=False):
            around = mfcc_window(self.store["mfcc"][start:stop], _AROUND, _AROUND)
            windows[start:stop] = around[..., 1:].transpose(0, 2, 1)
        return windows

    @cached_property
    def _placing(self) -> Array:
        """(N, 2, 3): from px of a stored face to px of a frame of side l."""
        scale = self.config.image_px / self.stored_px
        resize = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
        if not self.config.steady:
            return np.broadcast_to(resize[:2], (len(self.store), 2, 3))
        placing = np.empty((len(self.store), 2, 3))
        for _, start, stop in self.store.clips[["clip_id", "start", "stop"]].itertuples(index=False):
            points = np.asarray(self.store["landmarks_68"][start:stop, _STEADY_POINTS], np.float64)
            placing[start:stop] = (resize @ _steadying(points))[:, :2]
        return placing

    @cached_property
    def _training_rows(self) -> Array:
        spans = self.of["train"][["start", "stop"]].itertuples(index=False)
        return np.concatenate([np.arange(start, stop) for start, stop in spans])

    def _identity_row(self, clip: pd.Series, rng: np.random.Generator) -> int:
        if self.config.id_frame == "first":
            return int(clip.start)
        if self.config.id_frame == "other_clip":
            clips = self.of["train"]
            others = clips[(clips["subject"] == clip.subject) & (clips["clip_id"] != clip.clip_id)]
            if len(others):
                clip = others.iloc[int(rng.integers(len(others)))]
        return int(rng.integers(clip.start, clip.stop))

    def _frames(self, rows: Array) -> Array:
        """Frames (n, l, l, 3) uint8 of store rows."""
        size = self.config.image_px
        stored = self.store["face"]
        if not self.config.steady:
            if size == self.stored_px:
                return np.asarray(stored[rows])
            return np.stack(
                [cv2.resize(np.asarray(stored[row]), (size, size), interpolation=cv2.INTER_AREA) for row in rows]
            )
        return np.stack([
            cv2.warpAffine(
                np.asarray(stored[row]), self._placing[row], (size, size), flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            for row in rows
        ])  # fmt: skip

    def _mouths(self, rows: Array) -> Array:
        """Masks (n, l, l) bool of the squares around the mouths, half as wide as the face; all False if unknown."""
        points = np.asarray(self.store["landmarks_68"][rows, 48:68], np.float64)
        placed = np.einsum("nij,nkj->nki", self._placing[rows][:, :, :2], points) + self._placing[rows][:, None, :, 2]
        middle, half = placed.mean(axis=1), 0.25 * self.config.image_px / 1.3
        at = np.arange(self.config.image_px)
        inside = np.abs(at[None, :, None] - middle[:, None, :]) <= half  # NaN compares false
        return np.asarray(inside[:, :, None, 1] & inside[:, None, :, 0])

    def _batch(self, takes: Sequence[_Take], length: int) -> Batch:
        size, n_aus = self.config.image_px, len(self.config.aus)
        video = np.zeros((len(takes), length, size, size, 3), np.float32)
        identity = np.zeros((len(takes), size, size, 3), np.float32)
        mfcc = np.zeros((len(takes), length, MFCC_COEFFICIENTS, MFCC_STEPS), np.float32)
        occurrence = np.full((len(takes), length, n_aus), -1, np.float32)
        mouth = np.zeros((len(takes), length, size, size), np.float32)
        row = np.zeros((len(takes), length), np.int64)
        valid = np.zeros((len(takes), length), bool)
        for i, take in enumerate(takes):
            rows = np.arange(take.start, take.stop)
            n = len(rows)
            mirrored = slice(None, None, -1 if take.flip else 1)
            gain = np.asarray(take.gain, np.float32) / 127.5
            drawn = self._frames(np.append(rows, take.identity))[:, :, mirrored] * gain - 1
            video[i, :n], identity[i] = drawn[:-1], drawn[-1]
            mouth[i, :n] = self._mouths(rows)[:, :, mirrored]
            mfcc[i, :n], occurrence[i, :n] = self.windows[rows], self.occurrence[rows]
            row[i, :n], valid[i, :n] = rows, True
        return {
            "video": torch.from_numpy(np.minimum(video, 1, out=video)).permute(0, 1, 4, 2, 3).contiguous(),
            "identity": torch.from_numpy(np.minimum(identity, 1)).permute(0, 3, 1, 2).contiguous(),
            "mfcc": torch.from_numpy(mfcc),
            "au_occurrence": torch.from_numpy(occurrence),
            "mouth": torch.from_numpy(mouth),
            "valid": torch.from_numpy(valid),
            "row": torch.from_numpy(row),
        }


def _steadying(points: Array) -> Array:
    """Similarities (T, 3, 3) that take each frame's points (T, P, 2) to the clip's median ones; unknown: identity.

    With points as complex numbers, the least squares answer is ``a z + b`` with a = <z, w> / <z, z> about the means.
    """
    z = points[..., 0] + 1j * points[..., 1]
    known = ~np.isnan(points).any(axis=(1, 2))
    matrices = np.broadcast_to(np.eye(3), (len(points), 3, 3)).copy()
    if not known.any():
        return matrices
    median = np.median(points[known], axis=0)
    w = median[:, 0] + 1j * median[:, 1]
    middle = z[known].mean(axis=1)
    centred = z[known] - middle[:, None]
    a = (centred.conj() * (w - w.mean())).sum(axis=1) / (np.abs(centred) ** 2).sum(axis=1)
    b = w.mean() - a * middle
    matrices[known, :2] = np.stack(
        [np.stack([a.real, -a.imag, b.real], axis=1), np.stack([a.imag, a.real, b.imag], axis=1)], axis=1
    )
    return matrices


def _predict(system: System, batch: Batch) -> Prediction:
    device = next(iter(system.state_dict().values())).device
    with torch.inference_mode():
        prediction: Prediction = system.predict({name: value.to(device) for name, value in batch.items()})
    fields = {name: getattr(prediction, name) for name in Prediction.__dataclass_fields__}
    return Prediction(**{name: None if value is None else value.float().cpu() for name, value in fields.items()})


def _unit(frames: Tensor) -> Tensor:
    """Frames in -1..1 as 8-bit pictures would show them, in 0..1."""
    return ((frames + 1) * 127.5).round().clamp(0, 255) / 255


def _mouth_box(mouth: Tensor) -> tuple[slice, ...]:
    """The smallest box of (T, l, l) that holds the mouth of every frame, as an index of (T, 3, l, l)."""
    if not mouth.any():
        return (slice(None),)
    rows, columns = (mouth.amax(dim=(0, axis)).nonzero().flatten() for axis in (2, 1))
    return (slice(None), slice(None), *(slice(int(at.min()), int(at.max()) + 1) for at in (rows, columns)))


def load_judges() -> dict[str, Any]:
    """The judges that have been trained, by name; the stages train all of them before anything is evaluated."""
    from vultus import judges  # scoring alone asks them: no training may

    found = {}
    for name in JUDGES:
        if (judges.FOLDER / name).is_dir():
            found[name] = judges.load(name)
    return found


class TalkingHeads(Family):
    """See the module's docstring."""

    name = "talking_heads"

    def folds(self, experiment: Experiment) -> list[Fold]:
        """The folds of the protocol over the people that the faces store has."""
        clips = read_frame(experiment.tables / "clips.parquet")
        store = open_store(experiment.features)
        return [
            TalkingFold(store, clips, split, experiment.config, experiment.seed)
            for split in splits.protocol(experiment.protocol, clips)
        ]

    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """Every clip of the test people, generated and measured with its controls: one row a clip."""
        assert isinstance(fold, TalkingFold)
        bench = Bench(load_judges(), fold.stored_px, fold.config.aus)
        return pd.DataFrame([_measured(system, fold, bench, index) for index in range(len(fold.of["test"]))])

    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """Means over test frames, with intervals over people; what no judge could measure is NaN, and said."""
        card = experiment.card
        paper = card.paper_values.get(experiment.dataset, {})
        split_hash = "+".join(fold.split_hash for fold in folds)
        n = int(predictions["subject"].nunique())

        def row(name: str, value: float, low: float, high: float) -> ResultRow:
            judge = f"judge_{JUDGE_OF.get(name.split('@')[0].split('/')[0])}"
            return ResultRow(
                system=card.key,
                family=self.name,
                dataset=experiment.dataset,
                protocol=experiment.protocol,
                metric=name,
                value=value,
                low=low,
                high=high,
                n=n,
                judge=str(predictions[judge].iloc[0]) if judge in predictions else "",
                split_hash=split_hash,
                paper_value=paper.get(name, NAN),
            )

        rows, replicates = [], {}
        for name, sums, formula in metrics(predictions, experiment.config.aus):
            value, samples = resample(sums, formula, experiment.seed)
            low, high = interval(samples)
            rows.append(row(name, float(value), float(low), float(high)))
            replicates[name] = samples
        values = {row.metric: row.value for row in rows if not {"/", "@"} & set(row.metric)}
        absent = [name for name in HEADLINE if name not in values]
        rows += [row(name, NAN, NAN, NAN) for name in absent]
        values |= dict.fromkeys(absent, NAN)
        missing = (f"{', '.join(absent)}: the judge that measures it has not been trained",) if absent else ()
        first = ["dataset", "clip_id", "frame", "subject", "fold"]
        ordered = predictions[first + [column for column in predictions if column not in first]]
        return Evaluation(ordered, rows, values, replicates, missing)

    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """For several test people: clips with sound, and mouths over time below the sound's spectrum."""
        from vultus.face.talking_sheets import Person, draw_people

        assert isinstance(fold, TalkingFold)
        where = f"synthetic people ({experiment.dataset})" if experiment.synthetic else experiment.dataset
        clips = fold.of["test"].drop_duplicates("subject")
        clips = clips.iloc[:: max(1, len(clips) // _SHOWN_PEOPLE)].iloc[:_SHOWN_PEOPLE]
        shown = []
        for _, clip in clips.iterrows():
            batch = fold.whole(clip)
            frames = _predict(system, batch).frames
            assert frames is not None
            true, generated = (pixels(_unit(video), fold.config.image_px) for video in (batch["video"][0], frames[0]))
            audio = None if pd.isna(clip.audio) else experiment.media / clip.audio
            shown.append(Person(str(clip.subject), true, generated, _mouth_box(batch["mouth"][0])[2:], audio))
        captions: dict[str, str] = draw_people(shown, experiment.card.key, where, folder)
        return captions


def _measured(system: System, fold: TalkingFold, bench: Bench, index: int) -> dict[str, Any]:
    """A row of the predictions: a test clip with its controls."""
    clips = fold.of["test"]
    clip = clips.iloc[index]
    strangers = clips[clips["subject"] != clip.subject]
    strangers = strangers[strangers["transcript"] != clip.transcript] if pd.notna(clip.transcript) else strangers
    stranger = (strangers if len(strangers) else clips).iloc[index % max(1, len(strangers))]
    batch = fold.whole(clip)
    prediction = _predict(system, batch)
    if prediction.frames is None:
        raise ValueError(f"{type(system).__name__} predicts no frames")
    truth, occurrence = _unit(batch["video"][0]), batch["au_occurrence"][0].numpy()
    measured = bench.measure(
        Clip(
            generated=_unit(prediction.frames[0]),
            truth=truth,
            still=_unit(batch["identity"]).expand_as(truth),
            mouth=_mouth_box(batch["mouth"][0]),
            occurrence=occurrence,
            mfcc=np.asarray(fold.store["mfcc"][clip.start : clip.stop]),
            other_mfcc=np.asarray(fold.store["mfcc"][stranger.start : stranger.stop]),
            transcript="" if pd.isna(clip.transcript) else clip.transcript,
        )
    )
    if prediction.au_from_speech is not None:
        counts = confusion(prediction.au_from_speech[0].numpy(), occurrence)[0]
        measured["speech_counts"] = counts.ravel().tolist()
    about = {"clip_id": clip.clip_id, "frame": 0, "subject": clip.subject, "n_frames": len(truth)}
    return {**about, "transcript": clip.transcript, **measured}


FAMILY = TalkingHeads()
