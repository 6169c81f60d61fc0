"""The features of one sound on the clock of its video: what the ``audio`` store holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vultus.audio.clock import fit_length, n_feature_frames
from vultus.audio.pitch import track_autocorrelation, track_pyin
from vultus.audio.spectra import (
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    Floats,
    energy_db,
    log_mel,
    mfcc,
    voice_activity,
    with_deltas,
    zero_crossing_rate,
)


@dataclass(frozen=True)
class AudioConfig:
    """Section ``audio.D`` of params.yaml."""

    n_mels: int = 80
    """Bands of the log-mel spectrum."""
    n_mfcc: int = 13
    """Cepstral coefficients from c0; the store holds them with deltas, three times as many."""
    pitch: Literal["autocorrelation", "pyin"] = "autocorrelation"
    """Pitch tracker; pyin is some forty times slower."""
    pitch_low_hz: float = 55.0
    """Lowest pitch looked for."""
    pitch_high_hz: float = 450.0
    """Highest; 500 for children and high voices."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_mfcc <= 26:
            raise ValueError(f"n_mfcc is {self.n_mfcc}, it must lie in 1..26, the number of mel bands")
        if not 50.0 < self.pitch_low_hz < self.pitch_high_hz <= 1000.0:
            raise ValueError(f"the pitch range {self.pitch_low_hz}..{self.pitch_high_hz} Hz must lie in 50..1000")


@dataclass(frozen=True)
class AudioFeatures:
    """Features at 100 Hz; frame j is centred at j * 10 ms."""

    log_mel: Floats
    """(T, M) natural logarithm of mel magnitudes."""
    mfcc: Floats
    """(T, 3C) cepstra, deltas, double deltas."""
    f0_hz: Floats
    """(T,) pitch, 0 where unvoiced."""
    voicing: Floats
    """(T,) in 0..1, how sure the pitch tracker is that there is a voice."""
    energy_db: Floats
    """(T,) level."""
    zero_crossings: Floats
    """(T,) share of neighbouring samples that differ in sign."""
    active: npt.NDArray[np.bool_]
    """(T,) somebody speaks."""


def compute_features(
    wav: Floats, config: AudioConfig, n_frames: int | None = None, fps: float | None = None
) -> AudioFeatures:
    """Features of a sound, cut or filled with silence to the length of its video.

    Args:
        wav: (S,) at 16 kHz.
        config: which features.
        n_frames: frames of the video; None for a sound without video.
        fps: their rate.

    Returns:
        T = 4 N rows at 25 fps, S // 160 without video (at least one).

    Raises:
        ValueError: the sound holds values that are not finite, or one of n_frames and fps is missing.
    """
    if not np.isfinite(wav).all():
        raise ValueError("the sound holds values that are not finite")
    if (n_frames is None) != (fps is None):
        raise ValueError("n_frames and fps go together")
    n_rows = max(1, len(wav) // HOP_SAMPLES)
    if n_frames is not None and fps is not None:
        n_rows = n_feature_frames(n_frames, fps)
    # Silence is added to the sound, not to its features: a filled frame is what silence gives.
    wav = fit_length(wav, max(len(wav), n_rows * HOP_SAMPLES), 0.0)
    track = track_autocorrelation if config.pitch == "autocorrelation" else track_pyin
    pitch = track(wav, config.pitch_low_hz, config.pitch_high_hz)
    energy = energy_db(wav)[:n_rows]
    return AudioFeatures(
        log_mel=log_mel(wav, config.n_mels)[:n_rows],
        mfcc=with_deltas(mfcc(wav, config.n_mfcc)[:n_rows]),
        f0_hz=pitch.f0_hz[:n_rows],
        voicing=pitch.voicing[:n_rows],
        energy_db=energy,
        zero_crossings=zero_crossing_rate(wav)[:n_rows],
        active=voice_activity(energy),
    )


def feature_times_s(n_rows: int) -> npt.NDArray[np.float64]:
    """Centres of the feature frames in seconds. Returns (n_rows,)."""
    return np.arange(n_rows) * HOP_SAMPLES / SAMPLE_RATE_HZ
