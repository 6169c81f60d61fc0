"""RAVDESS: seven numbers in the name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.data.miniatures import write_wav
from tests.data.sources.test_emodb import tone
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("03-01-05-02-01-02-03", "03-01-01-01-02-01-24", "03-02-02-01-01-01-03"):
        folder = tmp_path / "ravdess" / f"Actor_{name[-2:]}"
        folder.mkdir(parents=True, exist_ok=True)
        write_wav(folder / f"{name}.wav", tone())
    return tmp_path / "ravdess"


def read(root: Path, **options: object) -> ClipTables:
    ingest(DatasetConfig("ravdess", str(root), dict(options)), "ravdess", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_speech_alone_by_default(root: Path) -> None:
    clips = read(root).clips
    assert clips["clip_id"].tolist() == ["03-01-01-01-02-01-24", "03-01-05-02-01-02-03"]
    assert clips["subject"].tolist() == ["24", "03"]
    assert clips["sex"].tolist() == ["female", "male"]
    assert clips["emotion"].tolist() == ["neutral", "anger"]
    assert clips["transcript"].tolist() == ["dogs are sitting by the door", "kids are talking by the door"]
    assert clips["session"].tolist() == ["speech, normal, take 1", "speech, strong, take 2"]


def test_songs_where_they_are_asked_for(root: Path) -> None:
    clips = read(root, channels=["song"]).clips
    assert clips["emotion"].tolist() == ["calm"]


def test_a_second_copy_is_passed_over(root: Path) -> None:
    copy = root / "audio_speech_actors_01-24" / "Actor_24"
    copy.mkdir(parents=True)
    write_wav(copy / "03-01-01-01-02-01-24.wav", tone())
    tables = read(root)
    assert len(tables.clips) == 2
    assert tables.quarantine().empty


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01", "03-01-01-02-01-01-01", "03-01-05-01-01-01-25", "03-01-05"])
def test_what_is_named_otherwise_is_left_out(root: Path, name: str) -> None:
    write_wav(root / "Actor_03" / f"{name}.wav", tone())
    tables = read(root)
    assert len(tables.clips) == 2
    assert tables.quarantine()["file"].tolist() == [f"Actor_03/{name}.wav"]


def test_recorded_files_with_the_original_names() -> None:
    real = Path(os.environ.get("VULTUS_REAL", "../shared/real")) / "speech_emotion" / "ravdess_3s"
    if not real.is_dir():
        pytest.skip("the folder of recorded examples is not there")
    from vultus.data.sources.ravdess import Options
    from vultus.data.sources.ravdess import read as read_folder

    clips = [rows.clip for rows in read_folder(real, Options())]
    assert [clip["emotion"] for clip in clips if clip] == ["neutral", "happiness", "anger"]
    assert {clip["subject"] for clip in clips if clip} == {"01"}
