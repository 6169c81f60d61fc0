"""The crop stage: aligned pixels, landmarks, centres and labels of one frame stand in one row."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.stores import open_store
from vultus.data.tables import ACTION_UNITS
from vultus.face.alignment import alignment_matrix, transform_points
from vultus.face.crops import CropConfig, build_crops
from vultus.face.landmarks import biocular_distance, eye_centres
from vultus.face.locate import LandmarkConfig, build_landmarks
from vultus.face.regions import au_centres
from vultus.face.sheets import crop_sheet, draw_landmarks, spread_over_subjects, write_sheet


def build(data, **config):
    folder = data.root.parent
    located = build_landmarks(folder / "landmarks", data.tables, data.root, LandmarkConfig("annotated"), jobs=1)
    return build_crops(folder / "crops", data.tables, data.root, located, CropConfig(**config), jobs=1)


def test_rows_arrays_and_labels_of_one_frame_agree(toy_data):
    store = build(toy_data, size_px=100)
    assert store.rows["clip_id"].tolist() == ["a"] * 4 + ["b"]
    assert store.rows["frame"].tolist() == [3, 4, 5, 8, 0]
    assert store.rows["subject"].tolist() == ["s1"] * 4 + ["s2"]
    assert store.rows["group"].tolist() == ["train"] * 4 + ["test"]
    au12, au6 = ACTION_UNITS.index(12), ACTION_UNITS.index(6)
    assert store["au_occurrence"].dtype == np.int8
    assert store["au_occurrence"][:, au12].tolist() == [1, 0, 1, 0, -1]
    assert (np.delete(store["au_occurrence"], au12, axis=1) == -1).all()
    np.testing.assert_array_equal(store["au_intensity"][:, au6], np.float32([3, 4, 5, 8, np.nan]))
    assert np.isnan(np.delete(store["au_intensity"], au6, axis=1)).all()
    assert store.rows["occluded"].tolist()[:4] == [False, False, True, False]
    assert store.rows["occluded"].isna()[4]
    np.testing.assert_allclose(store.rows["yaw_rad"], [0.25] * 4 + [np.nan])


def test_pixels_and_points_are_those_of_the_alignment(toy_data):
    store = build(toy_data, size_px=100)
    points = toy_data.points["a", 5]
    matrix = alignment_matrix(points, 100)
    image = cv2.imread(str(toy_data.root / "a/0005.png"))[..., ::-1]
    expected = cv2.warpAffine(image, matrix, (100, 100), borderValue=(128, 128, 128))
    np.testing.assert_array_equal(store["face"][2], expected)
    aligned = transform_points(matrix, points)
    np.testing.assert_allclose(store["landmarks_68"][2], aligned, atol=1e-4)
    left, right = eye_centres(store["landmarks_68"])
    np.testing.assert_allclose(left[:, 1], right[:, 1], atol=1e-3)
    np.testing.assert_allclose(store["biocular_px"][2], biocular_distance(aligned), rtol=1e-5)
    for rule in ("jaa", "eac"):
        np.testing.assert_allclose(store[f"au_centres_{rule}"][2], au_centres(aligned, ACTION_UNITS, rule), atol=1e-3)


def test_frames_without_usable_landmarks_are_dropped_and_counted(toy_data):
    store = build(toy_data, size_px=64)
    assert store.meta["dropped"] == {"no face found": 2}
    dropped = store.table("dropped")
    assert dropped.values.tolist() == [["b", 2, "no face found"], ["b", 4, "no face found"]]
    assert open_store(store.folder).meta["dropped"] == store.meta["dropped"]


def test_every_third_frame(toy_data):
    assert build(toy_data, size_px=32, every_n_frames=3).rows["frame"].tolist() == [3, 8, 0]


def test_settings_are_checked():
    for wrong in ({"size_px": 4}, {"every_n_frames": 0}):
        with pytest.raises(UserError, match="must be at least"):
            section(CropConfig, wrong, "crops.d")


def test_sheet_shows_each_face_plain_and_drawn(toy_data):
    store = build(toy_data, size_px=100)
    sheet = crop_sheet(store, columns=4, rows=4, tile_px=80)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    first, drawn = sheet[6:86, 6:86], sheet[86:166, 6:86]
    assert np.abs(first.astype(int) - drawn).mean() > 1
    path = write_sheet(store)
    assert path == store.folder / "sheet.png"
    assert cv2.imread(str(path)) is not None


def test_drawing_skips_absent_points():
    image = np.zeros((50, 50, 3), np.uint8)
    points = np.full((68, 2), np.nan, np.float32)
    assert (draw_landmarks(image, points, (255, 0, 0)) == 0).all()
    points[30] = (20, 25)
    drawn = draw_landmarks(image, points, (255, 0, 0))
    assert drawn[25, 20, 0] > 200
    assert (image == 0).all()


def test_sheet_takes_each_person_and_no_frame_twice(toy_data):
    store = build(toy_data, size_px=32)
    assert spread_over_subjects(store, 2) == [2, 4]
    assert spread_over_subjects(store, 20) == [0, 1, 2, 3, 4]


def test_a_data_set_of_sounds_alone_ends_with_empty_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with TableWriter(tmp_path / "valid") as writer:
        writer.add("clips", [{"clip_id": "a", "dataset": "sounds", "subject": "s1", "audio": "a.wav"}])
    tables = ClipTables(tmp_path / "valid")
    located = build_landmarks(tmp_path / "landmarks", tables, tmp_path, LandmarkConfig(), jobs=1)
    store = build_crops(tmp_path / "crops", tables, tmp_path, located, CropConfig(size_px=32), jobs=1)
    assert len(located) == len(store) == 0
    assert store["face"].shape == (0, 32, 32, 3)
