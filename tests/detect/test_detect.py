"""From files to the table: what a row says, and that it does not depend on what else is read with it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.detect.conftest import Lookup, reader
from vultus.core.errors import UserError
from vultus.data.clips import write_clip
from vultus.data.media import probe, read_frames
from vultus.detect import detect, find_faces, read_in_batches
from vultus.detect.seen import SeenFrame
from vultus.face.detection import Face


def _numbers(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex="^(pose|x_|y_|AU|timestamp|frame|face_id|success)").to_numpy(float)


def test_every_face_has_a_row_and_a_frame_without_one_says_so(pictures: tuple[Path, Lookup], tmp_path: Path) -> None:
    folder, detector = pictures
    done = detect([folder], reader(), detector, tmp_path / "out/aus.csv")
    table = pd.read_csv(tmp_path / "out/aus.csv")
    assert (done.frames, done.faces, done.without_face) == (7, 7, 1)
    assert table["frame"].tolist() == [1, 2, 3, 4, 5, 6, 7, 7]
    assert table["face_id"].tolist() == [0, 0, -1, 0, 0, 0, 0, 1]
    assert table["success"].tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(table["timestamp"], np.array([0, 1, 2, 3, 4, 5, 6, 6]) / 25, atol=1e-3)
    missed = table[table["success"] == 0].iloc[0]
    assert missed["confidence"] == 0
    assert missed.filter(regex="^(pose|x_|y_|AU)").isna().all()
    found = table[table["success"] == 1]
    assert found.notna().all(axis=None)
    assert found["AU12_p"].nunique() == len(found)  # the toy network tells the faces apart
    first = read_first_face(folder, detector)
    np.testing.assert_allclose(table.loc[0, "x_0":"x_67"].astype(float), first.landmarks_68[:, 0], atol=0.006)
    np.testing.assert_allclose(table.loc[0, "y_0":"y_67"].astype(float), first.landmarks_68[:, 1], atol=0.006)


def read_first_face(folder: Path, detector: Lookup) -> Face:
    _, _, rgb = next(iter(read_frames(folder)))
    return detector.detect(rgb)[0]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_alone_in_a_batch_or_in_a_stream_a_frame_gives_the_same_numbers(
    pictures: tuple[Path, Lookup], tmp_path: Path, batch_size: int
) -> None:
    folder, detector = pictures
    read = reader()
    detect([folder], read, detector, tmp_path / "clip.csv", batch_size=16)
    detect([folder], read, detector, tmp_path / "stream.csv", batch_size=batch_size)
    clip, stream = (pd.read_csv(tmp_path / name) for name in ("clip.csv", "stream.csv"))
    np.testing.assert_allclose(_numbers(stream), _numbers(clip), atol=2e-4)
    alone = tmp_path / "alone.png"
    shutil.copy(folder / "05.png", alone)
    detect([alone], read, detector, tmp_path / "alone.csv")
    units = [column for column in clip if str(column)[:2] in ("AU", "x_", "y_", "po")]
    of_clip = clip.loc[clip["frame"] == 5, units].to_numpy(float)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "alone.csv")[units].to_numpy(float), of_clip, atol=2e-4)


def test_no_more_frames_are_held_than_a_batch(pictures: tuple[Path, Lookup]) -> None:
    folder, detector = pictures
    taken = 0

    def counted(frames: Iterator[SeenFrame]) -> Iterator[SeenFrame]:
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    read, given = reader(), 0
    for frame in read_in_batches(counted(find_faces(folder, read.aligned_px, detector, None)), read, 2):
        given += 1
        assert taken - given < 2
        assert all(face.reading is not None for face in frame.faces)
    assert given == 7


def test_several_inputs_share_a_table_and_each_starts_anew(pictures: tuple[Path, Lookup], tmp_path: Path) -> None:
    folder, detector = pictures
    single = tmp_path / "face.png"
    shutil.copy(folder / "01.png", single)
    detect([single, folder, single], reader(), detector, tmp_path / "aus.csv")
    table = pd.read_csv(tmp_path / "aus.csv")
    assert table["input"].tolist() == [str(single), *[str(folder)] * 8, str(single)]
    assert table.iloc[[0, 1, -1]]["face_id"].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(_numbers(table.iloc[[0]]), _numbers(table.iloc[[-1]]))


class Still:
    """A detector that sees the same face in every frame."""

    method = "still"

    def __init__(self, face: Face) -> None:
        self._face = face

    def detect(self, rgb: np.ndarray) -> list[Face]:
        return [self._face]

    def track(self, rgb: np.ndarray, first: bool) -> list[Face]:
        raise AssertionError("each frame must be searched anew")


def test_a_video_has_its_own_clock_and_the_film_its_length(pictures: tuple[Path, Lookup], tmp_path: Path) -> None:
    folder, detector = pictures
    frames = np.stack([rgb for _, _, rgb in read_frames(folder)])
    video, film = tmp_path / "face.mp4", tmp_path / "drawn.mp4"
    write_clip(video, frames, fps=10)
    detect([video], reader(), Still(read_first_face(folder, detector)), tmp_path / "aus.csv", film=film)
    table = pd.read_csv(tmp_path / "aus.csv")
    np.testing.assert_allclose(table["timestamp"], np.arange(7) / 10, atol=1e-3)
    drawn = probe(film)
    assert (drawn.n_frames, drawn.fps, drawn.width, drawn.height) == (7, 10, 960, 480)


def test_a_video_that_breaks_off_keeps_its_rows(pictures: tuple[Path, Lookup], tmp_path: Path) -> None:
    folder, detector = pictures
    (folder / "06.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"06\.png is not a picture"):
        detect([folder], reader(), detector, tmp_path / "aus.csv")
    with (tmp_path / "aus.csv").open() as file:
        assert [row["frame"] for row in csv.DictReader(file)] == ["1", "2", "3", "4", "5"]


def test_what_cannot_be_read_is_one_sentence_before_any_work(pictures: tuple[Path, Lookup], tmp_path: Path) -> None:
    folder, detector = pictures
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.mp4").touch()
    out = tmp_path / "aus.csv"
    for given, sentence in {
        "gone.mp4": "gone.mp4 is missing",
        "notes.txt": "no video and no picture",
        "empty": "holds no numbered picture",
        "empty.mp4": "is empty",
    }.items():
        with pytest.raises(UserError, match=sentence):
            detect([tmp_path / given], reader(), detector, out)
    with pytest.raises(UserError, match="no input"):
        detect([], reader(), detector, out)
    with pytest.raises(UserError, match=r"must end in \.mp4"):
        detect([folder], reader(), detector, out, film=tmp_path / "film.avi")
    picture = folder / "01.png"
    with pytest.raises(UserError, match="is an input"):
        detect([picture], reader(), detector, picture)
    assert len(picture.read_bytes()) > 1000
