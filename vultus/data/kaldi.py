"""Reads Kaldi's binary archives of matrices (``.ark``): plain and compressed.

An archive is a run of entries: an utterance's name, a space, ``\\0B``, a type word, and a matrix. Types:

* ``FM``, ``DM``: row and column counts (each a byte 4 and an int32), then float32 or float64 values by rows.
* ``CM``: compressed by columns. Header min, range (float32), rows, columns (int32); for each column four uint16, its
  percentiles 0, 25, 75 and 100 as shares of the range; then a byte a value, by columns: 0..64 lies between the first
  two percentiles, 64..192 between the middle ones, 192..255 between the last.
* ``CM2``, ``CM3``: the same header, then a uint16 or a byte a value, by rows, as a share of the range.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vultus.core.errors import UserError

Array = npt.NDArray[Any]


def read_archive(path: Path) -> Iterator[tuple[str, Array]]:
    """Yield (name, matrix (rows, columns) float32) of an archive, in its order.

    Raises:
        UserError: the file is missing, cut off, or no binary archive of matrices.
    """
    for name, offset in entries(path):
        yield name, read_at(path, offset)


def read_matrix(path: Path, index: int) -> Array:
    """The matrix at a position of an archive, from 0.

    Raises:
        UserError: see `read_archive`; or the archive has fewer.
    """
    found = entries(path)
    if index not in range(len(found)):
        raise UserError(f"{path} has {len(found)} matrices and none at position {index}")
    return read_at(path, found[index][1])


def entries(path: Path) -> tuple[tuple[str, int], ...]:
    """Name and byte offset (behind the name) of each matrix; an archive is read through once in a process.

    Raises:
        UserError: see `read_archive`.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: restore the archive")
    return _entries(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _entries(path: Path, _: int) -> tuple[tuple[str, int], ...]:
    found = []
    with path.open("rb") as file:
        while name := _name(file, path):
            found.append((name, file.tell()))
            _matrix(file, path)
    return tuple(found)


def read_at(path: Path, offset: int) -> Array:
    """The matrix at a byte offset, as ``.scp`` files point to them (``file.ark:offset``, behind the name).

    Raises:
        UserError: see `read_archive`.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _matrix(file, path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: restore the archive") from None


def read_scp(path: Path) -> list[tuple[str, str, int]]:
    """Utterance, archive as written there, and offset, of each line of an ``.scp`` file.

    Raises:
        UserError: the file is missing, or a line is not ``name file.ark:offset``.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: restore the list of utterances")
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        name, _, place = line.strip().partition(" ")
        archive, _, offset = place.strip().rpartition(":")
        if not archive or not offset.isdecimal():
            raise UserError(f"{path}, line {number} is {line[:60]!r}: expected 'name file.ark:offset'")
        entries.append((name, archive, int(offset)))
    return entries


def _name(file: BinaryIO, path: Path) -> str:
    """The name up to the next space; empty at the end of the file."""
    name = bytearray()
    while (byte := file.read(1)) not in (b" ", b""):
        name += byte
        if len(name) > 1000:
            raise _damaged(path, "a name does not end")
    if not byte and name.strip():
        raise _damaged(path, "it ends within a name")
    try:
        return name.decode().strip()
    except UnicodeDecodeError:
        raise _damaged(path, "a name is not text") from None


def _matrix(file: BinaryIO, path: Path) -> Array:
    if (mark := file.read(2)) != b"\0B":
        raise _damaged(path, f"an entry starts with {mark!r}, not with Kaldi's binary mark")
    kind = b""
    while (byte := file.read(1)) not in (b" ", b"") and len(kind) < 4:
        kind += byte
    if kind in (b"FM", b"DM"):
        (rows,), (columns,) = (struct.unpack("<xi", _exactly(file, 5, path)) for _ in range(2))
        return _values(file, path, rows, columns, "<f4" if kind == b"FM" else "<f8").astype(np.float32)
    if kind in (b"CM", b"CM2", b"CM3"):
        low, span, rows, columns = struct.unpack("<ffii", _exactly(file, 16, path))
        if kind == b"CM":
            return _by_columns(file, path, low, span, rows, columns)
        width, largest = ("<u2", 65535) if kind == b"CM2" else ("u1", 255)
        share = _values(file, path, rows, columns, width).astype(np.float32) / np.float32(largest)
        return np.asarray(np.float32(low) + np.float32(span) * share, np.float32)
    raise _damaged(path, f"the matrix type {kind!r} is none of FM, DM, CM, CM2, CM3")


def _by_columns(file: BinaryIO, path: Path, low: float, span: float, rows: int, columns: int) -> Array:
    shares = _values(file, path, columns, 4, "<u2").astype(np.float32)
    p0, p25, p75, p100 = (np.float32(low) + np.float32(span) * shares / np.float32(65535)).T[:, :, None]
    byte = _values(file, path, columns, rows, "u1").astype(np.float32)
    values = np.select(
        [byte <= 64, byte <= 192],
        [p0 + (p25 - p0) * byte / 64, p25 + (p75 - p25) * (byte - 64) / 128],
        p75 + (p100 - p75) * (byte - 192) / 63,
    )
    return np.ascontiguousarray(values.T, np.float32)


def _values(file: BinaryIO, path: Path, rows: int, columns: int, dtype: str) -> Array:
    if rows < 0 or columns < 0:
        raise _damaged(path, f"a matrix has {rows} rows and {columns} columns")
    data = _exactly(file, rows * columns * np.dtype(dtype).itemsize, path)
    return np.frombuffer(data, dtype).reshape(rows, columns)


def _exactly(file: BinaryIO, size: int, path: Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _damaged(path, "it ends within a matrix")
    return data


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is no whole Kaldi archive: {what}; copy it again")
