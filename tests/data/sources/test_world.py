"""The embedded world's tables pass through whole; rows of unknown clips do not vanish."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.tables import CLIPS, FRAMES, UNITS


def write(root: Path, frames: list[dict[str, object]]) -> None:
    root.mkdir(exist_ok=True)
    kinds, groups = ("speech", "tongue", "speech"), ("train", "train", "judge")
    clips = [
        {"clip_id": f"c{n}", "dataset": "?", "video": f"c{n}.mp4", "kind": kinds[n], "group": groups[n]}
        for n in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(clips, CLIPS), root / "clips.parquet")
    pq.write_table(pa.Table.from_pylist(frames, FRAMES), root / "frames.parquet")
    units = [{"clip_id": "c1", "tier": "phone", "start_s": 0.0, "end_s": 1.0, "label": "AA"}]
    pq.write_table(pa.Table.from_pylist(units, UNITS).drop_columns("source_row"), root / "units.parquet")


def test_rows_pass_through_with_their_place(tmp_path: Path) -> None:
    frames: list[dict[str, object]] = [
        {"clip_id": "c0", "frame": 0, "au01_intensity": 1.5, "landmarks_68": [0.5] * 136},
        {"clip_id": "lost", "frame": 0},
        {"clip_id": "c1", "frame": 0, "au01_intensity": None},
        {"clip_id": "c0", "frame": 1, "au01_intensity": 2.5},
    ]
    write(tmp_path / "world", frames)
    counts = ingest(DatasetConfig("world", str(tmp_path / "world")), "world", tmp_path / "t")
    assert counts == {"clips": 3, "frames": 3, "units": 1, "quarantine": 1}
    tables = ClipTables(tmp_path / "t")
    assert set(tables.clips["dataset"]) == {"world"}
    rows = tables.frames("c0").to_pylist()
    assert [(r["frame"], r["au01_intensity"], r["source_file"], r["source_row"]) for r in rows] == [
        (0, 1.5, "frames.parquet", 1),
        (1, 2.5, "frames.parquet", 4),
    ]
    assert rows[0]["landmarks_68"] == [0.5] * 136
    assert tables.units("c1")["source_row"].to_pylist() == [1]
    (fault,) = tables.quarantine().to_dict("records")
    assert (fault["file"], fault["row"], fault["clip_id"]) == ("frames.parquet", 2, "lost")


def test_missing_table(tmp_path: Path) -> None:
    write(tmp_path / "world", [])
    (tmp_path / "world/units.parquet").unlink()
    with pytest.raises(UserError, match=r"units\.parquet is missing: run the stage world"):
        ingest(DatasetConfig("world", str(tmp_path / "world")), "world", tmp_path / "t")


def test_kinds_and_groups_choose_clips(tmp_path: Path) -> None:
    root = tmp_path / "world"
    write(root, [{"clip_id": f"c{n}", "frame": 0} for n in range(3)] + [{"clip_id": "lost", "frame": 0}])

    def taken(**options: list[str]) -> list[str]:
        counts = ingest(DatasetConfig("world", str(root), options), "d", tmp_path / "t")
        tables = ClipTables(tmp_path / "t")
        assert counts["frames"] == counts["clips"] == len(tables.clips)
        assert counts["quarantine"] == 1, "rows of clips that are not asked for are no strangers"
        return list(tables.clips["clip_id"])

    assert taken() == taken(kinds=["speech", "tongue"]) == ["c0", "c1", "c2"]
    assert taken(kinds=["speech"]) == ["c0", "c2"]
    assert taken(kinds=["speech"], groups=["train", "test"]) == ["c0"]
    assert taken(groups=["judge"]) == ["c2"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kinds": ["sung"]}, "no clip of the kind 'sung'; it has: speech, tongue"),
        (
            {"kinds": ["tongue"], "groups": ["judge"]},
            "no clip of the kind 'tongue' of the groups judge; it has: speech",
        ),
        ({"groups": ["validation"]}, "no clip of the groups validation: correct options.groups, or add people"),
        ({"groups": ["jury"]}, r"d\.options: groups holds 'jury'; the groups are train, validation, test, judge"),
    ],
)
def test_choices_without_clips_are_errors(tmp_path: Path, options: dict[str, list[str]], sentence: str) -> None:
    write(tmp_path / "world", [])
    with pytest.raises(UserError, match=sentence):
        ingest(DatasetConfig("world", str(tmp_path / "world"), options), "d", tmp_path / "t")
