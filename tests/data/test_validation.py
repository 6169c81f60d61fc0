"""Validation: every kind of broken input lands in quarantine with file, row and reason, and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.miniatures import (
    OCC_HEADER,
    cut,
    picture,
    points_49,
    write_bp4d,
    write_codes,
    write_picture,
    write_tracked,
    write_video,
    write_wav,
)
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.validation import validate


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(root: Path, limit: float = 1.0) -> tuple[ClipTables, pd.DataFrame, dict[str, Any]]:
    """Validate the tables in ``ingested`` and assert that no row was lost on the way."""
    result = validate(Path("ingested"), Path("valid"), root, "d", limit)
    before, after = ClipTables("ingested"), ClipTables("valid")
    faults = after.quarantine()
    new = faults.iloc[len(before.quarantine()) :]
    for name, outcome in result["tables"].items():
        rows_in, rows_valid = before.table(name).num_rows, after.table(name).num_rows
        assert rows_in == outcome["rows_in"] == rows_valid + (new["table"] == name).sum()
        assert (rows_valid, rows_in - rows_valid) == (outcome["rows_valid"], outcome["rows_quarantined"])
    assert json.loads(Path("valid/validation.json").read_text()) == result
    return after, faults, result


def write_tables(
    clips: list[dict[str, Any]], frames: Sequence[dict[str, Any]] = (), units: Sequence[dict[str, Any]] = ()
) -> None:
    with TableWriter("ingested") as writer:
        writer.add("clips", [{"dataset": "d", **clip} for clip in clips])
        writer.add("frames", frames)
        writer.add("units", units)


def videos(root: Path, *names: str) -> list[dict[str, Any]]:
    """Good clips of 6 frames with a table row each."""
    rows = []
    for name in names:
        write_video(root / f"{name}.mp4", [picture(n) for n in range(6)], 25)
        rows.append(
            {"clip_id": name, "video": f"{name}.mp4", "fps": 25.0, "n_frames": 6, "width_px": 48, "height_px": 36}
        )
    return rows


def frame(clip_id: str, number: int, row: int, **columns: Any) -> dict[str, Any]:
    return {"clip_id": clip_id, "frame": number, "source_file": "labels.csv", "source_row": row, **columns}


def place(fault: pd.Series[Any]) -> tuple[Any, ...]:
    return tuple(None if pd.isna(fault[k]) else fault[k] for k in ("table", "file", "row", "clip_id", "frame"))


def test_truncated_mp4(tmp_path: Path) -> None:
    clips = videos(tmp_path, "good", "cut")
    write_tables(clips, [frame("cut", 0, 1), frame("good", 0, 2)])
    cut(tmp_path / "cut.mp4", 0.7)
    after, faults, _ = check(tmp_path)
    assert after.clips["clip_id"].tolist() == ["good"]
    assert place(faults.iloc[0]) == ("clips", "cut.mp4", None, "cut", None)
    assert "copy the file again" in faults["reason"][0]
    assert place(faults.iloc[1]) == ("frames", "labels.csv", 1, "cut", 0)
    assert faults["reason"][1] == "its clip cut is in quarantine or unknown: cure the clip"


def test_zero_byte_wav(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(800))
    (tmp_path / "b.wav").touch()
    write_tables([{"clip_id": c, "audio": f"{c}.wav", "sample_rate_hz": 16_000} for c in "ab"])
    after, faults, _ = check(tmp_path)
    assert after.clips["clip_id"].tolist() == ["a"]
    assert place(faults.iloc[0]) == ("clips", "b.wav", None, "b", None)
    assert faults["reason"][0].startswith("is empty (0 bytes)")


def test_text_renamed_to_png(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(0))
    (tmp_path / "b.png").write_text("no picture")
    write_tables([{"clip_id": c, "video": f"{c}.png", "n_frames": 1} for c in "ab"])
    after, faults, _ = check(tmp_path)
    assert after.clips["clip_id"].tolist() == ["a"]
    assert place(faults.iloc[0]) == ("clips", "b.png", None, "b", None)
    assert "is not a picture" in faults["reason"][0]


def test_landmarks(tmp_path: Path) -> None:
    good = [12.0] * 136
    nan, half, far = list(good), list(good), list(good)
    nan[7], half[8], far[9] = float("nan"), None, 9e9  # type: ignore[call-overload]
    absent = [None] * 34 + good[34:]
    rows = [good, nan, half, far, absent, None]
    write_tables(videos(tmp_path, "v"), [frame("v", n, n + 2, landmarks_68=p) for n, p in enumerate(rows)])
    after, faults, _ = check(tmp_path)
    assert after.frames("v")["frame"].to_pylist() == [0, 4, 5]
    assert [place(fault)[1:3] for _, fault in faults.iterrows()] == [
        ("labels.csv", 3),
        ("labels.csv", 4),
        ("labels.csv", 5),
    ]
    assert faults["reason"].str.extract(r"(NaN or infinite|only one of x and y|far outside)")[0].notna().all()
    assert after.frames("v")["landmarks_68"][1].as_py() == absent


def test_list_lengths(tmp_path: Path) -> None:
    rows = [{"box": [0.0, 1.0, 2.0, 3.0]}, {"box": [0.0, 1.0, 2.0]}, {"landmarks_68": [1.0] * 98}, {}]
    write_tables(videos(tmp_path, "v"), [frame("v", n, n, **row) for n, row in enumerate(rows)])
    after, faults, _ = check(tmp_path)
    assert after.frames("v")["frame"].to_pylist() == [0, 3]
    assert faults["reason"].tolist() == [
        "box has 3 values, not 4: correct it",
        "landmarks_68 has 98 values, not 136: correct it",
    ]


def test_frame_numbers_out_of_range(tmp_path: Path) -> None:
    clips = videos(tmp_path, "v")
    for number in (3, 5):
        write_picture(tmp_path / f"run/{number:04d}.jpg", picture(number))
    clips.append({"clip_id": "run", "video": "run", "fps": 25.0, "n_frames": 2})
    frames = [frame("v", n, n) for n in (0, 5, 6, 700)] + [frame("run", n, n) for n in (0, 3, 4, 5)]
    write_tables(clips, [*frames, frame("v", -1, 9)])
    after, faults, _ = check(tmp_path)
    assert after.frames("v")["frame"].to_pylist() == [0, 5]
    assert after.frames("run")["frame"].to_pylist() == [3, 5]
    assert faults["frame"].tolist() == [6, 700, 0, 4, -1]
    assert faults["reason"][0] == "frame 6 lies outside the 6 frames of the video: correct the frame number"
    assert faults["reason"][3] == "there is no picture 4: restore it or correct the frame number"


def test_two_rows_for_a_frame(tmp_path: Path) -> None:
    write_tables(videos(tmp_path, "v", "w"), [frame("v", 1, 2), frame("w", 1, 3), frame("v", 1, 4), frame("v", 2, 5)])
    after, faults, _ = check(tmp_path)
    assert after.frames("v")["frame"].to_pylist() == [2]
    assert after.frames("w").num_rows == 1
    assert [place(fault) for _, fault in faults.iterrows()] == [
        ("frames", "labels.csv", 2, "v", 1),
        ("frames", "labels.csv", 4, "v", 1),
    ]
    assert faults["reason"][0] == "frame 1 has two rows, and none says which is right: keep one"


def test_label_file_with_a_missing_column(tmp_path: Path) -> None:
    write_bp4d(tmp_path / "bp4d")
    write_codes(tmp_path / "bp4d/AUCoding/AU_OCC/M002_T1.csv", [(1, {})], header=[h for h in OCC_HEADER if h != 24])
    ingest(DatasetConfig("bp4d", str(tmp_path / "bp4d")), "d", Path("ingested"))
    after, faults, result = check(tmp_path / "bp4d")
    assert after.clips["clip_id"].tolist() == ["F001/T1", "M002/T3"]
    assert place(faults.iloc[0]) == ("clips", "AUCoding/AU_OCC/M002_T1.csv", 1, "M002/T1", None)
    assert "has no column for AU24" in faults["reason"][0]
    assert result["quarantined_share"] == pytest.approx(1 / 3, abs=1e-5)


def test_values_out_of_range_and_coding(tmp_path: Path) -> None:
    rows = [
        frame("v", 0, 1, au12_intensity=5.0, au12_occurrence=1, yaw_rad=0.1),
        frame("v", 1, 2, au12_intensity=6.0),
        frame("v", 2, 3, au12_occurrence=9, au01_intensity=-1.0),
        frame("v", 3, 4, au12_intensity=float("nan")),
        frame("v", 4, 5, pitch_rad=float("inf")),
    ]
    clips = [*videos(tmp_path, "v"), *({**c, "emotion": "glee", "fps": 25.0} for c in videos(tmp_path, "w"))]
    write_tables(clips, rows)
    after, faults, result = check(tmp_path)
    assert after.frames("v")["frame"].to_pylist() == [0]
    by_row = dict(zip(faults["row"].fillna(0).astype(int), faults["reason"], strict=True))
    assert by_row[0].startswith("emotion is 'glee', not one of neutral, happiness")
    assert by_row[2] == "au12_intensity is 6, outside 0..5: correct it"
    assert by_row[3] == "au12_occurrence is 9, outside 0..1: correct it; au01_intensity is -1, outside 0..5: correct it"
    assert by_row[4].startswith("au12_intensity is NaN or infinite")
    assert "pitch_rad" in by_row[5]
    checked = {tuple(e["columns"]): e for e in result["tables"]["frames"]["expectations"]}
    assert (checked["au12_intensity",]["checked"], checked["au12_intensity",]["failed"]) == (2, 1)


def test_clip_rows(tmp_path: Path) -> None:
    good, twin, wrong_rate, wrong_size = videos(tmp_path, "a", "b", "c", "d")
    clips = [
        {**good, "subject": "p", "group": "train"},
        twin,
        {**twin, "video": "a.mp4"},
        {**wrong_rate, "fps": 30.0},
        {**wrong_size, "n_frames": 60},
        {**good, "clip_id": "e f"},
        {"clip_id": "g"},
        {**good, "clip_id": "h", "subject": "p", "group": "test"},
        {**good, "clip_id": "i", "subject": "q", "group": "test", "mother": "m"},
        {**good, "clip_id": "j", "subject": "m", "group": "judge"},
    ]
    write_tables(clips)
    after, faults, _ = check(tmp_path)
    assert after.clips["clip_id"].tolist() == ["j"]
    reasons = faults.groupby("clip_id")["reason"].first()
    assert "names several clips" in reasons["b"]
    assert reasons["c"] == "the frame rate is 25 in the file and 30 in the table: correct the table"
    assert reasons["d"] == "6 of 60 frames decode: copy the file again"
    assert "holds other signs" in reasons["e f"]
    assert reasons["g"] == "the clip names neither video, sound nor features: name one"
    assert reasons["a"] == reasons["h"]
    assert "p are in the groups test and train" in reasons["a"]
    assert "q and m are in the groups judge and test" in reasons["i"]


def test_one_speaker_may_be_in_several_groups(tmp_path: Path) -> None:
    read, tested = videos(tmp_path, "a", "b")
    write_tables([{**read, "subject": "p", "group": "train"}, {**tested, "subject": "p", "group": "test"}])
    after, faults, _ = check(tmp_path)
    assert after.clips["clip_id"].tolist() == ["a", "b"]
    assert faults.empty


def test_units(tmp_path: Path) -> None:
    clips = [{**clip, "duration_s": 0.24} for clip in videos(tmp_path, "v")]
    spans = [(0.0, 0.1), (0.2, 0.1), (0.1, 0.3), (0.1, 0.9), (-0.1, 0.1)]
    units = [
        {"clip_id": "v", "tier": "word", "start_s": a, "end_s": b, "label": "x", "source_file": "u", "source_row": n}
        for n, (a, b) in enumerate(spans)
    ]
    write_tables(clips, [], [*units, {**units[0], "clip_id": "none", "source_row": 9}, {**units[0], "tier": "tone"}])
    after, faults, _ = check(tmp_path)
    assert [u["end_s"] for u in after.units("v").to_pylist()] == [0.1, 0.3]
    assert faults["row"].tolist() == [1, 3, 4, 9, 0]
    assert "before it starts" in faults["reason"][0]
    assert "the unit ends at 0.9 s and the clip at 0.24 s" in faults["reason"][1]


def test_too_much_stops_with_one_sentence_and_a_list(tmp_path: Path) -> None:
    clips = videos(tmp_path, "a", "b", "c", "d")
    write_tables(clips, [frame("b", n, n) for n in (0, 1, 2, 99)])
    _, _, result = check(tmp_path, limit=0.07)
    assert result["quarantined_share"] == pytest.approx(0.25 / 4)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UserError) as error:
        validate(Path("ingested"), Path("valid"), tmp_path, "d", 0.07)
    sentence = str(error.value)
    assert sentence.startswith("datasets.d: 31.2 % of the clips are in quarantine, more than the 7.0 % that ")
    assert "a.mp4, is empty (0 bytes)" in sentence
    assert sentence.endswith("or raise the limit")
    assert "\n" not in sentence
    listed = pd.read_csv(".cache/vultus/d/quarantine.csv")
    assert listed["file"].tolist() == ["a.mp4", "labels.csv"]
    assert len(ClipTables("valid").clips) == 4, "the tables of the last good run stay"


def test_decoding_is_done_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = videos(tmp_path, "a", "b")
    write_tables(clips)
    check(tmp_path)
    assert "computing decoding/d: 2/2" in capsys.readouterr().err
    write_tables([*clips, *videos(tmp_path, "c")])
    check(tmp_path)
    assert "computing decoding/d: 1/1" in capsys.readouterr().err
    check(tmp_path)
    assert "computing" not in capsys.readouterr().err


def test_a_broken_picture_costs_its_frame(tmp_path: Path) -> None:
    write_bp4d(tmp_path / "bp4d")
    (tmp_path / "bp4d/F001/T1/0085.jpg").write_text("no picture")
    cut(tmp_path / "bp4d/F001/T1/0086.jpg", 0.5)
    records: list[Any] = [points_49() for _ in range(12)]
    records[2][5, 1] = np.nan
    write_tracked(tmp_path / "bp4d/2DFeatures/F001_T1.mat", records)
    ingest(DatasetConfig("bp4d", str(tmp_path / "bp4d")), "d", Path("ingested"))
    after, faults, _ = check(tmp_path / "bp4d")
    assert after.frames("F001/T1")["frame"].to_pylist() == [78, 79, 81, 82, 84, 87]
    assert [place(fault) for _, fault in faults.iterrows()] == [
        ("frames", "2DFeatures/F001_T1.mat", 3, "F001/T1", 80),
        ("frames", "AUCoding/AU_OCC/F001_T1.csv", 8, "F001/T1", 85),
        ("frames", "AUCoding/AU_OCC/F001_T1.csv", 9, "F001/T1", 86),
    ]
    assert faults["reason"][1].startswith("F001/T1/0085.jpg is not a picture")
