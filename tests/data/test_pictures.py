"""The store of labelled pictures, from files on disk through ingest and validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from tests.data.miniatures import picture, write_picture
from tests.data.sources.test_image_folders import write_office
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.pictures import PicturesConfig, build_pictures
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.rows import landmark_column
from vultus.data.validation import validate
from vultus.face.alignment import BOX_FACTOR


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def valid_tables(root: Path, source: str) -> ClipTables:
    ingest(DatasetConfig(source=source, root=str(root)), "d", Path("ingested"))
    validate(Path("ingested"), Path("valid"), root, "d", 0.0)
    return ClipTables("valid")


def test_pictures_keep_domain_and_class(tmp_path: Path) -> None:
    root = tmp_path / "office"
    write_office(root)
    store = build_pictures(Path("s/pictures"), valid_tables(root, "image_folders"), root, PicturesConfig(20), jobs=1)
    assert store["picture"].shape == (8, 20, 20, 3)
    assert store["picture"].dtype == np.uint8
    assert store.rows.columns.tolist() == ["clip_id", "frame", "domain", "label", "subject"]
    assert store.rows["domain"].tolist() == ["amazon"] * 4 + ["webcam"] * 4
    assert store.rows["label"].tolist() == ["bike", "bike", "mug", "mug"] * 2
    assert store.rows["subject"].isna().all()
    assert store.meta["labels"] == ["bike", "mug"]
    # the red channel tells the class: miniatures.picture
    assert abs(float(store["picture"][2, ..., 0].mean()) - 15) < 4


def test_features_go_the_same_way(tmp_path: Path) -> None:
    root = tmp_path / "digits"
    root.mkdir()
    feature = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    np.savez(root / "d.npz", a=feature[:3], a_label=[1, 2, 1], b=feature[3:], b_label=[2, 1])
    tables = valid_tables(root, "feature_files")
    store = build_pictures(Path("s/pictures"), tables, root, PicturesConfig(), jobs=1)
    np.testing.assert_array_equal(store["feature"], feature)
    assert store.rows["domain"].tolist() == ["a", "a", "a", "b", "b"]
    assert store.rows["label"].tolist() == ["1", "2", "1", "2", "1"]
    only = build_pictures(Path("s/one"), tables, root, PicturesConfig(domains=("b",)), jobs=1)
    np.testing.assert_array_equal(only["feature"], feature[3:])


# A face in units of its eyes' distance around its centre: five points of it have to be right.
EYES, NOSE, MOUTH = ((-0.5, -0.5), (0.5, -0.5)), (0.0, 0.1), ((-0.3, 0.5), (0.3, 0.5))


def face_points(centre: tuple[float, float], eyes_px: float, turn_rad: float) -> npt.NDArray[np.float64]:
    """(68, 2) px of a face that is turned in the picture's plane."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = EYES
    points[30] = NOSE
    points[48], points[54] = MOUTH
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    return np.asarray(eyes_px * points @ np.array([[cosine, sine], [-sine, cosine]]) + centre)


def write_face_clip(root: Path) -> None:
    """A folder of three numbered pictures; the second has no landmarks, and a white spot is the third's turned nose."""
    points = np.full((3, 68, 2), np.nan)
    points[0], points[2] = face_points((20, 20), 10, 0.0), face_points((38, 40), 10, 0.5)
    x, y = np.round(points[2, 30]).astype(int)
    for number in range(3):
        rgb = picture(number, 60, 60)
        rgb[y - 2 : y + 3, x - 2 : x + 3] = (255, 255, 255)
        write_picture(root / f"face/{number}.png", rgb)
    rows: list[dict[str, Any]] = [
        {"clip_id": "face", "frame": n, "source_file": "x", "source_row": n} for n in range(3)
    ]
    with TableWriter("valid") as writer:
        writer.add("clips", [{
            "clip_id": "face", "dataset": "d", "video": "face", "n_frames": 3, "domain": "photo", "emotion": "fear",
            "kind": "posed", "subject": "p1",
        }])  # fmt: skip
        column = landmark_column(points)
        writer.add("frames", [{**row, "landmarks_68": column[i].as_py()} for i, row in enumerate(rows)])
    assert pa.types.is_list(column.type)


def test_faces_are_aligned_by_their_landmarks(tmp_path: Path) -> None:
    """The turned face's nose comes to lie on the vertical middle, a tenth of the eyes' distance below the centre."""
    write_face_clip(tmp_path)
    config = PicturesConfig(32, kinds=("posed",), label="emotion", cut="face", per_clip=2)
    store = build_pictures(Path("s/pictures"), ClipTables("valid"), tmp_path, config, jobs=1)
    assert store.rows[["frame", "label", "subject"]].to_numpy().tolist() == [[0, "fear", "p1"], [2, "fear", "p1"]]
    white = (store["picture"][1] > 225).all(axis=-1)
    eyes_px = (32 - 1) / BOX_FACTOR  # of the five points' box the eyes are the width, and as wide as it is high
    assert np.argwhere(white).mean(axis=0) == pytest.approx((15.5 + 0.1 * eyes_px, 15.5), abs=1.0)


def test_nothing_to_take_is_an_error(tmp_path: Path) -> None:
    write_face_clip(tmp_path)
    with pytest.raises(UserError, match="no clip has a domain and a label"):
        build_pictures(Path("s/pictures"), ClipTables("valid"), tmp_path, PicturesConfig(), jobs=1)
