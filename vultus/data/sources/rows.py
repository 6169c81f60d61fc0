"""What adapters share: the rows of one clip, and readers of plain label files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from vultus.data.media import MediaError, probe
from vultus.data.tables import FRAMES

_INT32_MAX = 2**31 - 1


@dataclass
class ClipRows:
    """What an adapter found of one clip.

    Attributes:
        clip: its row of ``clips`` without ``dataset``; None if the clip was left out whole.
        frames: its rows of ``frames``.
        units: its rows of ``units``.
        quarantine: what was left out, and why.
    """

    clip: dict[str, Any] | None = None
    frames: pa.Table | None = None
    units: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)


def quarantined(
    table: str, file: str, reason: str, *, row: int | None = None, clip_id: str | None = None, frame: int | None = None
) -> dict[str, Any]:
    """A row of ``quarantine``: table, file from the data set's root, row from 1, clip, frame, one sentence."""
    return {"table": table, "file": file, "row": row, "clip_id": clip_id, "frame": frame, "reason": reason}


def frame_table(
    clip_id: str, columns: pd.DataFrame, landmarks: npt.NDArray[np.floating[Any]] | None = None
) -> pa.Table:
    """Rows of ``frames`` of one clip; columns not given are null.

    Args:
        clip_id: of every row.
        columns: N rows with ``frame``; NaN is null.
        landmarks: (N, 68, 2) px; a point at NaN is absent and becomes null. None: no landmarks at all.
    """
    n = len(columns)
    arrays = {"clip_id": pa.array([clip_id] * n, pa.string())}
    for name, values in columns.items():
        arrays[str(name)] = pa.array(values, FRAMES.field(name).type, from_pandas=True)
    if landmarks is not None:
        arrays["landmarks_68"] = landmark_column(landmarks)
    full = [arrays[f.name] if f.name in arrays else pa.nulls(n, f.type) for f in FRAMES]
    return pa.table(full, schema=FRAMES)


def landmark_column(landmarks: npt.NDArray[np.floating[Any]]) -> pa.Array:
    """(N, 68, 2) px, NaN absent -> the column ``landmarks_68``; a frame without any point is null."""
    flat = np.asarray(landmarks, np.float32).reshape(-1, 136)
    given = ~np.isnan(flat).all(axis=1)
    values = pa.array(flat[given].reshape(-1), pa.float32(), from_pandas=True)
    offsets = np.concatenate([[0], np.cumsum(given) * 136]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~given))


@dataclass(frozen=True)
class LabelLines:
    """Lines of whole numbers of a label file.

    Attributes:
        values: (N, columns) int64.
        lines: (N,) line number of each row, from 1.
        bad: (line number, reason) of the lines that are not so many whole numbers.
    """

    values: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    bad: list[tuple[int, str]]

    def without(self, faulty: npt.NDArray[np.bool_]) -> LabelLines:
        """The lines that are not faulty."""
        return LabelLines(self.values[~faulty], self.lines[~faulty], self.bad)


def read_label_lines(path: Path, n_columns: int, *, header: bool = False) -> LabelLines:
    """Read comma-separated whole numbers; CRLF, trailing spaces and commas, and blank lines are understood."""
    values: list[list[int]] = []
    lines: list[int] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        text = line.strip().rstrip(",")
        if not text or (header and number == 1):
            continue
        cells = text.split(",")
        try:
            row = [int(cell) for cell in cells]
        except ValueError:
            bad.append((number, f"is {text[:40]!r}, which is not whole numbers"))
            continue
        if len(row) != n_columns:
            bad.append((number, f"has {len(row)} values where {n_columns} belong"))
        elif max(map(abs, row)) > _INT32_MAX:
            bad.append((number, f"is {text[:40]!r}, which is out of all range"))
        else:
            values.append(row)
            lines.append(number)
    return LabelLines(np.array(values, np.int64).reshape(-1, n_columns), np.array(lines, np.int64), bad)


def relative(path: Path, root: Path) -> str:
    """A path from the data set's root, with forward slashes."""
    return path.relative_to(root).as_posix()


def sound_rows(path: Path, root: Path, clip: dict[str, Any]) -> ClipRows:
    """The clip of a sound file, or why it cannot be read.

    Args:
        path: the sound.
        root: of the data set.
        clip: what its name says; file, rate and length are added.
    """
    try:
        info = probe(path)
    except MediaError as error:
        reason = f"{error.reason}: {error.cure}"
        return ClipRows(quarantine=[quarantined("clips", relative(path, root), reason, clip_id=clip["clip_id"])])
    heard = {"audio": relative(path, root), "sample_rate_hz": info.sample_rate, "duration_s": info.duration}
    return ClipRows(clip={"kind": "utterance", **clip, **heard})


def misnamed(path: Path, root: Path, pattern: str) -> ClipRows:
    """A sound whose name says nothing of its speaker and emotion."""
    reason = f"is not named {pattern}: give the file its original name, or take it out of the folder"
    return ClipRows(quarantine=[quarantined("clips", relative(path, root), reason)])
