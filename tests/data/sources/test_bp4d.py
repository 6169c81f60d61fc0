"""BP4D in its original layout: every irregularity that the layout has, on a miniature tree in the true formats."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.miniatures import OCC_HEADER, points_49, write_bp4d, write_codes, write_intensities, write_tracked
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.bp4d import POINTS_49_IN_68, read_tracked_points


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_bp4d(tmp_path / "bp4d")
    return tmp_path / "bp4d"


def read(root: Path, **options: object) -> ClipTables:
    ingest(DatasetConfig("bp4d", str(root), dict(options)), "bp4d", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_clips(root: Path) -> None:
    clips = read(root).clips.set_index("clip_id")
    assert clips.index.tolist() == ["F001/T1", "M002/T1", "M002/T3"]
    assert clips["subject"].tolist() == ["F001", "M002", "M002"]
    assert clips["sex"].tolist() == ["female", "male", "male"]
    assert clips["emotion"].tolist() == ["happiness", "happiness", "surprise"]
    assert clips["n_frames"].tolist() == [11, 6, 6]
    assert clips.loc["F001/T1", ["video", "fps", "width_px", "height_px", "dataset"]].tolist() == [
        "F001/T1", 25.0, 48, 36, "bp4d",
    ]  # fmt: skip
    assert read(root, emotions=False).clips["emotion"].isna().all()


def test_codes_with_nines_gaps_and_windows_line_ends(root: Path) -> None:
    frames = read(root).frames("F001/T1").to_pandas()
    assert frames["frame"].tolist() == [78, 79, 80, 81, 82, 84, 85, 86, 87]
    np.testing.assert_allclose(frames["time_s"], (frames["frame"] - 78 + 0.5) / 25)
    assert (frames["au01_occurrence"] == 1).all()
    assert frames["au02_occurrence"].isna().all()
    assert frames["au06_occurrence"].tolist() == [n % 2 for n in frames["frame"]]
    assert frames["au12_occurrence"].isna().tolist() == [n == 80 for n in frames["frame"]]
    assert frames["au25_occurrence"].isna().all()
    assert frames["au06_intensity"].fillna(-1).tolist() == [-1 if n == 79 else n % 6 for n in frames["frame"]]
    assert frames["au10_intensity"].isna().all()
    assert set(frames["source_file"]) == {"AUCoding/AU_OCC/F001_T1.csv"}
    assert frames["source_row"].tolist() == list(range(2, 11))
    assert read(root).frames("M002/T3").num_rows == 0


def test_tracked_points_become_68_with_gaps_counted(root: Path) -> None:
    frames = read(root).frames("F001/T1")
    landmarks = dict(zip(frames["frame"].to_pylist(), frames["landmarks_68"].to_pylist(), strict=True))
    assert [n for n, points in landmarks.items() if points is None] == [79]
    points = np.array(landmarks[84], np.float64).reshape(68, 2)
    absent = sorted(set(range(68)) - set(POINTS_49_IN_68))
    assert absent == [*range(17), 60, 64]
    assert np.isnan(points[absent]).all()
    # Record 6 (from 0) belongs to number 84 although picture 83 is missing; MATLAB's 1 is pixel 0.
    np.testing.assert_allclose(points[list(POINTS_49_IN_68)], points_49(6.0) - 1)
    shifted = read(root, landmark_origin=0).frames("F001/T1")["landmarks_68"][0].as_py()
    assert shifted[34] == landmarks[78][34] + 1


def test_49_points_are_the_published_subset() -> None:
    at = dict(enumerate(POINTS_49_IN_68))
    assert len(at) == 49
    assert [at[k] for k in (0, 9, 10, 13, 14, 18, 19, 24, 25, 30, 31, 34, 37, 40, 42, 43, 45, 46, 48)] == [
        17, 26, 27, 30, 31, 35, 36, 41, 42, 47, 48, 51, 54, 57, 59, 61, 63, 65, 67,
    ]  # fmt: skip


def test_single_and_foreign_tracker_files(tmp_path: Path) -> None:
    write_tracked(tmp_path / "one.mat", [points_49()])
    np.testing.assert_array_equal(read_tracked_points(tmp_path / "one.mat")[0], points_49())
    with h5py.File(tmp_path / "bare.mat", "w") as file:  # a struct of one element holds the array itself
        file.create_group("fit").create_dataset("pred", data=points_49())
    np.testing.assert_array_equal(read_tracked_points(tmp_path / "bare.mat")[0], points_49())
    write_tracked(tmp_path / "wide.mat", [np.zeros((66, 2), np.float32)])
    with pytest.raises(ValueError, match="record 1 is 66 x 2"):
        read_tracked_points(tmp_path / "wide.mat")


def test_tracker_file_that_does_not_fit_is_set_aside(root: Path) -> None:
    write_tracked(root / "2DFeatures/M002_T1.mat", [points_49()] * 4)
    (root / "2DFeatures/F001_T1.mat").write_text("no HDF5")
    tables = read(root)
    faults = tables.quarantine().set_index("clip_id")
    assert "4 records for 6 pictures" in faults.loc["M002/T1", "reason"]
    assert faults.loc["F001/T1", "file"] == "2DFeatures/F001_T1.mat"
    frames = tables.frames("M002/T1")
    assert frames.num_rows == 6
    assert frames["landmarks_68"].null_count == 6


def test_missing_column_leaves_the_clip_out_and_the_run_goes_on(root: Path) -> None:
    header = [au for au in OCC_HEADER if au != 12]
    write_codes(root / "AUCoding/AU_OCC/F001_T1.csv", [(78, {})], header=header)
    tables = read(root)
    assert tables.clips["clip_id"].tolist() == ["M002/T1", "M002/T3"]
    (fault,) = tables.quarantine().to_dict("records")
    assert (fault["file"], fault["row"], fault["clip_id"]) == ("AUCoding/AU_OCC/F001_T1.csv", 1, "F001/T1")
    assert "has no column for AU12" in fault["reason"]


def test_lines_that_cannot_be_read(root: Path) -> None:
    path = root / "AUCoding/AU_OCC/M002_T1.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("0", "x", 1)
    lines[3] = lines[3].rsplit(",", 2)[0]
    lines[4] = lines[4].replace(",1,", ",3,", 1)
    path.write_text("\n".join(lines))
    write_intensities(root / "AUCoding/AU_INT/AU12/M002_T1_AU12.csv", [(1, 2), (1, 3), (2, 7), (6, 4)])
    tables = read(root)
    frames = tables.frames("M002/T1").to_pandas()
    assert frames["frame"].tolist() == [1, 5, 6]
    assert frames["au12_intensity"].fillna(-1).tolist() == [-1, -1, 4]
    faults = tables.quarantine().sort_values(["file", "row"])
    assert faults[["file", "row"]].to_numpy().tolist() == [
        ["AUCoding/AU_INT/AU12/M002_T1_AU12.csv", 1],
        ["AUCoding/AU_INT/AU12/M002_T1_AU12.csv", 2],
        ["AUCoding/AU_INT/AU12/M002_T1_AU12.csv", 3],
        ["AUCoding/AU_OCC/M002_T1.csv", 3],
        ["AUCoding/AU_OCC/M002_T1.csv", 4],
        ["AUCoding/AU_OCC/M002_T1.csv", 5],
    ]


def test_frames_that_only_an_intensity_file_has(root: Path) -> None:
    write_intensities(root / "AUCoding/AU_INT/AU12/M002_T1_AU12.csv", [(5, 2), (6, 3), (7, 4)])
    frames = read(root).frames("M002/T1").to_pandas()
    assert frames["frame"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    last = frames.iloc[-1]
    assert (last["au12_intensity"], last["source_row"]) == (4.0, 3)
    assert last["source_file"].endswith("AU12.csv")
    assert np.isnan(last["au17_occurrence"])


def test_codes_without_pictures_and_strange_names(root: Path) -> None:
    write_codes(root / "AUCoding/AU_OCC/F009_T2.csv", [(1, {})])
    write_codes(root / "AUCoding/AU_OCC/summary.csv", [(1, {})])
    faults = read(root).quarantine()
    assert sorted(faults["file"]) == ["AUCoding/AU_OCC/F009_T2.csv", "AUCoding/AU_OCC/summary.csv"]


def test_the_layout_of_fera_2015(tmp_path: Path) -> None:
    write_bp4d(tmp_path / "bp4d")
    (tmp_path / "bp4d/AUCoding/AU_OCC/F001_T1.csv").rename(tmp_path / "bp4d/AUCoding/F001_T1.csv")
    (tmp_path / "bp4d/AU-Intensity-Codes3.0/AU06").mkdir(parents=True)
    (tmp_path / "bp4d/AUCoding/AU_INT/AU06/F001_T1_AU06.csv").rename(
        tmp_path / "bp4d/AU-Intensity-Codes3.0/AU06/F001_T1_AU06.csv"
    )
    frames = read(tmp_path / "bp4d").frames("F001/T1").to_pandas()
    assert len(frames) == 9
    assert frames["au06_intensity"].notna().sum() == 8


def test_wrong_settings_are_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="options has no key 'actionunits'; known keys: action_units"):
        read(root, actionunits=[1])
    with pytest.raises(UserError, match=r"which is no folder: place the data there as data/README\.md says"):
        ingest(DatasetConfig("bp4d", str(tmp_path / "none")), "bp4d", tmp_path / "t")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds nothing that source 'bp4d' reads"):
        ingest(DatasetConfig("bp4d", str(tmp_path / "empty")), "bp4d", tmp_path / "t")
    with pytest.raises(UserError, match=r"known sources: bp4d, cremad, disfa, emodb, .*, world"):
        ingest(DatasetConfig("bp5d", str(root)), "bp4d", tmp_path / "t")
