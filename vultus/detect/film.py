"""The annotated film of a detection: landmarks, axes of the head, number and action units of each face."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from vultus.core.errors import UserError
from vultus.detect.reader import THRESHOLD
from vultus.detect.seen import SeenFace, SeenFrame
from vultus.face.landmarks import POLYLINES_68
from vultus.face.overlay import write_text

RGB = npt.NDArray[np.uint8]

_MIN_HEIGHT_PX = 480
_GREEN, _WHITE, _GREY = (70, 220, 110), (255, 255, 255), (150, 154, 160)
_AXES = ((235, 70, 60), (70, 200, 90), (80, 140, 255))
_AXIS_MM = 60.0
_CROWD = 2
_LINE_PX, _BAR_PX, _TEXT_PX = 14, 40, 40


class Film:
    """Writes frames into an mp4 (H.264) as they come; all are brought to the size of the first.

    Args:
        path: ending in ``.mp4``.
        fps: frames a second.

    Raises:
        UserError: another suffix, or the file cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        import av

        if path.suffix.lower() != ".mp4":
            raise UserError(f"{path} must end in .mp4: name the annotated film so")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container: Any = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): name another file") from None
        self._stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        self._stream.thread_count = 1
        self._stream.pix_fmt = "yuv420p"
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._size is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, frame: SeenFrame, aus: Sequence[int]) -> None:
        """Draw and append a frame."""
        from av import VideoFrame

        picture = annotate(frame, aus)
        if self._size is None:
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            self._size = width, height
            self._stream.width, self._stream.height = self._size
        fitted = np.ascontiguousarray(_fit(picture, self._size))
        self._container.mux(self._stream.encode(VideoFrame.from_ndarray(fitted, format="rgb24")))


def annotate(frame: SeenFrame, aus: Sequence[int]) -> RGB:
    """The frame with what was found, enlarged to a height at which text can be read; present AUs are green."""
    height, width = frame.rgb.shape[:2]
    scale = max(1.0, _MIN_HEIGHT_PX / height)
    picture = frame.rgb.copy()
    if scale > 1:
        picture = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)
    for face in frame.faces:
        points = (face.landmarks_68 + 0.5) * scale - 0.5
        for line in POLYLINES_68:
            cv2.polylines(
                picture, [np.round(points[list(line)] * 16).astype(np.int32)], False, _GREEN, 1, cv2.LINE_AA, 4
            )
        _draw_axes(picture, face, frame.camera, scale)
        _draw_units(picture, face, points, aus, len(frame.faces) > _CROWD)
    title = f"{frame.input.name}  {frame.number}  {frame.time_s:.2f} s"
    write_text(picture, title if frame.faces else f"{title}  no face", 8, 18, _WHITE)
    return picture


def _draw_axes(picture: RGB, face: SeenFace, camera: npt.NDArray[Any], scale: float) -> None:
    if face.pose is None:
        return
    tips = np.concatenate([np.zeros((1, 3)), np.diag([_AXIS_MM, _AXIS_MM, -_AXIS_MM])])
    at, _ = cv2.projectPoints(tips, face.pose.rotation_vector, face.pose.translation_mm, camera, None)
    ends = np.round((at[:, 0] + 0.5) * scale - 0.5).clip(-1e4, 1e4).astype(int)
    for end, colour in zip(ends[1:], _AXES, strict=True):
        cv2.line(picture, tuple(map(int, ends[0])), tuple(map(int, end)), colour, 2, cv2.LINE_AA)


def _draw_units(picture: RGB, face: SeenFace, points: npt.NDArray[Any], aus: Sequence[int], present_only: bool) -> None:
    """A list of the action units with bars of their probability, beside the face where there is room."""
    assert face.reading is not None
    listed = [k for k in np.argsort(aus) if not present_only or face.reading.probability[k] >= THRESHOLD]
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = _TEXT_PX + _BAR_PX + 6, _LINE_PX * (len(listed) + 1) + 4
    left = high[0] + 8 if high[0] + 8 + width <= picture.shape[1] else low[0] - 8 - width
    x = int(np.clip(left, 0, max(0, picture.shape[1] - width)))
    y = int(np.clip(low[1], 0, max(0, picture.shape[0] - height)))
    panel = picture[y : y + height, x : x + width]
    panel[:] = panel // 3
    write_text(picture, f"face {face.face_id}", x + 3, y + 12, _WHITE)
    for line, k in enumerate(listed, start=2):
        p = float(face.reading.probability[k])
        colour, base = _GREEN if p >= THRESHOLD else _GREY, y + line * _LINE_PX - 2
        write_text(picture, f"AU{aus[k]:02d}", x + 3, base, colour)
        cv2.rectangle(picture, (x + _TEXT_PX, base - 8), (x + _TEXT_PX + round(_BAR_PX * p), base), colour, -1)


def _fit(picture: RGB, size: tuple[int, int]) -> RGB:
    """The whole picture in the middle of a grey one of the film's size (width, height)."""
    height, width = picture.shape[:2]
    if width - size[0] in (0, 1) and height - size[1] in (0, 1):
        return picture[: size[1], : size[0]]
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    fitted: RGB = np.full((size[1], size[0], 3), 128, np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return fitted
