"""Tables on disk: whole or not at all, clips together, rows of one clip found again."""

from __future__ import annotations

import copy
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vultus.core.errors import UserError
from vultus.data import parquet
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.tables import FRAMES


def write(folder: Path, n_clips: int) -> None:
    with TableWriter(folder) as writer:
        for number in range(n_clips):
            clip_id = f"c{number % 2}/{number:03d}"
            writer.add("clips", [{"clip_id": clip_id, "dataset": "d", "n_frames": number + 1}])
            writer.add("frames", [{"clip_id": clip_id, "frame": frame} for frame in reversed(range(number + 1))])
            writer.add("units", [{"clip_id": clip_id, "tier": "word", "start_s": 0, "end_s": 1, "label": "a"}])


def test_rows_of_one_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 10)
    write(tmp_path / "t", 9)
    tables = ClipTables(tmp_path / "t")
    assert pq.ParquetFile(tmp_path / "t/frames.parquet").num_row_groups == 4
    assert tables.frames("c1/005")["frame"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert tables.frames("c1/005", ["frame", "au12_intensity"]).column_names == ["clip_id", "frame", "au12_intensity"]
    assert tables.frames("none").num_rows == 0
    assert tables.units("c0/004")["label"].to_pylist() == ["a"]
    assert [record["n_frames"] for record in tables.records()] == list(range(1, 10))
    assert tables.records()[0]["emotion"] is None
    assert sum(piece.num_rows for piece in tables.batches("frames")) == 45
    assert copy.copy(tables).frames("c1/005").num_rows == 6
    for piece in tables.batches("frames"):
        assert piece.schema.names == FRAMES.names


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "t", 2)
    with pytest.raises(ValueError, match="table clips has no column 'nose'"), TableWriter(tmp_path / "t") as writer:
        writer.add("clips", [{"clip_id": "x", "dataset": "d", "nose": 1}])
    assert len(ClipTables(tmp_path / "t").clips) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_missing_tables_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clips\.parquet is missing: run the stage"):
        ClipTables(tmp_path)
