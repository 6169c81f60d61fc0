"""The landmark stage: 68 points for every frame, annotated where the data set brings them, detected elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vultus.data import media
from vultus.data.media import PICTURES_FPS, kind_of, read_frames
from vultus.data.parquet import ClipTables
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash, table_hash
from vultus.face import detection, landmarks
from vultus.face.detection import FaceDetector, MediapipeDetector, mediapipe_installed
from vultus.face.landmarks import POINTS_49

Points = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DETECTOR_FOLDER = Path("models/landmark_detector")
WEIGHTS_FILE = "weights.safetensors"
NO_FACE = "none"

_COLUMNS = ["time_s", "landmarks_68", "landmark_visible"]


@dataclass(frozen=True)
class LandmarkConfig:
    """Where a data set's landmarks come from (``landmarks.D``)."""

    mode: Literal["auto", "annotated", "mediapipe", "trained"] = "auto"
    """auto: annotated points, and for frames without them MediaPipe or, where it is not installed, the detector
    trained here. annotated: never detect. mediapipe, trained: always detect with that one."""

    every_n_frames: int = 1
    """Take every n-th frame of a clip; of its annotated frames where the data set annotates some."""

    def __post_init__(self) -> None:
        if self.every_n_frames < 1:
            raise ValueError(f"every_n_frames must be at least 1, not {self.every_n_frames}")


def build_landmarks(
    folder: Path,
    tables: ClipTables,
    root: Path,
    config: LandmarkConfig,
    *,
    detector_folder: Path = DETECTOR_FOLDER,
    jobs: int | None = None,
) -> Store:
    """Write the store ``landmarks`` of a data set; its ``meta.json`` counts the frames by method.

    A data set of sounds alone gets an empty store, so that a pipeline over several data sets goes on.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media.
        config: ``landmarks.D``.
        detector_folder: of the trained detector, read where that one is used.
        jobs: processes.

    Raises:
        UserError: no clips, or all failed; or the detector that the mode asks for is absent.
    """
    fallback = choose_detector(config.mode)
    code = [landmarks, detection, media]
    if fallback == "trained":
        from vultus.face import trained_detector  # with torch

        code.append(trained_detector)
    clips = tables.records()
    store = build_store(
        folder,
        [clip for clip in clips if clip["video"] is not None] or clips[:1],
        locate := LocateFaces(tables, Path(root), config, fallback, Path(detector_folder)),
        locate.key,
        meta={"unit": "px of the full frame, 0-based pixel centres", "detector": fallback, **asdict(config)},
        code=code,
        jobs=jobs,
    )
    methods = pq.read_table(folder / "rows.parquet", columns=["method"])["method"].value_counts().to_pylist()
    store.meta["frames_by_method"] = {entry["values"]: entry["counts"] for entry in methods}
    (folder / "meta.json").write_text(json.dumps(store.meta, indent=2) + "\n")
    return store


def choose_detector(mode: str) -> str | None:
    """The detector of frames without annotated points: ``mediapipe``, ``trained``, or None for no detection."""
    if mode == "auto":
        return "mediapipe" if mediapipe_installed() else "trained"
    return None if mode == "annotated" else mode


@cache
def open_detector(method: str, detector_folder: Path) -> FaceDetector:
    """The detector, one a process.

    Raises:
        UserError: MediaPipe is not installed, or nothing was trained in ``detector_folder``.
    """
    if method == "mediapipe":
        return MediapipeDetector()
    from vultus.face.trained_detector import TrainedDetector

    return TrainedDetector(detector_folder)


@dataclass(frozen=True)
class Located:
    """The landmarks of one frame: a row of the store."""

    frame: int
    time_s: float
    method: str
    n_faces: int
    points: Points
    visible: Mask
    score: float


@dataclass(frozen=True)
class LocateFaces:
    """Computes the landmarks of one clip; see `build_landmarks` for the attributes."""

    tables: ClipTables
    root: Path
    config: LandmarkConfig
    detector: str | None
    detector_folder: Path

    def key(self, clip: Clip) -> str:
        """Content hash of all that the clip's landmarks depend on."""
        annotated = self.tables.frames(str(clip["clip_id"]), _COLUMNS)
        parts: list[Any] = [asdict(self.config), clip["subject"], clip["fps"], table_hash(annotated)]
        located = self._annotated(clip, annotated)
        if clip["video"] is not None and (not located or self._to_detect(located)):
            parts += [self.detector, file_hash(self.root / str(clip["video"]))]
            if self.detector == "trained":
                parts.append(file_hash(self.detector_folder / WEIGHTS_FILE))
        return content_hash(*parts)

    def __call__(self, clip: Clip) -> ClipArrays:
        """Rows and arrays of the clip, in order of the frames.

        Raises:
            MediaError: a frame must be detected and the media cannot be decoded.
        """
        located = self._annotated(clip, self.tables.frames(str(clip["clip_id"]), _COLUMNS))
        if clip["video"] is None:
            located = []
        elif not located and self.detector is not None:
            located = list(self._detect(clip, None))
        elif todo := self._to_detect(located):
            detected = {face.frame: face for face in self._detect(clip, list(todo))}
            located = [
                replace(detected[old.frame], time_s=old.time_s) if old.frame in detected else old for old in located
            ]
        rows = pd.DataFrame(
            {
                "frame": np.array([face.frame for face in located], np.int64),
                "time_s": np.array([face.time_s for face in located], np.float64),
                "subject": pd.array([clip["subject"]] * len(located), dtype="str"),
                "method": pd.array([face.method for face in located], dtype="str"),
                "n_faces": np.array([face.n_faces for face in located], np.int32),
            }
        )
        return ClipArrays(
            rows,
            {
                "landmarks_68": np.array([face.points for face in located], np.float32).reshape(-1, 68, 2),
                "visible": np.array([face.visible for face in located], np.bool_).reshape(-1, 68),
                "score": np.array([face.score for face in located], np.float32),
            },
        )

    def _annotated(self, clip: Clip, frames: pa.Table) -> list[Located]:
        """Every n-th row of the frames table, with its points where it has them."""
        points, visible = annotated_points(frames)
        numbers = frames["frame"].to_numpy()
        times = frames["time_s"].to_numpy(zero_copy_only=False).astype(np.float64)
        times = np.where(np.isfinite(times), times, (numbers + 0.5) / _fps(clip))
        given = [bool(np.isfinite(face).any()) for face in points]
        return [
            Located(
                int(numbers[k]),
                float(times[k]),
                "annotated" if given[k] else NO_FACE,
                int(given[k]),
                points[k],
                visible[k],
                float(given[k]),
            )
            for k in range(0, len(numbers), self.config.every_n_frames)
        ]

    def _to_detect(self, located: list[Located]) -> list[int]:
        """The frames of the table that need the detector."""
        if self.detector is None:
            return []
        if self.config.mode != "auto":
            return [face.frame for face in located]
        return [face.frame for face in located if not complete(face.points)]

    def _detect(self, clip: Clip, frames: list[int] | None) -> Iterator[Located]:
        """Detect the largest face of the given frames, or of every n-th frame of the media."""
        assert self.detector is not None
        path = self.root / str(clip["video"])
        detector = open_detector(self.detector, self.detector_folder)
        moving = kind_of(path) == "video"
        step = self.config.every_n_frames if frames is None else 1
        for position, (frame, time_s, rgb) in enumerate(read_frames(path, frames, fps=_fps(clip))):
            if position % step:
                continue
            faces = detector.track(rgb, first=position == 0) if moving else detector.detect(rgb)
            if faces:
                points, score = faces[0].landmarks_68, faces[0].score
                yield Located(frame, time_s, detector.method, len(faces), points, np.ones(68, np.bool_), score)
            else:
                absent = np.full((68, 2), np.nan, np.float32)
                yield Located(frame, time_s, NO_FACE, 0, absent, np.zeros(68, np.bool_), 0.0)


def _fps(clip: Clip) -> float:
    return float(clip["fps"] or PICTURES_FPS)


def annotated_points(frames: pa.Table) -> tuple[Points, Mask]:
    """Landmarks (N, 68, 2), NaN where absent, and visibility (N, 68), true where not annotated, of a frames table."""
    points = _fixed_lists(frames["landmarks_68"], 136, np.nan, np.float32).reshape(-1, 68, 2)
    seen = _fixed_lists(frames["landmark_visible"], 68, 1, np.float32) > 0
    return points, seen & np.isfinite(points).all(-1)


def complete(points: Points) -> bool:
    """Whether a face (68, 2) has the 49 points that alignment and AU centres need."""
    return bool(np.isfinite(points[POINTS_49]).all())


def _fixed_lists(column: pa.ChunkedArray, size: int, absent: float, dtype: Any) -> npt.NDArray[Any]:
    """A column of fixed-size lists as (N, size); a null list or item becomes ``absent``."""
    values = np.full((len(column), size), absent, dtype)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if present.any():
        items = column.drop_null().combine_chunks().flatten().cast(pa.float32()).fill_null(absent)
        values[present] = items.to_numpy(zero_copy_only=False).reshape(-1, size)
    return values
