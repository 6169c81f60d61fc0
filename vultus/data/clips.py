"""Write a film with its sound: H.264 and AAC in MP4, which every browser plays; the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

_BLOCK = 1024
"""Samples of an AAC frame."""
_X264 = "rc-lookahead=0:mbtree=0"
"""With its look-ahead on, x264 chooses differently from run to run (1 in 30 clips of noise), even with one thread."""


def write_clip(
    path: Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    fps: float,
    sound: npt.NDArray[np.floating] | None = None,
    sample_rate_hz: int = 16_000,
) -> tuple[int, int]:
    """Write frames, frame k shown from exactly k / fps seconds, and, where there is one, their sound.

    Args:
        path: ending in ``.mp4``.
        frames: (H, W, 3) RGB each, all of one size, even in both directions.
        fps: frames per second, exact to a thousandth.
        sound: (S,) mono in -1..1, or None.
        sample_rate_hz: of the sound.

    Returns:
        Height and width in px.

    Raises:
        ValueError: no frames, or sizes that differ or are odd.
    """
    import av  # libraries of tens of megabytes, which no training needs

    rate = Fraction(fps).limit_denominator(1000)
    size: tuple[int, int] | None = None
    count = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(
            "libx264", rate=rate, options={"crf": "18", "preset": "fast", "g": "25", "x264-params": _X264}
        )
        video.thread_count = 1  # several would share the picture among them, and the bytes would depend on the machine
        video.pix_fmt = "yuv420p"
        audio = None
        if sound is not None:  # both streams must be known before the first packet
            audio = container.add_stream("aac", rate=sample_rate_hz, layout="mono")
            audio.bit_rate = 64_000
            audio.thread_count = 1
        for frame in frames:
            height, width = frame.shape[:2]
            if size is None:
                size = height, width
                if height % 2 or width % 2:
                    raise ValueError(f"{path.name}: H.264 needs an even width and height, got {width} x {height}")
                video.height, video.width = size
            elif (height, width) != size:
                raise ValueError(
                    f"{path.name}: frame {count} is {width} x {height}, the first was {size[1]} x {size[0]}"
                )
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(video.encode(picture))
            count += 1
        if size is None:
            raise ValueError(f"{path.name}: a video needs at least one frame")
        container.mux(video.encode())
        if audio is not None and sound is not None:
            samples = np.asarray(sound, np.float32).clip(-1, 1)
            for start in range(0, len(samples), _BLOCK):
                block = np.ascontiguousarray(samples[None, start : start + _BLOCK])
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = sample_rate_hz, start, Fraction(1, sample_rate_hz)
                container.mux(audio.encode(piece))
            container.mux(audio.encode())
    return size
