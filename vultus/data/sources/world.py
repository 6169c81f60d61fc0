"""The embedded world, as its stage writes it: clips, frames and units are tables already.

The adapter passes rows through clip by clip, notes where each was read, and puts frames and units of unknown clips into
quarantine. Columns that the files lack are null. One recording of the world serves several data sets: each takes some
kinds of clips of some groups of people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables
from vultus.data.sources.rows import ClipRows, quarantined
from vultus.data.tables import CLIPS, FRAMES, GROUPS, SCHEMAS, UNITS


@dataclass(frozen=True)
class Options:
    """Section ``datasets.D.options``: which clips are taken."""

    kinds: tuple[str, ...] = ()
    """What was recorded (column ``kind``): spontaneous, speech, ...; empty takes all."""
    groups: tuple[str, ...] = ()
    """Groups of people, some of ``tables.GROUPS``; empty takes all."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.groups) - set(GROUPS))
        if unknown:
            raise ValueError(f"groups holds {unknown[0]!r}; the groups are {', '.join(GROUPS)}")


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield the clips of ``clips.parquet`` with their frames and units.

    Raises:
        UserError: a table is missing, or no clip is of a kind or group that was asked for.
    """
    for name in ("clips", "frames", "units"):
        if not (root / f"{name}.parquet").is_file():
            raise UserError(f"{root / name}.parquet is missing: run the stage world (dvc repro world)")
    tables = ClipTables(root)
    taken = _taken(tables.clips, options)
    known = set(tables.clips["clip_id"])
    lines = {name: _lines_by_clip(root / f"{name}.parquet") for name in ("frames", "units")}
    for name, by_clip in lines.items():
        strangers = [
            quarantined(
                name,
                f"{name}.parquet",
                "its clip is not in clips.parquet: write the data set again",
                row=int(line),
                clip_id=clip_id,
            )
            for clip_id in by_clip.keys() - known
            for line in by_clip[clip_id]
        ]
        yield ClipRows(quarantine=strangers)
    for record in tables.records():
        clip_id = record["clip_id"]
        if clip_id not in taken:
            continue
        frames = _with_lines(tables.rows("frames", clip_id), "frames", lines["frames"].get(clip_id))
        units = _with_lines(tables.rows("units", clip_id), "units", lines["units"].get(clip_id))
        clip = {name: record.get(name) for name in CLIPS.names if name != "dataset"}
        yield ClipRows(clip, frames, units.to_pylist())


def _taken(clips: pd.DataFrame, options: Options) -> set[str]:
    """Ids of the clips that are asked for; each kind must have some."""
    chosen = clips[clips["group"].isin(options.groups)] if options.groups else clips
    people = f" of the groups {', '.join(options.groups)}" if options.groups else ""
    recorded = sorted(chosen["kind"].dropna().unique())
    for kind in options.kinds:
        if kind not in recorded:
            raise UserError(
                f"the world has no clip of the kind {kind!r}{people}; it has: {', '.join(recorded) or 'nothing'}. "
                "Correct options.kinds, or record some (section world of params.yaml) and run the stage world again"
            )
    if options.kinds:
        chosen = chosen[chosen["kind"].isin(options.kinds)]
    if chosen.empty:
        raise UserError(f"the world has no clip{people}: correct options.groups, or add people in section world")
    return set(chosen["clip_id"])


def _lines_by_clip(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Row numbers from 1 of each clip, in the order of the file."""
    ids = pq.read_table(path, columns=["clip_id"])["clip_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(ids.dictionary) + 1))
    return {
        clip_id: order[starts[i] : starts[i + 1]].astype(np.int64) + 1
        for i, clip_id in enumerate(ids.dictionary.to_pylist())
    }


def _with_lines(table: pa.Table, name: str, lines: np.ndarray[Any, np.dtype[np.int64]] | None) -> pa.Table:
    schema = {"frames": FRAMES, "units": UNITS}[name]
    given = {
        "source_file": pa.array([f"{name}.parquet"] * table.num_rows, pa.string()),
        "source_row": pa.array(np.zeros(0, np.int64) if lines is None else lines, pa.int64()),
    }
    columns = []
    for field in SCHEMAS[name]:
        if field.name in given:
            columns.append(given[field.name])
        elif field.name in table.column_names:
            columns.append(table[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return pa.table(columns, schema=schema)
