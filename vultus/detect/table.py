"""The table of a detection: OpenFace's columns in OpenFace's order, then what OpenFace has not (``docs/detect.md``)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from vultus.core.errors import UserError
from vultus.detect.reader import THRESHOLD
from vultus.detect.seen import SeenFace, SeenFrame

NOBODY = -1
"""``face_id`` of a frame without a face."""

_FIRST = ("frame", "face_id", "timestamp", "confidence", "success")
_POSE = ("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz")
_POINTS = (*(f"x_{i}" for i in range(68)), *(f"y_{i}" for i in range(68)))


def columns(aus: Sequence[int], has_intensity: bool) -> tuple[str, ...]:
    """Names of the columns for a system with these action units; ``_r`` only where it has intensities."""
    kinds = ("r", "c", "p", "u") if has_intensity else ("c", "p", "u")
    units = (f"AU{au:02d}_{kind}" for kind in kinds for au in sorted(aus))
    return (*_FIRST, *_POSE, *_POINTS, *units, "input")


class AuTable:
    """Writes the rows frame by frame; what is absent is an empty cell.

    Args:
        path: of the table.
        aus: FACS numbers in the order of the readings.
        has_intensity: whether readings have intensities.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path, aus: Sequence[int], has_intensity: bool) -> None:
        self._order, self._has_intensity = np.argsort(aus), has_intensity
        self._names = columns(aus, has_intensity)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): name another file") from None
        self._rows = csv.writer(self._file)
        self._rows.writerow(self._names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, frame: SeenFrame) -> None:
        """A row for each face, or one with ``success`` 0."""
        when = f"{frame.time_s:.3f}"
        for face in frame.faces:
            first = (frame.number, face.face_id, when, f"{face.confidence:.3f}", 1)
            self._rows.writerow((*first, *self._cells(face), frame.input))
        if not frame.faces:
            empty = len(self._names) - len(_FIRST) - 1
            self._rows.writerow((frame.number, NOBODY, when, "0.000", 0, *[""] * empty, frame.input))

    def _cells(self, face: SeenFace) -> list[Any]:
        assert face.reading is not None
        pose = [""] * 6
        if face.pose is not None:
            pose = [f"{v:.1f}" for v in face.pose.translation_mm] + [f"{v:.4f}" for v in face.pose.rotation_rad]
        points = [f"{v:.2f}" for v in face.landmarks_68.T.ravel()]
        reading, order = face.reading, self._order
        strength = [f"{v:.3f}" for v in reading.intensity[order]] if reading.intensity is not None else []
        present = [int(p >= THRESHOLD) for p in reading.probability[order]]
        numbers = [f"{v:.4f}" for values in (reading.probability, reading.uncertainty) for v in values[order]]
        return [*pose, *points, *strength, *present, *numbers]
