"""The face stage: every frame of a clip through a box that stands still, with the sound of each frame.

Talking faces are watched, so the crop must not breathe with the landmarks: one square box serves the whole clip. Its
centre is that of the landmarks' median box, 5 % of its side lower, and its side 1.3 times the larger side of the median
box. The sound of a video frame is the four 10 ms frames of `mfcc_from_starts` that begin inside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.audio import clock, spectra
from vultus.audio.clock import fit_length
from vultus.audio.spectra import HOP_SAMPLES, SAMPLE_RATE_HZ, mfcc_from_starts
from vultus.core.errors import UserError
from vultus.data import media
from vultus.data.media import PICTURES_FPS, read_audio, read_frames
from vultus.data.parquet import ClipTables
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash, table_hash
from vultus.data.tables import ACTION_UNITS
from vultus.face import labels
from vultus.face.alignment import BORDER_GREY
from vultus.face.labels import LABEL_COLUMNS, au_arrays, rows_of_frames

FPS = 25.0
"""The rate of talking faces; at another rate a frame has no sound of its own."""
MFCC_PER_FRAME = 4
SIDE_FACTOR = 1.3
LOWERED = 0.05
"""How far below the landmarks' centre the box lies, as a share of its side."""


@dataclass(frozen=True)
class FaceConfig:
    """How faces are cut out (``faces.D``)."""

    size_px: int = 112
    """Side of the face."""

    def __post_init__(self) -> None:
        if self.size_px < 16:
            raise ValueError(f"size_px must be at least 16, not {self.size_px}")


@dataclass(frozen=True)
class Box:
    """A square of whole pixels, ``side_px`` wide; it may reach beyond the picture."""

    left: int
    top: int
    side_px: int

    def to_crop(self, points: npt.NDArray[np.floating], size_px: int) -> npt.NDArray[np.float32]:
        """Points (..., 2) px of the picture as px of the crop: pixel centres are mapped to pixel centres."""
        corner = np.array([self.left, self.top], np.float64)
        return ((points - corner + 0.5) * (size_px / self.side_px) - 0.5).astype(np.float32)

    def cut(self, image: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
        """The content of the box at (size_px, size_px, 3): area average when it shrinks, else bilinear; grey outside.

        Args:
            image: (H, W, 3).
            size_px: side of the crop.
        """
        import cv2

        height, width = image.shape[:2]
        whole = np.full((self.side_px, self.side_px, 3), BORDER_GREY, np.uint8)
        x0, x1 = (min(max(x, 0), width) for x in (self.left, self.left + self.side_px))
        y0, y1 = (min(max(y, 0), height) for y in (self.top, self.top + self.side_px))
        whole[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left] = image[y0:y1, x0:x1]
        how = cv2.INTER_AREA if self.side_px > size_px else cv2.INTER_LINEAR
        cut: npt.NDArray[np.uint8] = cv2.resize(whole, (size_px, size_px), interpolation=how)
        return cut


def still_box(landmarks_68: npt.NDArray[np.floating]) -> Box:
    """The box of a clip.

    Args:
        landmarks_68: (N, 68, 2) px, NaN where a point is absent.

    Raises:
        UserError: no frame has landmarks.
    """
    seen = landmarks_68[np.isfinite(landmarks_68).all(axis=-1).any(axis=-1)]
    if not len(seen):
        raise UserError("no face was found in any frame")
    low, high = np.median(np.nanmin(seen, axis=1), axis=0), np.median(np.nanmax(seen, axis=1), axis=0)
    side = max(2, round(SIDE_FACTOR * float((high - low).max())))
    left, top = (low + high) / 2 + (0.0, LOWERED * side) - (side - 1) / 2
    return Box(round(left), round(top), side)


def frame_mfcc(wav: npt.NDArray[np.floating], n_frames: int) -> npt.NDArray[np.float32]:
    """The MFCCs of each video frame at 25 frames a second, (S,) at 16 kHz -> (n_frames, 4, 13)."""
    n_rows = MFCC_PER_FRAME * n_frames
    heard = fit_length(wav.astype(np.float32), max(len(wav), n_rows * HOP_SAMPLES), 0.0)
    return mfcc_from_starts(heard)[:n_rows].reshape(n_frames, MFCC_PER_FRAME, 13)


def build_faces(
    folder: Path, tables: ClipTables, root: Path, located: Store, config: FaceConfig, *, jobs: int | None = None
) -> Store:
    """Write the store ``faces`` of a data set.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media.
        located: its landmark store.
        config: ``faces.D``.
        jobs: processes.

    Raises:
        UserError: no clip has landmarks, or all failed.
    """
    known = dict(zip(located.clips["clip_id"], located.clips["content_hash"], strict=True))
    watch = WatchFace(tables, Path(root), located, config)
    return build_store(
        folder,
        [clip for clip in tables.records() if clip["clip_id"] in known and clip["video"] is not None],
        watch,
        lambda clip: watch.key(clip, known[clip["clip_id"]]),
        meta={
            **asdict(config),
            "channels": "RGB",
            "unit": "px of the crop, 0-based pixel centres",
            "box": f"square, constant over a clip: {SIDE_FACTOR} times the larger side of the median landmark box, "
            f"its centre {LOWERED:.0%} of the side lower",
            "mfcc": "four 10 ms frames a video frame, counted from its start, as python_speech_features defines them; "
            "zeros where a clip has no sound or another rate than 25 frames a second",
            "action_units": list(ACTION_UNITS),
            "detector": located.meta["detector"],
        },
        code=[clock, spectra, labels, media],
        jobs=jobs,
    )


@dataclass(frozen=True)
class WatchFace:
    """Computes the faces of one clip; see `build_faces` for the attributes."""

    tables: ClipTables
    root: Path
    located: Store
    config: FaceConfig

    def key(self, clip: Clip, located_hash: str) -> str:
        """Content hash of all that the clip's faces depend on; ``located_hash`` is that of its landmarks."""
        files = [file_hash(self.root / str(clip[name])) if clip[name] else "none" for name in ("video", "audio")]
        coded = table_hash(self.tables.frames(str(clip["clip_id"]), LABEL_COLUMNS))
        about = [clip[name] for name in ("subject", "group", "kind", "emotion", "fps")]
        return content_hash(asdict(self.config), located_hash, coded, *files, *about)

    def __call__(self, clip: Clip) -> ClipArrays:
        """Rows and arrays of the clip, a row each frame of its video.

        Raises:
            UserError: no frame has landmarks.
            MediaError: the media cannot be decoded.
        """
        clip_id, size = str(clip["clip_id"]), self.config.size_px
        points_68 = np.asarray(self.located["landmarks_68"][self.located.clip(clip_id)])
        box = still_box(points_68)
        faces, frames, times_s = [], [], []
        for frame, time_s, rgb in read_frames(self.root / str(clip["video"]), fps=float(clip["fps"] or PICTURES_FPS)):
            faces.append(box.cut(rgb, size))
            frames.append(frame)
            times_s.append(time_s)
        coded = rows_of_frames(self.tables.frames(clip_id, LABEL_COLUMNS), frames)
        rows = pd.DataFrame({"frame": np.array(frames, np.int64), "time_s": np.array(times_s, np.float64)})
        for name in ("subject", "group", "kind", "emotion"):
            rows[name] = pd.array([clip[name]] * len(rows), dtype="str")
        return ClipArrays(
            rows,
            {
                "face": np.stack(faces),
                "landmarks_68": box.to_crop(self._points(clip_id, points_68, frames), size),
                **au_arrays(coded),
                "mfcc": self._sound(clip, len(rows)),
            },
        )

    def _points(self, clip_id: str, points_68: npt.NDArray[Any], frames: list[int]) -> npt.NDArray[np.float64]:
        """Landmarks of each frame, (N, 68, 2) px of the picture; NaN where the landmark store has no such frame."""
        at = {int(frame): k for k, frame in enumerate(self.located.rows["frame"].iloc[self.located.clip(clip_id)])}
        points = np.full((len(frames), 68, 2), np.nan)
        for row, frame in enumerate(frames):
            if frame in at:
                points[row] = points_68[at[frame]]
        return points

    def _sound(self, clip: Clip, n_frames: int) -> npt.NDArray[np.float32]:
        if not clip["audio"] or clip["fps"] != FPS:
            return np.zeros((n_frames, MFCC_PER_FRAME, 13), np.float32)
        return frame_mfcc(read_audio(self.root / str(clip["audio"]), SAMPLE_RATE_HZ), n_frames)
