"""What is known of a frame and of each face in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.detect.head_pose import HeadPose
from vultus.detect.reader import AuReading


@dataclass
class SeenFace:
    """A face of a frame; its action units come when its batch is read."""

    face_id: int
    landmarks_68: npt.NDArray[np.float32]
    """(68, 2) px of the frame."""
    confidence: float
    pose: HeadPose | None
    aligned: npt.NDArray[np.uint8]
    matrix: npt.NDArray[np.floating[Any]]
    """(2, 3), frame to aligned face."""
    reading: AuReading | None = None


@dataclass(frozen=True)
class SeenFrame:
    """A frame with the faces found in it, largest first."""

    input: Path
    number: int
    """From 1, as OpenFace counts."""
    time_s: float
    """From the first frame on."""
    rgb: npt.NDArray[np.uint8]
    camera: npt.NDArray[Any]
    """(3, 3) intrinsics."""
    faces: list[SeenFace]
