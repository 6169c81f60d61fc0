"""From the tracks of an utterance to its voiced runs: where the voice starts, sounds without a break, and stops.

A voiced run is the unit of everything local about pitch; it is about a syllable long. Nothing is ever interpolated or
subtracted across the silence between two runs unless the caller asks for it.

Legend: T frames of 10 ms, V voiced frames inside runs, R runs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.audio.pitch import median_in_runs

Array = npt.NDArray[Any]

HOP_S = 0.01
_MIN_RUN_FRAMES = 5
"""50 ms."""
_SILENCE_DB = 35.0
"""Below the 95th percentile of the level."""
_KEPT_FRAMES = 5
"""50 ms of silence are kept at both ends."""


@dataclass(frozen=True)
class Tracks:
    """Some of the arrays of the ``audio`` store, for one utterance."""

    f0_hz: Array
    """(T,), 0 where unvoiced."""
    voicing: Array
    """(T,) in 0..1."""
    energy_db: Array
    """(T,)."""
    zero_crossings: Array
    """(T,) in 0..1."""
    mfcc: Array
    """(T, 13) cepstra from c0, without deltas."""

    def __len__(self) -> int:
        return len(self.f0_hz)

    def without_silence(self) -> Tracks:
        """The utterance from 50 ms before its first to 50 ms after its last frame within 35 dB of its loud frames."""
        loud = np.flatnonzero(self.energy_db > np.percentile(self.energy_db, 95) - _SILENCE_DB)
        start, stop = max(0, int(loud[0]) - _KEPT_FRAMES), int(loud[-1]) + 1 + _KEPT_FRAMES
        return Tracks(**{field.name: getattr(self, field.name)[start:stop] for field in fields(self)})


@dataclass(frozen=True)
class PitchRuns:
    """The voiced runs of an utterance, their frames one after another."""

    f0_hz: Array
    """(V,)."""
    frame: Array
    """(V,) where in the utterance."""
    run: Array
    """(V,) which run, 0..R-1."""
    start: Array
    """(R,) first entry of each run in the arrays above."""

    @property
    def length(self) -> Array:
        """(R,) frames of each run."""
        return np.diff(np.append(self.start, len(self.frame)))

    @property
    def gap(self) -> Array:
        """(R-1,) frames between the end of a run and the start of the next."""
        first, last = self.frame[self.start], self.frame[self.start + self.length - 1]
        return np.asarray(first[1:] - last[:-1] - 1)


def voiced_runs(f0_hz: Array, min_frames: int = _MIN_RUN_FRAMES) -> PitchRuns:
    """Voiced stretches of at least ``min_frames``; a hole of one frame is closed, pitch is median-filtered (5) within.

    Args:
        f0_hz: (T,), 0 where unvoiced.
        min_frames: shorter runs are left out.
    """
    pitch = np.asarray(f0_hz, np.float64).copy()
    holes = 1 + np.flatnonzero((pitch[1:-1] == 0) & (pitch[:-2] > 0) & (pitch[2:] > 0))
    pitch[holes] = np.sqrt(pitch[holes - 1] * pitch[holes + 1])
    change = np.flatnonzero(np.diff((pitch > 0).astype(np.int8), prepend=0, append=0))
    for start, stop in zip(change[::2], change[1::2], strict=True):
        if stop - start < min_frames:
            pitch[start:stop] = 0.0
    frame = np.flatnonzero(pitch)
    opens = np.diff(frame, prepend=-2) > 1
    return PitchRuns(
        median_in_runs(pitch)[frame].astype(np.float64), frame, np.cumsum(opens) - 1, np.flatnonzero(opens)
    )


def semitones(f0_hz: Array, reference_hz: float) -> Array:
    """``12 log2(f0 / reference)``; 0 Hz must have been left out."""
    return np.asarray(12.0 * np.log2(np.asarray(f0_hz, np.float64) / reference_hz))
