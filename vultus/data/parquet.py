"""Writes and reads the four tables as Parquet files, clip by clip, with memory that does not grow with the data set.

`TableWriter` keeps all rows of a clip together in one row group, and `ClipTables` finds them again by the row group's
statistics, so that a worker that computes one clip reads the rows of that clip only.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vultus.core.errors import UserError
from vultus.core.folders import partial_folder, replace_folder
from vultus.data.tables import SCHEMAS

ROW_GROUP_ROWS = 8_192
"""Rows buffered before a row group is written; a clip is never divided over two."""


class TableWriter:
    """Writes ``clips``, ``frames``, ``units`` and ``quarantine`` into a folder, which appears whole at the end.

    Use as a context manager: rows go to ``<folder>.partial``, which replaces the folder on a clean exit and is removed
    on an error. Call ``add`` with all rows of a table for one clip at once.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.partial = partial_folder(self.folder)
        self.counts = dict.fromkeys(SCHEMAS, 0)
        self._buffers: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}
        self._writers = {name: pq.ParquetWriter(self.partial / f"{name}.parquet", SCHEMAS[name]) for name in SCHEMAS}

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for name in SCHEMAS:
                self._flush(name)
        for writer in self._writers.values():
            writer.close()
        if kind is None:
            replace_folder(self.partial, self.folder)
        else:
            shutil.rmtree(self.partial, ignore_errors=True)

    def add(self, name: str, rows: pa.Table | Iterable[Mapping[str, Any]]) -> None:
        """Append rows to a table; columns that are not given are null, unknown ones are an error.

        Raises:
            ValueError: an unknown column, or a value that does not fit the schema.
        """
        table = rows if isinstance(rows, pa.Table) else as_table(name, rows)
        if not table.num_rows:
            return
        self._buffers[name].append(table.select(SCHEMAS[name].names).cast(SCHEMAS[name]))
        self.counts[name] += table.num_rows
        if sum(t.num_rows for t in self._buffers[name]) >= ROW_GROUP_ROWS:
            self._flush(name)

    def _flush(self, name: str) -> None:
        if self._buffers[name]:
            table = pa.concat_tables(self._buffers[name])
            self._writers[name].write_table(table, row_group_size=table.num_rows)
            self._buffers[name].clear()


def as_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of the named schema; absent keys are null.

    Raises:
        ValueError: an unknown column, or a value that does not fit the schema.
    """
    rows, schema = list(rows), SCHEMAS[name]
    unknown = sorted({key for row in rows for key in row} - set(schema.names))
    if unknown:
        raise ValueError(f"table {name} has no column {unknown[0]!r}; columns: {', '.join(schema.names)}")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


class ClipTables:
    """The tables of a data set on disk; only the table of clips is held in memory.

    Attributes:
        folder: where the Parquet files lie.
        clips: the table of clips.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "clips.parquet").is_file():
            raise UserError(f"{self.folder / 'clips.parquet'} is missing: run the stage that writes it (dvc repro)")
        self.clips = read_frame(self.folder / "clips.parquet")
        self._files: dict[str, pq.ParquetFile] = {}
        self._groups: dict[str, list[tuple[str, str]]] = {}
        self._decoded: tuple[Any, pa.Table] | None = None

    def __reduce__(self) -> tuple[type[ClipTables], tuple[Path]]:
        return type(self), (self.folder,)

    def table(self, name: str) -> pa.Table:
        """A whole table; for clips and quarantine, which stay small."""
        return pq.read_table(self.folder / f"{name}.parquet")

    def records(self) -> list[dict[str, Any]]:
        """The clips as dictionaries, null as None: what `stores.build_store` takes."""
        return list(self.table("clips").to_pylist())

    def frames(self, clip_id: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of ``frames`` of one clip, by frame; empty if none is annotated."""
        return self.rows("frames", clip_id, columns).sort_by("frame")

    def units(self, clip_id: str) -> pa.Table:
        """The rows of ``units`` of one clip, by start."""
        return self.rows("units", clip_id).sort_by("start_s")

    def rows(self, name: str, clip_id: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of a table of one clip, in the order of the file."""
        file = self._file(name)
        groups = [g for g, (low, high) in enumerate(self._groups[name]) if low <= clip_id <= high]
        wanted = None if columns is None else list(dict.fromkeys(["clip_id", "frame", *columns]))
        # Clips come in the order of the file, a row group holds dozens of them: decode it once for all.
        place = (name, groups, wanted)
        if self._decoded is None or self._decoded[0] != place:
            self._decoded = place, file.read_row_groups(groups, columns=wanted)
        table = self._decoded[1]
        return table.filter(pc.equal(table["clip_id"], clip_id))

    def quarantine(self) -> pd.DataFrame:
        """What was left out, and why."""
        return read_frame(self.folder / "quarantine.parquet")

    def batches(self, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """A table in pieces of whole row groups."""
        file = self._file(name)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)

    def _file(self, name: str) -> pq.ParquetFile:
        if name not in self._files:
            file = pq.ParquetFile(self.folder / f"{name}.parquet")
            leaves = [file.metadata.schema.column(i).path for i in range(len(file.metadata.schema))]
            leaf = leaves.index("clip_id")
            stats = [file.metadata.row_group(g).column(leaf).statistics for g in range(file.num_row_groups)]
            self._groups[name] = [
                (s.min, s.max) if s is not None and s.has_min_max else ("", "\U0010ffff") for s in stats
            ]
            self._files[name] = file
        return self._files[name]


def read_frame(path: Path) -> pd.DataFrame:
    """A whole Parquet file as a data frame."""
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame
