"""Files of a clip beside its video, which `vultus.data.clips` writes: sound and pictures."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.world.speech import SAMPLE_RATE_HZ

RGB = NDArray[np.uint8]


def write_wav(path: Path, sound: NDArray[np.float32]) -> None:
    """Write (S,) mono in -1..1 at `SAMPLE_RATE_HZ` as 16-bit integers; what is louder is clipped."""
    samples = np.round(np.clip(sound, -1.0, 1.0) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.tobytes())


def write_picture(path: Path, rgb: RGB) -> tuple[int, int]:
    """Write (H, W, 3) uint8 RGB as png or jpg, by the file's suffix; returns height and width.

    Raises:
        OSError: OpenCV could not write the file.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 6]
    if not cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]), options):
        raise OSError(f"{path} could not be written")
    return rgb.shape[0], rgb.shape[1]
