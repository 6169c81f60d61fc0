"""A user's own folder: what becomes a clip, what it is called, and which side files it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.miniatures import picture, write_picture, write_video, write_wav
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.folder import read_pts


def read(root: Path, **options: object) -> ClipTables:
    ingest(DatasetConfig("folder", str(root), dict(options)), "mine", root.parent / "tables")
    return ClipTables(root.parent / "tables")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def test_every_kind_in_any_nesting(root: Path) -> None:
    write_video(root / "anna/a talk (1).mp4", [picture(n) for n in range(5)], 25, tone_hz=300)
    write_video(root / "anna/mute.mp4", [picture(0)] * 4, 30)
    write_wav(root / "anna/mute.wav", np.zeros(16_000))
    write_picture(root / "b/c/d/Face.PNG", picture(3))
    write_wav(root / "hello.wav", np.zeros(8_000), 8_000)
    for number in (1, 2, 4):
        write_picture(root / f"run/{number:04d}.jpg", picture(number))
    (root / "anna/notes.txt").write_text("no media")
    (root / ".hidden.png").write_text("no media")
    clips = read(root, licence="own").clips.set_index("clip_id")
    assert clips.index.tolist() == ["anna/a_talk__1_", "anna/mute", "b/c/d/Face", "hello", "run"]
    assert clips["kind"].tolist() == ["video", "video", "picture", "sound", "pictures"]
    assert clips["n_frames"].fillna(-1).tolist() == [5, 4, 1, -1, 3]
    assert clips["fps"].fillna(-1).tolist() == [25, 30, -1, -1, -1]
    assert clips["audio"].fillna("").tolist() == ["anna/a talk (1).mp4", "anna/mute.wav", "", "hello.wav", ""]
    assert clips["sample_rate_hz"].fillna(-1).tolist() == [44_100, 16_000, -1, 8_000, -1]
    assert clips["video"].fillna("").tolist()[-3:] == ["b/c/d/Face.PNG", "", "run"]
    assert clips["subject"].isna().all()
    assert set(clips["licence"]) == {"own"}
    people = read(root, subject_from="folder").clips["subject"].fillna("").tolist()
    assert people == ["anna", "anna", "d", "", ""]


def test_names_that_collide_get_their_suffix(root: Path) -> None:
    write_picture(root / "x.png", picture(1))
    write_picture(root / "x.jpg", picture(1))
    write_wav(root / "x.wav", np.zeros(800))
    write_picture(root / "y 1.png", picture(1))
    write_picture(root / "y_1.png", picture(1))
    clips = read(root).clips
    assert sorted(clips["clip_id"]) == ["x_jpg", "x_png", "x_wav", "y_1_png", "y_1_png_2"]
    assert clips["audio"].notna().sum() == 1


def test_grid_word_times(root: Path) -> None:
    for talker in ("s1", "s2"):
        write_video(root / f"video/{talker}/bbaf2n.mpg", [picture(0, 64, 48)] * 5, 25, codec="mpeg1video")
    (root / "alignments/s2").mkdir(parents=True)
    (root / "alignments/s2/bbaf2n.align").write_bytes(
        b"0 1000 sil\r\n1000 2500 Bin\r\n2500 3000 sp\r\n3000 5000 blue \r\n"
    )
    tables = read(root, subject_from="folder")
    assert tables.clips["subject"].tolist() == ["s1", "s2"]
    assert tables.clips["transcript"].fillna("").tolist() == ["", "bin blue"]
    units = tables.units("video/s2/bbaf2n").to_pylist()
    assert [(u["label"], u["start_s"], u["end_s"], u["source_row"]) for u in units] == [
        ("bin", 0.04, 0.1, 2),
        ("blue", 0.12, 0.2, 4),
    ]
    assert tables.units("video/s1/bbaf2n").num_rows == 0


def test_broken_word_times_leave_the_words_out(root: Path) -> None:
    write_wav(root / "a.wav", np.zeros(16_000))
    (root / "a.align").write_text("0 1000 sil\n1000 blue\n")
    (root / "b.align").write_text("0 1000 sil\n")
    tables = read(root)
    assert tables.clips["transcript"].isna().all()
    faults = tables.quarantine()
    assert faults["file"].tolist() == ["b.align", "a.align"]
    assert faults["row"].fillna(-1).tolist() == [-1, 2]
    assert faults["clip_id"].fillna("").tolist() == ["", "a"]


def test_landmark_files_count_from_1(root: Path) -> None:
    write_picture(root / "p.png", picture(1))
    points = np.stack([np.arange(68) / 2 + 1, np.arange(68) / 4 + 2], axis=1)
    body = "\n".join(f"{x} {y}" for x, y in points)
    (root / "p.pts").write_text(f"version: 1\nn_points: 68\n{{\n{body}\n}}\n")
    np.testing.assert_allclose(read_pts(root / "p.pts"), points - 1)
    row = read(root).frames("p").to_pylist()[0]
    assert row["frame"] == 0
    np.testing.assert_allclose(np.reshape(row["landmarks_68"], (68, 2)), points - 1)
    (root / "p.pts").write_text(f"version: 1\n{{\n{body.replace('1.0 2.0', 'nan 2.0', 1)}\n}}\n")
    tables = read(root)
    assert len(tables.clips) == 1
    assert tables.frames("p").num_rows == 0
    assert "NaN" in tables.quarantine()["reason"][0]


def test_options_are_checked(root: Path) -> None:
    root.mkdir()
    with pytest.raises(UserError, match=r"options\.subject_from is 'name'; it must be one of 'none', 'folder'"):
        read(root, subject_from="name")
