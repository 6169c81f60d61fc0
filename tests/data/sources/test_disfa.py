"""DISFA in its original layout: label line n belongs to frame n-1, landmark file n to frame n."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.data.miniatures import DISFA_UNITS, cut, write_disfa
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.disfa import POINTS_66_IN_68, read_points_66


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_disfa(tmp_path / "disfa")
    return tmp_path / "disfa"


def read(root: Path, **options: object) -> ClipTables:
    ingest(DatasetConfig("disfa", str(root), dict(options)), "disfa", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_clips_of_the_left_camera(root: Path) -> None:
    clips = read(root).clips
    assert clips["clip_id"].tolist() == ["SN001", "SN021"]
    assert clips["video"].tolist() == [f"Video_LeftCamera/LeftVideo{s}_comp.avi" for s in ("SN001", "SN021")]
    assert clips["fps"].tolist() == [20.0, 20.0]
    assert clips["n_frames"].tolist() == [12, 12]
    assert set(clips["view"]) == {"left"}


def test_intensity_counts_from_1_and_frames_from_0(root: Path) -> None:
    frames = read(root).frames("SN001").to_pandas()
    assert frames["frame"].tolist() == list(range(12))
    np.testing.assert_allclose(frames["time_s"], (np.arange(12) + 0.5) / 20)
    assert frames["au12_intensity"].tolist() == [(n + 12) % 6 for n in range(1, 13)]
    assert frames["au25_intensity"].tolist() == [(n + 25) % 6 for n in range(1, 13)]
    assert frames["au07_intensity"].isna().all()
    assert frames[[f"au{au:02d}_occurrence" for au in DISFA_UNITS]].isna().all().all()
    assert frames["source_row"].tolist() == list(range(1, 13))


def test_a_person_with_few_labels(root: Path) -> None:
    assert read(root).frames("SN021").num_rows == 5


def test_66_points_become_68(root: Path) -> None:
    frames = read(root).frames("SN001")
    assert [f for f, p in zip(range(12), frames["landmarks_68"].to_pylist(), strict=True) if p is None] == [3]
    points = np.array(frames["landmarks_68"][5].as_py(), np.float64).reshape(68, 2)
    assert sorted(set(range(68)) - set(POINTS_66_IN_68)) == [60, 64]
    assert np.isnan(points[[60, 64]]).all()
    k = np.arange(66)
    np.testing.assert_allclose(points[list(POINTS_66_IN_68)], np.stack([k / 2 + 5, k / 4], axis=1))


def test_label_files_at_fault(root: Path) -> None:
    labels = root / "ActionUnit_Labels"
    lines = (labels / "SN001/SN001_au4.txt").read_text().splitlines()
    lines[1] = "2,"
    lines[4] = "5,7"
    lines[7] = "7,0"
    (labels / "SN001/SN001_au4.txt").write_text("\n".join(lines))
    (labels / "SN021/SN021_au26.txt").unlink()
    tables = read(root)
    assert tables.clips["clip_id"].tolist() == ["SN001"]
    # Line 2 is broken, 5 out of range, 7 doubled (line 8 repeats it, so frame 8 has no AU4).
    frames = tables.frames("SN001").to_pandas()
    assert frames["frame"].tolist() == [0, 2, 3, 5, 7, 8, 9, 10, 11]
    assert frames.set_index("frame")["au04_intensity"].isna().tolist() == [f == 7 for f in frames["frame"]]
    faults = tables.quarantine()
    assert faults["file"].tolist() == ["ActionUnit_Labels/SN001/SN001_au4.txt"] * 4 + [
        "ActionUnit_Labels/SN021/SN021_au26.txt"
    ]
    assert faults["row"].fillna(-1).tolist() == [2, 7, 8, 5, -1]
    assert faults["frame"].fillna(-1).tolist() == [1, 6, 6, 4, -1]


def test_landmark_files_at_fault(root: Path) -> None:
    folder = root / "Landmark_Points/SN001/tmp_frame_lm"
    (folder / "SN001_0001_lm.mat").write_text("no MATLAB file")
    points = np.ones((66, 2))
    points[4, 0] = np.nan
    scipy.io.savemat(folder / "SN001_0002_lm.mat", {"pts": points})
    tables = read(root)
    assert tables.frames("SN001")["frame"].to_pylist() == [0, *range(3, 12)]
    assert tables.quarantine()["frame"].tolist() == [1, 2]
    assert tables.quarantine()["reason"].str.contains("is no MATLAB file|pts holds NaN").all()
    scipy.io.savemat(folder / "x.mat", {"pts": np.ones((68, 2))})
    with pytest.raises(ValueError, match="pts is 68 x 2"):
        read_points_66(folder / "x.mat")


def test_video_at_fault_or_absent(root: Path) -> None:
    cut(root / "Video_LeftCamera/LeftVideoSN001_comp.avi", 0.01)
    (root / "Video_LeftCamera/LeftVideoSN021_comp.avi").unlink()
    tables = read(root)
    assert tables.clips.empty
    faults = tables.quarantine()
    assert faults["file"].tolist() == ["Video_LeftCamera/LeftVideoSN001_comp.avi", "ActionUnit_Labels/SN021"]
