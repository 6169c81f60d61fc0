"""Writes Kaldi archives, independently of the reader: matrices, plain and compressed by columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]


def write_archive(path: Path, matrices: Mapping[str, Matrix], kind: str = "FM") -> dict[str, int]:
    """Write and return the offset of each matrix, as an ``.scp`` file gives it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data, offsets = b"", {}
    for name, matrix in matrices.items():
        data += name.encode() + b" "
        offsets[name] = len(data)
        data += b"\0B" + kind.encode() + b" " + _body(matrix, kind)
    path.write_bytes(data)
    return offsets


def _body(matrix: Matrix, kind: str) -> bytes:
    rows, columns = matrix.shape
    if kind in ("FM", "DM"):
        header = struct.pack("<bibi", 4, rows, 4, columns)
        return header + np.ascontiguousarray(matrix, "<f4" if kind == "FM" else "<f8").tobytes()
    low, span = float(matrix.min()), float(np.ptp(matrix))
    header = struct.pack("<ffii", low, span, rows, columns)
    if kind in ("CM2", "CM3"):
        largest, dtype = (65535, "<u2") if kind == "CM2" else (255, "u1")
        return header + np.round((matrix - low) / span * largest).astype(dtype).tobytes()
    body, tail = b"", b""
    for column in matrix.T:
        ordered = np.sort(column)
        quarters = [ordered[0], ordered[rows // 4], ordered[3 * rows // 4], ordered[-1]]
        coded = [round((q - low) / span * 65535) for q in quarters]
        coded = [coded[0], *(max(coded[i], coded[i - 1] + 1) for i in (1, 2, 3))]
        body += struct.pack("<4H", *coded)
        p = [low + span * c / 65535 for c in coded]
        values = np.interp(column, p, [0, 64, 192, 255])
        tail += np.round(values).astype("u1").tobytes()
    return header + body + tail
