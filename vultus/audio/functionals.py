"""Global features: one vector of statistics over a whole utterance.

`global_small` is a set of pitch and energy statistics to compare pitch histograms with; `global_384` is the feature set
of the INTERSPEECH 2009 emotion challenge (Schuller, Steidl, Batliner 2009), written anew from its description.
"""

from __future__ import annotations

import numpy as np

from vultus.audio.prosody import HOP_S, Array, Tracks, voiced_runs
from vultus.audio.spectra import deltas

_EIGHT = ("mean", "std", "min", "max", "range", "quartile_1", "median", "quartile_3")
SMALL_COLUMNS = (
    *(f"f0_{name}" for name in _EIGHT),
    *(f"energy_{name}" for name in _EIGHT),
    "voiced_ratio", "runs_per_s", "run_length_s",
    *(f"f0_difference_{name}" for name in ("mean", "std", "min", "max")),
)  # fmt: skip
"""Names of the 23 values of `global_small`."""

CONTOURS = ("rms", *(f"mfcc_{i}" for i in range(1, 13)), "zcr", "voicing", "f0")
"""The 16 low-level descriptors of the challenge."""
FUNCTIONALS = (
    "max", "min", "range", "argmax", "argmin", "mean", "slope", "offset", "regression_mse", "std", "skewness",
    "kurtosis",
)  # fmt: skip
CHALLENGE_COLUMNS = tuple(f"{name}{delta}_{f}" for delta in ("", "_delta") for name in CONTOURS for f in FUNCTIONALS)
"""Names of the 384 values of `global_384`."""


def global_small(tracks: Tracks) -> Array:
    """Statistics of pitch, level and voicing.

    Args:
        tracks: of the utterance without silence at its ends.

    Returns:
        (23,) float32 in the order of `SMALL_COLUMNS`: Hz, dB, shares, seconds; zeros for the pitch of a whisper.
    """
    runs = voiced_runs(tracks.f0_hz)
    pitch = runs.f0_hz if len(runs.f0_hz) else np.zeros(1)
    difference = np.diff(pitch) if len(pitch) > 1 else np.zeros(1)
    n_runs = len(runs.start)
    rhythm = (
        len(runs.frame) / len(tracks),
        n_runs / (len(tracks) * HOP_S),
        runs.length.mean() * HOP_S if n_runs else 0.0,
    )
    movement = (difference.mean(), difference.std(), difference.min(), difference.max())
    return np.array([*_eight(pitch), *_eight(tracks.energy_db), *rhythm, *movement], np.float32)


def _eight(values: Array) -> tuple[float, ...]:
    low, high = values.min(), values.max()
    return (values.mean(), values.std(), low, high, high - low, *np.percentile(values, (25, 50, 75)))


def global_384(tracks: Tracks) -> Array:
    """Twelve functionals of sixteen smoothed contours and of their deltas.

    A moving average over 3 frames runs first; deltas are regressions over two frames on each side. F0 is 0 in unvoiced
    frames, as in the challenge's set.

    Args:
        tracks: of the utterance without silence at its ends.

    Returns:
        (384,) float32 in the order of `CHALLENGE_COLUMNS`.
    """
    rms = 10.0 ** (np.asarray(tracks.energy_db, np.float64) / 20.0)
    contours = np.column_stack([rms, tracks.mfcc[:, 1:13], tracks.zero_crossings, tracks.voicing, tracks.f0_hz])
    padded = np.pad(contours, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0
    return np.concatenate([functionals(smooth).ravel(), functionals(deltas(smooth)).ravel()]).astype(np.float32)


def functionals(contours: Array) -> Array:
    """Twelve numbers of each contour.

    Args:
        contours: (T, K).

    Returns:
        (K, 12) in the order of `FUNCTIONALS`: positions and slope count frames; skewness and kurtosis (3 for a
        Gaussian) are 0 where a contour does not vary.
    """
    values = np.asarray(contours, np.float64)
    time = np.arange(len(values), dtype=np.float64)
    mean, std = values.mean(axis=0), values.std(axis=0)
    centred = values - mean
    spread = np.square(time - time.mean()).sum()
    slope = (time - time.mean()) @ centred / (spread or 1.0)
    offset = mean - slope * time.mean()
    error = np.square(values - offset - slope * time[:, None]).mean(axis=0)
    varies = std > 1e-8 * (1.0 + np.abs(mean))
    scaled = centred / np.where(varies, std, np.inf)
    low, high = values.min(axis=0), values.max(axis=0)
    return np.stack(
        [
            high, low, high - low, values.argmax(axis=0), values.argmin(axis=0), mean, slope, offset, error, std,
            (scaled**3).mean(axis=0), (scaled**4).mean(axis=0),
        ],
        axis=1,
    )  # fmt: skip
