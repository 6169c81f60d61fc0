"""The Berlin database in its original layout: the name says everything."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.miniatures import write_wav
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest


def tone(seconds: float = 0.5) -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * 150 * np.arange(round(16_000 * seconds)) / 16_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "emodb" / "wav"
    folder.mkdir(parents=True)
    for name in ("03a01Fa", "08b10Lc", "16a05Ta", "13b03Wd"):
        write_wav(folder / f"{name}.wav", tone())
    (folder.parent / "lablaut").mkdir()
    return folder.parent


def read(root: Path) -> ClipTables:
    ingest(DatasetConfig("emodb", str(root)), "emodb", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_the_name_says_everything(root: Path) -> None:
    clips = read(root).clips
    assert clips["clip_id"].tolist() == ["03a01Fa", "08b10Lc", "13b03Wd", "16a05Ta"]
    assert clips["subject"].tolist() == ["03", "08", "13", "16"]
    assert clips["sex"].tolist() == ["male", "female", "female", "female"]
    assert clips["age"].tolist() == [31, 34, 32, 31]
    # The German initial: L is Langeweile, T is Trauer, W is Wut.
    assert clips["emotion"].tolist() == ["happiness", "boredom", "anger", "sadness"]
    assert clips["transcript"][0] == "der lappen liegt auf dem eisschrank"
    assert clips["audio"][0] == "wav/03a01Fa.wav"
    assert clips["sample_rate_hz"].tolist() == [16_000] * 4
    assert clips["duration_s"].tolist() == [0.5] * 4


@pytest.mark.parametrize("name", ["04a01Fa", "03a03Fa", "03a01Xa", "03a01Fg", "03a01F", "anger_03"])
def test_what_is_named_otherwise_is_left_out(root: Path, name: str) -> None:
    write_wav(root / "wav" / f"{name}.wav", tone())
    tables = read(root)
    assert len(tables.clips) == 4
    fault = tables.quarantine().iloc[0]
    assert fault["file"] == f"wav/{name}.wav"
    assert "give the file its original name" in fault["reason"]


def test_a_sound_that_cannot_be_read_is_left_out(root: Path) -> None:
    (root / "wav" / "09a02Na.wav").write_bytes(b"RIFF")
    tables = read(root)
    assert len(tables.clips) == 4
    assert tables.quarantine()["clip_id"].tolist() == ["09a02Na"]


def test_recorded_files_with_the_original_names() -> None:
    real = Path(os.environ.get("VULTUS_REAL", "../shared/real")) / "speech_emotion" / "emodb_2s"
    if not real.is_dir():
        pytest.skip("the folder of recorded examples is not there")
    from vultus.data.sources.emodb import Options
    from vultus.data.sources.emodb import read as read_folder

    clips = [rows.clip for rows in read_folder(real, Options())]
    assert None not in clips
    assert len({clip["emotion"] for clip in clips if clip}) == 7
    assert {clip["subject"] for clip in clips if clip} == {"03", "08", "09"}
    assert {clip["duration_s"] for clip in clips if clip} == {2.0}
