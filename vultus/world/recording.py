"""Encoding of a clip: H.264 video with AAC sound, wav, png; single-threaded: the same frames give the same bytes."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]

SAMPLE_RATE_HZ = 16_000
_SOUND_BLOCK = 1024

_X264 = "rc-lookahead=0:mbtree=0"
"""With its look-ahead on, x264 chooses differently from run to run (1 in 30 clips of noise), even with one thread."""


def write_video(
    path: Path, frames: Iterable[RGB], fps: float, sound: NDArray[np.int16] | None = None, crf: int = 18
) -> tuple[int, int]:
    """Write an mp4 whose frame k is shown from exactly k / fps seconds.

    Args:
        path: the file, ending in .mp4.
        frames: (H, W, 3) uint8 RGB each, all of one size, even in both directions.
        fps: frames per second, exact to a thousandth.
        sound: (S,) 16-bit mono at `SAMPLE_RATE_HZ`, or None.
        crf: constant rate factor of x264; 18 is visually lossless.

    Returns:
        height and width in px.

    Raises:
        ValueError: no frames, or sizes that differ or are odd.
    """
    rate = Fraction(fps).limit_denominator(1000)
    size: tuple[int, int] | None = None
    count = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(
            "libx264", rate=rate, options={"crf": str(crf), "preset": "fast", "g": "25", "x264-params": _X264}
        )
        video.thread_count = 1
        video.pix_fmt = "yuv420p"
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
            audio.bit_rate = 64_000
            audio.thread_count = 1
        for rgb in frames:
            if size is None:
                size = (rgb.shape[1], rgb.shape[0])
                if size[0] % 2 or size[1] % 2:
                    raise ValueError(f"{path.name}: H.264 needs an even width and height, got {size[0]} x {size[1]}")
                video.width, video.height = size
            elif (rgb.shape[1], rgb.shape[0]) != size:
                raise ValueError(f"{path.name}: frame {count} is {rgb.shape[1]} x {rgb.shape[0]}, the first was {size}")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(video.encode(picture))
            count += 1
        if not count:
            raise ValueError(f"{path.name}: a video needs at least one frame")
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, len(sound), _SOUND_BLOCK):
                block = np.ascontiguousarray(sound[start : start + _SOUND_BLOCK])[None]
                samples = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = SAMPLE_RATE_HZ, start, Fraction(1, SAMPLE_RATE_HZ)
                container.mux(audio.encode(samples))
            container.mux(audio.encode())
    assert size is not None
    return size[1], size[0]


def write_wav(path: Path, sound: NDArray[np.int16]) -> None:
    """Write (S,) 16-bit mono at `SAMPLE_RATE_HZ`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(sound.astype("<i2").tobytes())


def write_picture(path: Path, rgb: RGB) -> tuple[int, int]:
    """Write (H, W, 3) uint8 RGB as png or jpg, by the file's suffix; returns height and width.

    Raises:
        OSError: OpenCV could not write the file.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 6]
    if not cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]), options):
        raise OSError(f"{path} could not be written")
    return rgb.shape[0], rgb.shape[1]


def sixteen_bit(sound: NDArray[np.float32]) -> NDArray[np.int16]:
    """(S,) samples in -1..1 as 16-bit integers, clipped."""
    return np.round(np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16)
