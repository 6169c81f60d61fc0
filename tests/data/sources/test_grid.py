from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.miniatures import picture, write_video
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.grid import SLOTS, sentence

REAL = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[3] / "../shared/real")) / "grid"
ALIGN = (
    "0 12250 sil\n12250 19250 bin\n19250 27250 blue\n27250 30500 at\n30500 36000 f\n36000 37000 sp\n37000 43250 two\n\
43250 55250 now\n55250 74500 sil\n"
)


def write(root: Path, name: str, n_frames: int = 75) -> Path:
    path = root / name
    write_video(path, [picture(0, 64, 48)] * n_frames, 25, codec="mpeg1video")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "grid"
    write(root, "video/s1/bbaf2n.mpg")
    write(root, "video/s10/swwp2s.mpg", 74)
    (root / "alignments/s1").mkdir(parents=True)
    (root / "alignments/s1/bbaf2n.align").write_text(ALIGN)
    return root


def read(root: Path, **options: Any) -> ClipTables:
    ingest(DatasetConfig("grid", str(root), options), "grid", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_a_name_is_a_sentence() -> None:
    assert sentence("bbaf2n") == "bin blue at f two now"
    assert sentence("pgIzzA") == "place green in z zero again"
    assert [len(words) for words in SLOTS] == [4, 4, 4, 25, 10, 4]
    assert len({word for words in SLOTS for word in words.values()}) == 51


@pytest.mark.parametrize(("code", "message"), [("bbaf2", "not six"), ("bbaw2n", "'w' at place 4"), ("bbaf0n", "'0'")])
def test_other_names_are_no_sentences(code: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sentence(code)


def test_clips_and_their_words(root: Path) -> None:
    tables = read(root)
    assert tables.clips["clip_id"].tolist() == ["s1_bbaf2n", "s10_swwp2s"]
    assert tables.clips["subject"].tolist() == ["s1", "s10"]
    assert tables.clips["transcript"].tolist() == ["bin blue at f two now", "set white with p two soon"]
    assert tables.clips["n_frames"].tolist() == [75, 74]
    units = tables.units("s1_bbaf2n").to_pylist()
    assert [unit["label"] for unit in units] == ["bin", "blue", "at", "f", "two", "now"]
    np.testing.assert_allclose([units[0]["start_s"], units[-1]["end_s"]], [0.49, 2.21])
    assert [unit["source_row"] for unit in units] == [2, 3, 4, 5, 7, 8]
    assert tables.units("s10_swwp2s").num_rows == 0
    assert len(tables.quarantine()) == 0


def test_the_other_way_to_unpack_it(tmp_path: Path) -> None:
    root = tmp_path / "grid"
    write(root, "s2/video/mpg_6000/bbaf2n.mpg")
    assert read(root).clips["subject"].tolist() == ["s2"]


def test_some_talkers(root: Path) -> None:
    assert read(root, talkers=["s10"]).clips["clip_id"].tolist() == ["s10_swwp2s"]


def test_defects_are_set_aside(root: Path) -> None:
    write(root, "video/s1/lgbl9p.mpg", 60)
    write(root, "video/s1/nonsense.mpg")
    (root / "video/s1/pwijzs.mpg").write_bytes(b"\0" * 200)
    (root / "alignments/s1/sbig1a.align").write_text(ALIGN)
    tables = read(root)
    assert tables.clips["clip_id"].tolist() == ["s1_bbaf2n", "s10_swwp2s"]
    faults = tables.quarantine().set_index("clip_id")["reason"]
    assert "has 60 frames of 75" in faults["s1_lgbl9p"]
    assert "is not six characters: give the file its original name" in faults["s1_nonsense"]
    assert "no video of that name" in faults["s1_sbig1a"]
    assert faults["s1_pwijzs"]


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("0 1000 sil\n1000 blue\n", 2, "not 'start end word'"),
        (ALIGN.replace("blue", "red"), -1, "'bin red at f two now'"),
    ],
)
def test_word_times_that_are_wrong_are_left_out(root: Path, text: str, row: int, message: str) -> None:
    (root / "alignments/s1/bbaf2n.align").write_text(text)
    tables = read(root)
    assert len(tables.clips) == 2
    assert tables.clips["transcript"][0] == "bin blue at f two now"
    assert tables.units("s1_bbaf2n").num_rows == 0
    fault = tables.quarantine().fillna({"row": -1}).iloc[0]
    assert (fault["row"], fault["table"]) == (row, "units")
    assert message in fault["reason"]


def test_recorded_clips(tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"the recorded GRID clips are not here: set VULTUS_REAL (looked in {REAL})")
    (tmp_path / "grid/video/s1").mkdir(parents=True)
    (tmp_path / "grid/alignments/s1").mkdir(parents=True)
    for path in REAL.glob("*.mpg"):
        shutil.copy(path, tmp_path / "grid/video/s1" / path.name)
    for path in REAL.glob("*.align"):
        shutil.copy(path, tmp_path / "grid/alignments/s1" / path.name)
    tables = read(tmp_path / "grid")
    assert tables.clips["transcript"].tolist() == ["bin blue at f two now", "set white with p two soon"]
    assert tables.clips["n_frames"].tolist() == [75, 75]
    assert tables.clips["audio"].notna().all()
    assert tables.units("s1_swwp2s").num_rows == 6
    assert len(tables.quarantine()) == 0
