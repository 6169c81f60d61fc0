"""The sound around a video frame, from the MFCCs that the store ``faces`` keeps of each frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mfcc_window(mfcc: npt.NDArray[np.floating], before: int, after: int) -> npt.NDArray[np.float32]:
    """The MFCCs of the frames ``t - before .. t + after`` of a clip, zeros beyond its ends.

    SyncNet hears five frames from the first on (0, 4: 20 rows); an audio-driven talking head seven around it (3, 3:
    28 rows).

    Args:
        mfcc: (T, M, C): M feature frames a video frame.
        before: frames before each.
        after: frames after it.

    Returns:
        (T, (before + 1 + after) * M, C).

    Raises:
        ValueError: the input has another number of axes.
    """
    if mfcc.ndim != 3:
        raise ValueError(f"expected MFCCs of each video frame as (T, M, C), got {mfcc.shape}")
    n_frames, rows, coefficients = mfcc.shape
    length = before + 1 + after
    padded = np.pad(mfcc.astype(np.float32), ((before, after), (0, 0), (0, 0)))
    index = np.arange(n_frames)[:, None] + np.arange(length)
    windows: npt.NDArray[np.float32] = padded[index].reshape(n_frames, length * rows, coefficients)
    return windows
