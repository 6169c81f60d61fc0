"""Faces in pictures: 68 landmarks a face, from MediaPipe or from the network trained here.

A detector looks at a single picture (`detect`) or at the next frame of a video (`track`), and returns the faces it
sees, largest first. Both detectors carry a name that the landmark table repeats for every frame.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vultus.face.alignment import invert_matrix, transform_points
from vultus.face.landmarks import eye_centres, mesh_to_68

RGB = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Face:
    """One detected face.

    Attributes:
        landmarks_68: (68, 2) px of the picture.
        score: 0..1; 1 where the detector gives none for a face that it reports.
    """

    landmarks_68: Points
    score: float

    @property
    def area_px2(self) -> float:
        """Area of the landmarks' bounding box."""
        return float(np.prod(np.ptp(self.landmarks_68, axis=0)))


class FaceDetector(Protocol):
    """What the landmark stage asks of a detector."""

    method: str

    def detect(self, rgb: RGB) -> list[Face]:
        """Faces of a picture, largest first."""

    def track(self, rgb: RGB, first: bool) -> list[Face]:
        """Faces of the next frame of a video, largest first; ``first`` starts a new video."""


@dataclass(frozen=True)
class Window:
    """A square of the picture that a network looks at, turned with the head.

    Attributes:
        centre: (x, y) px.
        side_px: of the square.
        roll_rad: clockwise turn in the picture.
    """

    centre: tuple[float, float]
    side_px: float
    roll_rad: float = 0.0

    @staticmethod
    def around(landmarks_68: npt.NDArray[Any], factor: float) -> Window:
        """The square around a face, ``factor`` times the longer side of its landmarks' box, level with its eyes."""
        left, right = eye_centres(np.asarray(landmarks_68, dtype=np.float64))
        low, high = landmarks_68.min(0), landmarks_68.max(0)
        x, y = (low + high) / 2
        roll = np.arctan2(right[1] - left[1], right[0] - left[0])
        return Window((float(x), float(y)), float((high - low).max() * factor), float(roll))

    def matrix(self, size_px: int) -> npt.NDArray[np.float64]:
        """(2, 3): picture to a ``size_px`` square, pixel centres on pixel centres."""
        scale = (size_px - 1) / self.side_px
        cosine, sine = np.cos(self.roll_rad) * scale, np.sin(self.roll_rad) * scale
        linear = np.array([[cosine, sine], [-sine, cosine]])
        offset = (size_px - 1) / 2 - linear @ np.asarray(self.centre)
        return np.concatenate([linear, offset[:, None]], axis=1)


def keep_distinct(faces: Iterable[Face]) -> list[Face]:
    """Drop a face whose landmark box overlaps that of a better scored one by half of their union; largest first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face, other) < 0.5 for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.area_px2)


def _overlap(a: Face, b: Face) -> float:
    low = np.maximum(a.landmarks_68.min(0), b.landmarks_68.min(0))
    high = np.minimum(a.landmarks_68.max(0), b.landmarks_68.max(0))
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(a.area_px2 + b.area_px2 - shared, 1e-9)


def mediapipe_installed() -> bool:
    """Whether `MediapipeDetector` can be made."""
    return importlib.util.find_spec("mediapipe") is not None


@contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what C++ libraries write to the standard error while they start: MediaPipe warns of its own models."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class MediapipeDetector:
    """MediaPipe 0.10.21, the last release whose wheel brings its models: full-range face detection, then Face Mesh.

    A picture is searched for boxes; the mesh is fitted to 1.5 times each box and once more to the upright square around
    the result, which helps heads that lean. A video is tracked by the mesh itself, with the search as
    fallback. The mesh with attention to eyes and lips is used: on the real pictures of ``docs/face.md`` it is closer
    to the given points than the plain one. It gives no score; a face that is reported counts 1.
    """

    method = "mediapipe"
    _side_px = 256
    _factor = 1.5

    def __init__(self) -> None:
        with _quiet():
            from mediapipe.python.solutions import face_detection, face_mesh

            self._search = face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
            self._mesh = face_mesh.FaceMesh(
                static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3
            )
            self._tracker = face_mesh.FaceMesh(static_image_mode=False, max_num_faces=2, refine_landmarks=True)
            blank = np.zeros((32, 32, 3), np.uint8)
            for graph in (self._search, self._mesh, self._tracker):
                graph.process(blank)

    def detect(self, rgb: RGB) -> list[Face]:
        """Faces of a picture, largest first."""
        height, width = rgb.shape[:2]
        faces: list[Face] = []
        for found in self._search.process(rgb).detections or ():
            box = found.location_data.relative_bounding_box
            centre = ((box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height)
            side = max(box.width * width, box.height * height)
            points = self._fit(rgb, Window(centre, side * self._factor))
            if points is None:
                continue
            refined = self._fit(rgb, Window.around(points, self._factor))
            faces.append(Face(points if refined is None else refined, 1.0))
        return keep_distinct(faces)

    def track(self, rgb: RGB, first: bool) -> list[Face]:
        """Faces of the next frame of a video, largest first; ``first`` starts a new video."""
        height, width = rgb.shape[:2]
        # MediaPipe warns that it places regions of interest right in square pictures only.
        square = np.zeros((max(height, width),) * 2 + (3,), np.uint8)
        square[:height, :width] = rgb
        if first:
            with _quiet():
                self._tracker.reset()
                found = self._read(self._tracker, square)
        else:
            found = self._read(self._tracker, square)
        faces = [Face(points, 1.0) for points in found]
        return keep_distinct(faces) if faces else self.detect(rgb)

    def _fit(self, rgb: RGB, window: Window) -> Points | None:
        import cv2

        matrix = window.matrix(self._side_px)
        crop = cv2.warpAffine(rgb, matrix, (self._side_px, self._side_px), flags=cv2.INTER_LINEAR)
        for points in self._read(self._mesh, crop):
            return transform_points(invert_matrix(matrix), points).astype(np.float32)
        return None

    @staticmethod
    def _read(mesh: Any, rgb: RGB) -> list[Points]:
        height, width = rgb.shape[:2]
        found = mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks or ()
        # MediaPipe's 0..1 runs from the outer edge of the first pixel to that of the last.
        return [
            mesh_to_68(np.array([[p.x * width - 0.5, p.y * height - 0.5] for p in face.landmark], dtype=np.float32))
            for face in found
        ]
