"""Short-time spectra of 16 kHz speech: log-mel, MFCC, the sync experts' mel, energy.

Framing is centred: feature frame j is centred at sample ``j * hop``. A sound of S samples has ``1 + S // hop`` frames;
``clock`` cuts them to the video. The one exception is `mfcc_from_starts`, whose frame j begins at sample ``j * hop``.

Legend: S samples, T feature frames, M mel bands, C coefficients.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 160
"""10 ms: 100 feature frames a second."""
WINDOW_SAMPLES = 400
"""25 ms."""
LOG_MEL_FLOOR = 1e-5
_BLOCK = 4096
"""Frames that are transformed at once: bounds the memory of long recordings."""

Floats = npt.NDArray[np.float32]


def centred_frames(
    wav: npt.NDArray[np.floating], length: int, hop: int, pad_mode: str = "constant"
) -> npt.NDArray[np.float64]:
    """Windows of ``length`` samples around every ``hop``-th sample, beyond the ends silence.

    Args:
        wav: (S,).
        length: window in samples.
        hop: step in samples.
        pad_mode: of ``numpy.pad`` at both ends: ``constant`` (silence) or ``reflect``.

    Returns:
        (1 + S // hop, length), a read-only view.
    """
    _check_mono(wav)
    n_frames = 1 + len(wav) // hop
    before = length // 2
    after = max(0, (n_frames - 1) * hop + length - before - len(wav))
    padded = np.pad(wav.astype(np.float64), (before, after), mode=pad_mode)  # type: ignore[call-overload]
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][:n_frames]


def log_mel(wav: npt.NDArray[np.floating], n_mels: int = 80) -> Floats:
    """Natural logarithm of the mel magnitude spectrum at 100 Hz.

    25 ms Hann window, 512-point FFT, Slaney mels over 0..8000 Hz, floor 1e-5.

    Args:
        wav: (S,) at 16 kHz.
        n_mels: bands M.

    Returns:
        (1 + S // 160, M), at least ln(1e-5) = -11.51.
    """
    window = hann(WINDOW_SAMPLES)
    filters = mel_filters(512, n_mels, 0.0, 8000.0)
    blocks = [
        np.log(np.maximum(np.abs(np.fft.rfft(frames * window, 512)) @ filters.T, LOG_MEL_FLOOR))
        for frames in _blocks(centred_frames(wav, WINDOW_SAMPLES, HOP_SAMPLES))
    ]
    return np.concatenate(blocks).astype(np.float32)


def sync_mel(wav: npt.NDArray[np.floating]) -> Floats:
    """The mel spectrum of SyncNet/Wav2Lip-type sync experts, 80 frames a second.

    Pre-emphasis 0.97, 50 ms Hann window, hop 12.5 ms, 80 Slaney mels over 55..7600 Hz, 20 log10 of the magnitude
    minus 20 dB, floor -100 dB, scaled to -4..4 (Prajwal et al. 2020).

    Args:
        wav: (S,) at 16 kHz, more than 400 samples.

    Returns:
        (1 + S // 200, 80), in -4..4.
    """
    window = hann(800)
    filters = mel_filters(800, 80, 55.0, 7600.0)
    blocks = []
    for frames in _blocks(centred_frames(pre_emphasis(wav), 800, 200, "reflect")):
        magnitude = np.abs(np.fft.rfft(frames * window)) @ filters.T
        level_db = 20.0 * np.log10(np.maximum(magnitude, 1e-5)) - 20.0
        blocks.append(np.clip(8.0 * (level_db + 100.0) / 100.0 - 4.0, -4.0, 4.0))
    return np.concatenate(blocks).astype(np.float32)


def mfcc(wav: npt.NDArray[np.floating], n_coefficients: int = 13, n_mels: int = 26, lifter: int = 22) -> Floats:
    """Mel-frequency cepstral coefficients at 100 Hz.

    Pre-emphasis 0.97, 25 ms Hamming window, 512-point power spectrum, HTK mels over 20..8000 Hz, logarithm, DCT-II,
    lifter ``1 + L/2 sin(pi n / L)``.

    Args:
        wav: (S,) at 16 kHz.
        n_coefficients: C, from c0.
        n_mels: bands.
        lifter: L; 0 for none.

    Returns:
        (1 + S // 160, C).
    """
    # The periodic window, as the other spectra use it: 0.54 - 0.46 cos(2 pi n / N).
    window = 0.54 - 0.46 * np.cos(2.0 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    filters = mel_filters(512, n_mels, 20.0, 8000.0, htk=True)
    weight = dct_matrix(n_coefficients, n_mels)
    if lifter:
        weight = weight * (1.0 + lifter / 2.0 * np.sin(np.pi * np.arange(n_coefficients) / lifter))[:, None]
    blocks = []
    for frames in _blocks(centred_frames(pre_emphasis(wav), WINDOW_SAMPLES, HOP_SAMPLES)):
        power = np.square(np.abs(np.fft.rfft(frames * window, 512)))
        blocks.append(np.log(np.maximum(power @ filters.T, 1e-10)) @ weight.T)
    return np.concatenate(blocks).astype(np.float32)


def mfcc_from_starts(wav: npt.NDArray[np.floating]) -> Floats:
    """Mel-frequency cepstra at 100 Hz as python_speech_features defines them: what sync and lip networks hear.

    Unlike `mfcc`: frame j begins at sample 160 j, there is no window, samples count as 16-bit integers, the triangles
    of the 26 HTK mels over 0..8000 Hz stand on whole bins of the 512-point FFT, and c0 is the logarithm of
    the frame's energy. Pre-emphasis 0.97, 25 ms, orthonormal DCT-II, lifter 22. What is 0 counts as 2.2e-16.

    Args:
        wav: (S,) at 16 kHz, in -1..1; after its end there is silence.

    Returns:
        (ceil(S / 160), 13).
    """
    _check_mono(wav)
    n_frames = -(-len(wav) // HOP_SAMPLES)
    integers = pre_emphasis(wav.astype(np.float64) * 32768.0)
    padded = np.pad(integers, (0, (n_frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES - len(wav)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    filters = _whole_bin_filters(512, 26)
    n = np.arange(13)
    weight = dct_matrix(13, 26) * (1.0 + 22 / 2.0 * np.sin(np.pi * n / 22))[:, None]
    tiny = np.finfo(np.float64).eps
    blocks = []
    for frames in _blocks(windows):
        power = np.square(np.abs(np.fft.rfft(frames, 512))) / 512
        energy, bands = power.sum(axis=1), power @ filters.T
        cepstra = np.log(np.where(bands > 0, bands, tiny)) @ weight.T
        cepstra[:, 0] = np.log(np.where(energy > 0, energy, tiny))
        blocks.append(cepstra)
    return np.concatenate(blocks).astype(np.float32)


def with_deltas(features: npt.NDArray[np.floating], width: int = 2) -> Floats:
    """Features, their deltas and the deltas' deltas.

    Args:
        features: (T, C).
        width: frames on each side of the regression.

    Returns:
        (T, 3C).
    """
    first = deltas(features, width)
    return np.concatenate([features, first, deltas(first, width)], axis=1).astype(np.float32)


def deltas(features: npt.NDArray[np.floating], width: int = 2) -> Floats:
    """Regression slope over ``2 width + 1`` frames; the ends are repeated.

    ``d_t = sum_n n (c_{t+n} - c_{t-n}) / (2 sum_n n^2)``: the deltas of a ramp are its slope a frame.

    Args:
        features: (T, C).
        width: frames on each side.

    Returns:
        (T, C).
    """
    n_frames = len(features)
    if not n_frames:
        return features.astype(np.float32)
    padded = np.pad(features.astype(np.float64), ((width, width), (0, 0)), mode="edge")
    slope = sum(
        n * (padded[width + n : width + n + n_frames] - padded[width - n : width - n + n_frames])
        for n in range(1, width + 1)
    )
    return np.asarray(slope / (2.0 * sum(n * n for n in range(1, width + 1))), np.float32)


def energy_db(wav: npt.NDArray[np.floating]) -> Floats:
    """Level of the 25 ms window at 100 Hz: ``20 log10(RMS + 1e-5)``.

    Args:
        wav: (S,) at 16 kHz, in -1..1.

    Returns:
        (1 + S // 160,) in dB, -100 (silence) .. 0 (a full square wave).
    """
    blocks = [
        20.0 * np.log10(np.sqrt(np.square(frames).mean(axis=1)) + 1e-5)
        for frames in _blocks(centred_frames(wav, WINDOW_SAMPLES, HOP_SAMPLES))
    ]
    return np.concatenate(blocks).astype(np.float32)


def zero_crossing_rate(wav: npt.NDArray[np.floating]) -> Floats:
    """Share of neighbouring samples in the 25 ms window that differ in sign; zero counts as positive.

    Args:
        wav: (S,) at 16 kHz.

    Returns:
        (1 + S // 160,) in 0..1: a tone of F Hz has 2 F / 16000.
    """
    blocks = [
        (np.diff(frames < 0, axis=1)).mean(axis=1)
        for frames in _blocks(centred_frames(wav, WINDOW_SAMPLES, HOP_SAMPLES))
    ]
    return np.concatenate(blocks).astype(np.float32)


def voice_activity(energy: npt.NDArray[np.floating], hangover_frames: int = 5) -> npt.NDArray[np.bool_]:
    """Frames within 30 dB of the 95th percentile of the level, and 50 ms after them.

    Args:
        energy: (T,) in dB at 100 Hz.
        hangover_frames: how long activity is held.

    Returns:
        (T,); nowhere where the whole sound is below -80 dB.
    """
    if not len(energy):
        return np.zeros(0, bool)
    loud = energy > max(float(np.percentile(energy, 95)) - 30.0, -80.0)
    held = loud.copy()
    for shift in range(1, min(hangover_frames + 1, len(loud))):
        held[shift:] |= loud[:-shift]
    return held


def pre_emphasis(wav: npt.NDArray[np.floating], coefficient: float = 0.97) -> npt.NDArray[np.float64]:
    """``y[n] = x[n] - k x[n-1]``, the first sample unchanged. (S,) -> (S,)."""
    emphasised = wav.astype(np.float64)
    emphasised[1:] -= coefficient * emphasised[:-1].copy()
    return emphasised


def dct_matrix(n_coefficients: int, n_inputs: int) -> npt.NDArray[np.float64]:
    """Rows of the orthonormal DCT-II. Returns (C, n_inputs)."""
    k, n = np.arange(n_coefficients)[:, None], np.arange(n_inputs)[None, :]
    matrix: npt.NDArray[np.float64] = np.sqrt(2.0 / n_inputs) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_inputs))
    matrix[0] /= np.sqrt(2.0)
    return matrix


def hann(length: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window. Returns (length,)."""
    window: npt.NDArray[np.float64] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    return window


@functools.cache
def mel_filters(n_fft: int, n_mels: int, low_hz: float, high_hz: float, htk: bool = False) -> npt.NDArray[np.float64]:
    """Triangular mel filters at 16 kHz, as librosa defines them.

    Args:
        n_fft: points of the FFT.
        n_mels: bands M.
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last.
        htk: HTK's mel scale and triangles of height 1; else Slaney's scale and triangles of area 1.

    Returns:
        (M, n_fft // 2 + 1), read-only.
    """
    to_mel, to_hz = (_hz_to_htk, _htk_to_hz) if htk else (_hz_to_slaney, _slaney_to_hz)
    edges_hz = to_hz(np.linspace(to_mel(np.array(low_hz)), to_mel(np.array(high_hz)), n_mels + 2))
    bins_hz = np.arange(n_fft // 2 + 1) * (SAMPLE_RATE_HZ / n_fft)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    filters: npt.NDArray[np.float64] = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    filters = np.maximum(filters, 0.0)
    if not htk:
        filters *= 2.0 / (high - low)
    filters.setflags(write=False)
    return filters


@functools.cache
def _whole_bin_filters(n_fft: int, n_mels: int) -> npt.NDArray[np.float64]:
    """Triangles of height 1 on the HTK mel scale over 0..8000 Hz, whose corners are FFT bins: (M, n_fft // 2 + 1)."""
    edges_hz = _htk_to_hz(np.linspace(0.0, _hz_to_htk(np.array(SAMPLE_RATE_HZ / 2)), n_mels + 2))
    edges = np.floor((n_fft + 1) * edges_hz / SAMPLE_RATE_HZ)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    bins = np.arange(n_fft // 2 + 1)
    filters: npt.NDArray[np.float64] = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters = np.maximum(filters, 0.0)
    filters.setflags(write=False)
    return filters


def _hz_to_htk(frequency_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    mel: npt.NDArray[np.float64] = 2595.0 * np.log10(1.0 + frequency_hz / 700.0)
    return mel


def _htk_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


_SLANEY_STEP_HZ = 200.0 / 3.0
_SLANEY_BREAK_MEL = 15.0
"""1 kHz: Slaney's scale is linear below and logarithmic above, 27 mels to a factor of 6.4."""
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_slaney(frequency_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = frequency_hz / _SLANEY_STEP_HZ
    above = _SLANEY_BREAK_MEL + np.log(np.maximum(frequency_hz, 1000.0) / 1000.0) / _SLANEY_LOG_STEP
    return np.where(linear < _SLANEY_BREAK_MEL, linear, above)


def _slaney_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = 1000.0 * np.exp(_SLANEY_LOG_STEP * (mel - _SLANEY_BREAK_MEL))
    return np.where(mel < _SLANEY_BREAK_MEL, mel * _SLANEY_STEP_HZ, above)


def _blocks(frames: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    for start in range(0, len(frames), _BLOCK):
        yield frames[start : start + _BLOCK]


def _check_mono(wav: npt.NDArray[np.floating]) -> None:
    if wav.ndim != 1 or not len(wav):
        raise ValueError(f"a mono sound has shape (S,), S > 0, not {wav.shape}")
