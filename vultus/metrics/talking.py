"""All that is measured of a generated clip and its controls, and the metrics that follow from the clips of all people.

`Bench` holds the judges and measures one clip: a flat row of means over its frames, of counts and of sums. `metrics`
turns the rows of all clips into sums over subjects with a formula each, which is what the bootstrap wants. The marks
of the controls (``@still``, ``@truth``, ``@shifted5``, ``@other_speech``) are explained in
`vultus.systems.talking_heads.common`; ``/`` names a part of a metric (``F1/AU25``, ``PSNR/mouth``).

Shapes: T frames, l their side, A = `tables.ACTION_UNITS`, a = the action units of speech, S subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from vultus.data.tables import ACTION_UNITS
from vultus.metrics.frechet import Gaussian, frechet_distance
from vultus.metrics.image import psnr, ssim
from vultus.metrics.lips import (
    AUE_LOWER,
    AUE_UPPER,
    correlation,
    eye_distance,
    lmd,
    mouth_opening,
    squared_au_error,
)
from vultus.metrics.occurrence import Array, confusion, f1, group_sums, macro
from vultus.metrics.sharpness import BLOCK_PX, cpbd
from vultus.metrics.wer import word_errors

JUDGES = ("perceptual", "au", "syncnet", "lip_reader")
"""Who is asked; without one, its numbers are missing."""
JUDGE_OF = {
    "LPIPS": "perceptual", "SyncC": "syncnet", "SyncD": "syncnet", "SyncOffset": "syncnet", "WER": "lip_reader",
    "LMD": "au", "MouthCorrelation": "au", "AUE": "au", "F1": "au", "EFID": "au",
}  # fmt: skip
"""Metric (without mark or part) -> who measures it; the others need nobody."""
SHIFT_FRAMES = 5
"""Of the control ``@shifted5``."""

_LARGE_PX = 2 * BLOCK_PX
"""Frames below this side hold too few blocks of the published CPBD; theirs are 16 px wide, and the number named so."""
_MARKS = ("", "@still", "@truth", "@shifted5", "@other_speech")
_MEANS = (
    "PSNR", "PSNR/mouth", "SSIM", "LPIPS", "CPBD", "CPBD16", "SyncC", "SyncD", "SyncOffset", "LMD", "LMD/eye",
    "MouthCorrelation",
)  # fmt: skip
SYNC_FRAMES = 36
"""Shortest clip whose synchrony has a value: 31 shifts of windows of five frames."""
NAN = float("nan")


@dataclass(frozen=True)
class Clip:
    """A test clip as it is measured; frames are (T, 3, l, l) in 0..1."""

    generated: Tensor
    truth: Tensor
    still: Tensor
    """The still picture, held."""
    mouth: tuple[slice, ...]
    """Index of the mouth's box in frames."""
    occurrence: Array
    """(T, a): labels of the speech's action units, 1, 0, or -1 where not coded."""
    mfcc: Array
    """(T, 4, 13): the cepstra of each frame's sound."""
    other_mfcc: Array
    """(T', 4, 13): those of another person's clip."""
    transcript: str
    """Words spoken; empty where not known."""


@dataclass(frozen=True)
class Bench:
    """The judges that measure a clip."""

    judges: Mapping[str, Any]
    size: int
    """Side of the faces that the judges were taught on, px."""
    aus: tuple[int, ...]
    """FACS numbers of the speech's action units."""

    def measure(self, clip: Clip) -> dict[str, Any]:
        """Numbers of the generated frames and of the controls, as ``name@control``."""
        shown = {"": clip.generated, "@still": clip.still, "@truth": clip.truth}
        faces = {mark: pixels(frames, self.size) for mark, frames in shown.items()}
        row: dict[str, Any] = {f"judge_{name}": judge.label for name, judge in self.judges.items()}
        for mark, frames in shown.items():
            found: dict[str, Any] = {}
            if mark != "@truth":
                found |= self._closeness(frames, clip)
            if mark != "@still":
                found |= self._sharpness(frames)
            found |= self._face(faces[mark], faces["@truth"], clip.occurrence)
            found |= self._words(faces[mark], clip.transcript) | self._sync(faces[mark], clip.mfcc)
            row |= {f"{name}{mark}": value for name, value in found.items()}
        n = len(clip.mfcc)
        late = np.concatenate([np.zeros_like(clip.mfcc[:SHIFT_FRAMES]), clip.mfcc])[:n]
        foreign = np.resize(clip.other_mfcc, clip.mfcc.shape) if len(clip.other_mfcc) < n else clip.other_mfcc[:n]
        for mark, seen, heard in (("@shifted5", "@truth", late), ("@other_speech", "", foreign)):
            row |= {f"{name}{mark}": value for name, value in self._sync(faces[seen], heard).items()}
        return row

    def _closeness(self, frames: Tensor, clip: Clip) -> dict[str, float]:
        """Means over frames of what compares them with the true ones."""
        box = clip.mouth
        found = {"PSNR": psnr(frames, clip.truth), "PSNR/mouth": psnr(frames[box], clip.truth[box])}
        found["SSIM"] = ssim(frames, clip.truth)
        if "perceptual" in self.judges:
            found["LPIPS"] = self.judges["perceptual"].distance(2 * frames - 1, 2 * clip.truth - 1)
        return {name: float(_array(value).mean()) for name, value in found.items()}

    def _sharpness(self, frames: Tensor) -> dict[str, float]:
        """CPBD of frames of at least 128 px, CPBD16 of smaller ones; the mean over frames that have edges."""
        block = BLOCK_PX if min(frames.shape[-2:]) >= _LARGE_PX else 16
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pixels(frames, frames.shape[-1])]
        values = np.array([cpbd(picture.astype(np.uint8), block) for picture in grey])
        known = values[~np.isnan(values)]
        return {"CPBD" if block == BLOCK_PX else "CPBD16": float(known.mean()) if len(known) else NAN}

    def _sync(self, faces: Array, mfcc: Array) -> dict[str, float]:
        if "syncnet" not in self.judges or len(faces) < SYNC_FRAMES:
            return {}
        scores = self.judges["syncnet"].scores(faces, mfcc)
        offset = abs(float(scores.offset_frames))
        return {"SyncC": float(scores.confidence), "SyncD": float(scores.distance), "SyncOffset": offset}

    def _words(self, faces: Array, transcript: str) -> dict[str, float]:
        if "lip_reader" not in self.judges or not transcript:
            return {}
        counts = word_errors([transcript], [" ".join(self.judges["lip_reader"].read(faces))])[0]
        return {"word_errors": float(counts[1:].sum()), "words": float(counts[:3].sum())}

    def _face(self, faces: Array, true_faces: Array, occurrence: Array) -> dict[str, Any]:
        """What the `au` judge sees in the faces and in the true ones: landmarks, intensities, presence."""
        if "au" not in self.judges:
            return {}
        seen, true = (self.judges["au"].look(pictures) for pictures in (faces, true_faces))
        points, true_points = (_array(reading.landmarks_68).astype(np.float64) for reading in (seen, true))
        intensity, true_intensity = (_array(reading.intensity).astype(np.float64) for reading in (seen, true))
        error = squared_au_error(intensity, true_intensity)
        columns = [ACTION_UNITS.index(au) for au in self.aus]
        distance = lmd(points, true_points)
        opening, true_opening = mouth_opening(points), mouth_opening(true_points)
        return {
            "LMD": float(distance.mean()),
            "LMD/eye": float((distance / eye_distance(true_points)).mean()),
            "MouthCorrelation": correlation(opening, true_opening),
            "mouth_opening": opening.tolist(),
            "au_counts": confusion(_array(seen.probability)[:, columns], occurrence)[0].ravel().tolist(),
            "au_error": error.mean(axis=0).tolist(),
            "au_intensity": intensity.ravel().tolist(),
        }


def pixels(frames: Tensor, size: int) -> npt.NDArray[np.uint8]:
    """Frames (T, 3, l, l) in 0..1 as pictures (T, size, size, 3) uint8."""
    pictures: npt.NDArray[np.uint8] = (frames.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    if pictures.shape[1] == size:
        return pictures
    return np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in pictures])


Formula = Callable[[Array], Array]
Metric = tuple[str, list[Array], Formula]


def metrics(rows: pd.DataFrame, aus: Sequence[int]) -> Iterator[Metric]:
    """Each metric as its name, its sums over subjects fold by fold, and its formula on them.

    Args:
        rows: of `Bench.measure`, with ``subject``, ``fold`` and ``n_frames``; ``speech_counts`` (a * 4 counts of
            `confusion`) where a system hears action units.
        aus: FACS numbers of the speech's action units.
    """
    folds = [fold for _, fold in rows.groupby("fold", sort=True)]

    def sums(values: Callable[[pd.DataFrame], Array]) -> list[Array]:
        return [group_sums(values(fold), pd.factorize(fold["subject"])[0]) for fold in folds]

    for mark in _MARKS:
        for name in _MEANS:
            if f"{name}{mark}" in rows:
                yield f"{name}{mark}", sums(partial(_weighted, column=f"{name}{mark}")), _ratio
        if f"words{mark}" in rows:
            yield f"WER{mark}", sums(partial(_word_counts, mark=mark)), _ratio
        if f"au_counts{mark}" in rows:
            yield from _presence(f"F1{{}}{mark}", sums(partial(_counts, column=f"au_counts{mark}")), aus)
        if f"au_counts{mark}" in rows and mark != "@truth":
            errors = sums(partial(_au_errors, mark=mark))
            for name, units in (("", (*AUE_LOWER, *AUE_UPPER)), ("/lower", AUE_LOWER), ("/upper", AUE_UPPER)):
                yield f"AUE{name}{mark}", errors, partial(_aue, units=[au in units for au in ACTION_UNITS])
            yield f"EFID{mark}", sums(partial(_expressions, mark=mark)), _efid
    if "speech_counts" in rows:
        yield from _presence("SpeechF1{}", sums(partial(_counts, column="speech_counts")), aus)


def _presence(name: str, counts: list[Array], aus: Sequence[int]) -> Iterator[Metric]:
    """F1 as the mean over action units and of each."""
    yield name.format(""), counts, lambda sums: np.asarray(macro(f1(sums)))
    for i, au in enumerate(aus):
        yield name.format(f"/AU{au:02d}"), counts, partial(_one_f1, index=i)


def _one_f1(sums: Array, index: int) -> Array:
    values: Array = f1(sums)[..., index]
    return values


def _stacked(rows: pd.DataFrame, column: str) -> Array:
    return np.stack([np.asarray(values, np.float64) for values in rows[column]])


def _counts(rows: pd.DataFrame, column: str) -> Array:
    """(clips, a, 4)."""
    return _stacked(rows, column).reshape(len(rows), -1, 4)


def _word_counts(rows: pd.DataFrame, mark: str) -> Array:
    """(clips, 2): errors and words spoken."""
    counts: Array = rows[[f"word_errors{mark}", f"words{mark}"]].to_numpy(np.float64)
    return np.where(np.isnan(counts), 0.0, counts)


def _weighted(rows: pd.DataFrame, column: str) -> Array:
    """(clips, 2): a clip's mean times its frames, and its frames; zeros where it has no value."""
    value, frames = rows[column].to_numpy(np.float64), rows["n_frames"].to_numpy(np.float64)
    known = ~np.isnan(value)
    return np.stack([np.where(known, value, 0) * frames, known * frames], axis=1)


def _ratio(sums: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _au_errors(rows: pd.DataFrame, mark: str) -> Array:
    """(clips, A + 1): squared AU errors summed over frames, and the frames."""
    frames = rows[["n_frames"]].to_numpy(np.float64)
    return np.concatenate([_stacked(rows, f"au_error{mark}") * frames, frames], axis=1)


def _aue(sums: Array, units: Sequence[bool]) -> Array:
    """The mean error over frames, summed over the action units that the judge was taught."""
    chosen = sums[..., :-1][..., np.asarray(units)]
    return np.asarray(np.nansum(chosen, axis=-1) / sums[..., -1])


def _expressions(rows: pd.DataFrame, mark: str) -> Array:
    """(clips, 2, 1 + A, 1 + A): moments of generated and of true expressions."""
    sides = [[_moments(values) for values in rows[f"au_intensity{side}"]] for side in (mark, "@truth")]
    return np.stack([np.stack(side) for side in sides], axis=1)


def _moments(intensity: Sequence[float]) -> Array:
    """(1 + A, 1 + A): the sum over frames of the outer products of (1, intensities)."""
    values = np.asarray(intensity, np.float64).reshape(-1, len(ACTION_UNITS))
    extended = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    return np.asarray(extended.T @ extended)


def _efid(sums: Array) -> Array:
    """Frechet distance of AU intensities from sums (..., 2, 1 + A, 1 + A) of generated and true frames.

    Action units that the judge was not taught (NaN) are left out.
    """
    flat = sums.reshape(-1, *sums.shape[-3:])
    known = np.flatnonzero(~np.isnan(flat[0, 0, 0]))
    chosen = flat[:, :, known[:, None], known]
    distances = [frechet_distance(_gaussian(pair[0]), _gaussian(pair[1])) for pair in chosen]
    return np.asarray(distances).reshape(sums.shape[:-3])


def _gaussian(moments: Array) -> Gaussian:
    n, mean = moments[0, 0], moments[0, 1:] / moments[0, 0]
    return Gaussian(mean, (moments[1:, 1:] - n * np.outer(mean, mean)) / max(n - 1, 1))


def _array(values: Any) -> Array:
    """What a judge or a metric answers, on the CPU."""
    return np.asarray(values.detach().float().cpu() if isinstance(values, Tensor) else values)
