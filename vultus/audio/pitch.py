"""Fundamental frequency at 100 Hz: a fast autocorrelation tracker, and pYIN for the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.audio.spectra import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats, centred_frames

_WINDOW_SAMPLES = 640
"""40 ms: two periods of the lowest pitch."""
_N_FFT = 2048
_BLOCK = 2048
_VOICED_CORRELATION = 0.6
_VOICED_LEVEL = 0.05
"""Share of the loudest frame's RMS."""
_FIRST_PEAK_SHARE = 0.9


@dataclass(frozen=True)
class PitchTrack:
    """Pitch at 100 Hz and how sure the tracker is that there is one."""

    f0_hz: Floats
    """(T,), 0 where unvoiced."""
    voicing: Floats
    """(T,) in 0..1: the correlation at the pitch's period, or pYIN's probability; unvoiced frames have one too."""


def f0_autocorrelation(wav: npt.NDArray[np.floating], low_hz: float = 55.0, high_hz: float = 450.0) -> Floats:
    """The pitch of `track_autocorrelation` alone: (1 + S // 160,) in Hz, 0 where unvoiced."""
    return track_autocorrelation(wav, low_hz, high_hz).f0_hz


def track_autocorrelation(wav: npt.NDArray[np.floating], low_hz: float = 55.0, high_hz: float = 450.0) -> PitchTrack:
    """Pitch from the window-corrected autocorrelation of 40 ms frames.

    Of the local maxima the first that reaches 90 % of the largest is taken, which keeps it from falling an octave; a
    median over 5 frames runs inside each voiced stretch. A frame is voiced when the peak exceeds 0.6 and the RMS 5 % of
    the sound's largest.

    Args:
        wav: (S,) at 16 kHz.
        low_hz: lowest pitch looked for, above 50.
        high_hz: highest.

    Returns:
        T = 1 + S // 160 frames.
    """
    if not 50.0 < low_hz < high_hz < SAMPLE_RATE_HZ / 8:
        raise ValueError(f"the pitch range {low_hz}..{high_hz} Hz must lie in 50..{SAMPLE_RATE_HZ // 8}")
    frames = centred_frames(wav, _WINDOW_SAMPLES, HOP_SAMPLES)
    estimates = [_estimate(frames[start : start + _BLOCK], low_hz, high_hz) for start in range(0, len(frames), _BLOCK)]
    f0_hz, correlation, rms = (np.concatenate(part) for part in zip(*estimates, strict=True))
    voiced = (correlation > _VOICED_CORRELATION) & (rms > _VOICED_LEVEL * rms.max(initial=0.0)) & (rms > 1e-4)
    return PitchTrack(median_in_runs(np.where(voiced, f0_hz, 0.0)), correlation.clip(0.0, 1.0).astype(np.float32))


def track_pyin(wav: npt.NDArray[np.floating], low_hz: float = 55.0, high_hz: float = 450.0) -> PitchTrack:
    """Pitch by probabilistic YIN (Mauch and Dixon 2014) as librosa defines it; about real time.

    Args:
        wav: (S,) at 16 kHz.
        low_hz: lowest pitch looked for.
        high_hz: highest.

    Returns:
        T = 1 + S // 160 frames.
    """
    import librosa

    f0_hz, _, probability = librosa.pyin(
        wav.astype(np.float32),
        fmin=low_hz,
        fmax=high_hz,
        sr=SAMPLE_RATE_HZ,
        frame_length=1024,
        hop_length=HOP_SAMPLES,
        fill_na=0.0,
    )
    return PitchTrack(np.asarray(f0_hz, np.float32), np.asarray(probability, np.float32))


def _estimate(
    frames: npt.NDArray[np.float64], low_hz: float, high_hz: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Candidate pitch in Hz, its correlation and the RMS of each frame, (T,) each."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, _N_FFT)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)), _N_FFT)
    shortest, longest = int(SAMPLE_RATE_HZ / high_hz), int(np.ceil(SAMPLE_RATE_HZ / low_hz))
    lags = np.arange(shortest - 1, longest + 2)
    rms = np.sqrt(np.maximum(correlation[:, 0], 0.0) / _WINDOW_SAMPLES)
    normalised = correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12) / (1.0 - lags / _WINDOW_SAMPLES)
    before, here, after = normalised[:, :-2], normalised[:, 1:-1], normalised[:, 2:]
    peak = np.where((here >= before) & (here > after), here, -1.0)
    largest = peak.max(axis=1, keepdims=True)
    first = np.argmax(peak >= _FIRST_PEAK_SHARE * np.maximum(largest, 0.0), axis=1)
    row = np.arange(len(frames))
    a, b, c = before[row, first], here[row, first], after[row, first]
    curvature = a - 2.0 * b + c
    shift = np.where(curvature < -1e-9, 0.5 * (a - c) / np.where(curvature < -1e-9, curvature, 1.0), 0.0)
    lag = lags[1:-1][first] + np.clip(shift, -0.5, 0.5)
    return SAMPLE_RATE_HZ / lag, np.where(largest[:, 0] > 0, b, 0.0), rms


def median_in_runs(f0_hz: npt.NDArray[np.float64], width: int = 5) -> Floats:
    """Median over ``width`` voiced neighbours; never across an unvoiced frame."""
    if not len(f0_hz):
        return f0_hz.astype(np.float32)
    half = width // 2
    voiced = f0_hz > 0
    run = np.cumsum(np.diff(voiced.astype(int), prepend=0) != 0)
    values = np.lib.stride_tricks.sliding_window_view(np.pad(f0_hz, half), width)
    runs = np.lib.stride_tricks.sliding_window_view(np.pad(run, half, constant_values=-1), width)
    own = np.where((runs == run[:, None]) & voiced[:, None], values, np.nan)
    own[~voiced, half] = 0.0
    return np.nanmedian(own, axis=1).astype(np.float32)
