"""Write a short film with its sound: H.264 and AAC in MP4, which every browser plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

_BLOCK = 1024
"""Samples of an AAC frame."""


def write_clip(
    path: Path,
    frames: npt.NDArray[np.uint8],
    fps: float,
    sound: npt.NDArray[np.floating] | None = None,
    sample_rate_hz: int = 16_000,
    crf: int = 20,
) -> None:
    """Write frames and, where there is one, their sound; the same input gives the same bytes.

    Args:
        path: ending in ``.mp4``.
        frames: (T, H, W, 3) RGB, H and W even.
        fps: frames a second.
        sound: (S,) mono in -1..1, or None.
        sample_rate_hz: of the sound.
        crf: quality of x264; lower is better and larger, 18 cannot be told from the original.

    Raises:
        ValueError: no frames, or an odd side.
    """
    import av  # libraries of tens of megabytes, which only the evaluation needs

    if frames.ndim != 4 or not len(frames) or frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(f"{path.name}: expected (T, H, W, 3) frames with even sides, got {frames.shape}")
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": str(crf)})
        video.thread_count = 1  # several would share the picture among them, and the bytes would depend on the machine
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        audio = None
        if sound is not None:  # both streams must be known before the first packet
            audio = container.add_stream("aac", rate=sample_rate_hz, layout="mono")
            audio.bit_rate = 64_000
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            samples = np.asarray(sound, np.float32).clip(-1, 1)
            for start in range(0, len(samples), _BLOCK):
                block = np.ascontiguousarray(samples[None, start : start + _BLOCK])
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.pts = sample_rate_hz, start
                container.mux(audio.encode(piece))
            container.mux(audio.encode())
