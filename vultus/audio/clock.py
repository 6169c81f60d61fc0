"""The video's clock and the features' clock.

Video frame i of a video at F frames a second covers [i/F, (i+1)/F) and is centred at (i + 0.5)/F. Feature frame j at R
frames a second is centred at j/R and belongs to the video frame that covers its centre: at 25 and 100 frames a second
to i = j // 4. Rates are taken as exact fractions, so that no rounding adds up over a long clip.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

FEATURE_RATE_HZ = 100
Floats = npt.NDArray[np.float32]


def exact_rate(fps: float) -> Fraction:
    """A frame rate as the fraction that is meant: 29.97 is 30000/1001.

    Raises:
        ValueError: the rate is not positive.
    """
    if not fps > 0:
        raise ValueError(f"a frame rate must be positive, not {fps}")
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if abs(float(ntsc) - fps) < 5e-3 and abs(round(fps) - fps) > 5e-3:
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def n_video_frames(n_samples: int, fps: float, sample_rate_hz: int = 16_000) -> int:
    """Whole video frames in a sound: floor(S F / rate)."""
    return int(n_samples * exact_rate(fps) / sample_rate_hz)


def n_feature_frames(n_frames: int, fps: float, rate_hz: int = FEATURE_RATE_HZ) -> int:
    """Feature frames whose centres lie inside a video of ``n_frames``: 4 N at 25 fps and 100 Hz."""
    return -int(-(n_frames * rate_hz) // exact_rate(fps))


def feature_spans(n_frames: int, fps: float, rate_hz: int = FEATURE_RATE_HZ) -> npt.NDArray[np.int64]:
    """Feature frames [start, stop) of each video frame.

    Together they cover every feature frame once. A video faster than the features leaves some frames without a centre
    inside: those get the feature frame nearest before.

    Args:
        n_frames: video frames N.
        fps: their rate.
        rate_hz: rate of the features.

    Returns:
        (N, 2).
    """
    rate = exact_rate(fps)
    # ceil(i * rate_hz / fps) in integers
    edges = -(-(np.arange(n_frames + 1) * (rate_hz * rate.denominator)) // rate.numerator)
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    empty = spans[:, 0] == spans[:, 1]
    spans[empty, 0] -= 1
    return spans.astype(np.int64)


def fit_length(features: Floats, n_rows: int, fill: float) -> Floats:
    """Trim or pad at the end to ``n_rows``; never resized. (T, ...) -> (n_rows, ...)."""
    if len(features) >= n_rows:
        return features[:n_rows]
    padding = [(0, n_rows - len(features))] + [(0, 0)] * (features.ndim - 1)
    return np.pad(features, padding, constant_values=fill)


def context_windows(
    features: Floats, n_frames: int, fps: float, length: int, rate_hz: float = FEATURE_RATE_HZ
) -> Floats:
    """A window of features around the centre of each video frame; the ends are repeated.

    28 MFCC frames (280 ms) are the usual context of audio-driven talking heads.

    Args:
        features: (T, C) at ``rate_hz``.
        n_frames: video frames N.
        fps: their rate.
        length: feature frames in a window.
        rate_hz: rate of the features.

    Returns:
        (N, length, C).
    """
    centre = (np.arange(n_frames) + 0.5) * (rate_hz / float(exact_rate(fps)))
    first = np.ceil(centre - length / 2).astype(np.int64)
    index = np.clip(first[:, None] + np.arange(length), 0, len(features) - 1)
    windows: Floats = features[index]
    return windows


def sync_windows(
    mel: npt.NDArray[np.floating], n_frames: int, fps: float, length: int = 16
) -> npt.NDArray[np.floating]:
    """The sync experts' windows: 16 mel frames (0.2 s) from mel frame floor(80 i / F) on.

    Args:
        mel: (T, 80) of `spectra.sync_mel`, 80 frames a second.
        n_frames: video frames N.
        fps: their rate.
        length: mel frames in a window.

    Returns:
        (M, length, 80), M <= N: the frames whose window ends inside the sound.
    """
    rate = exact_rate(fps)
    first = np.arange(n_frames) * (80 * rate.denominator) // rate.numerator
    first = first[first + length <= len(mel)]
    windows: Floats = mel[first[:, None] + np.arange(length)]
    return windows
