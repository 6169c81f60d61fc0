"""CREMA-D: actor, sentence, emotion and level in the name; sex and age from the table beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.miniatures import write_wav
from tests.data.sources.test_emodb import tone
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for name in ("1001_DFA_ANG_XX", "1040_ITH_SAD_X", "1091_IEO_FEA_HI"):
        write_wav(folder / f"{name}.wav", tone())
    (folder.parent / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n1040,,Female,,\n"
    )
    return folder.parent


def read(root: Path) -> ClipTables:
    ingest(DatasetConfig("cremad", str(root)), "cremad", root.parent / "tables")
    return ClipTables(root.parent / "tables")


def test_names_and_people(root: Path) -> None:
    clips = read(root).clips
    assert clips["clip_id"].tolist() == ["1001_DFA_ANG_XX", "1040_ITH_SAD_X", "1091_IEO_FEA_HI"]
    assert clips["subject"].tolist() == ["1001", "1040", "1091"]
    assert clips["emotion"].tolist() == ["anger", "sadness", "fear"]
    assert clips["transcript"][0] == "don't forget a jacket"
    assert clips["session"].tolist() == ["XX", "X", "HI"]
    assert clips["sex"].fillna("").tolist() == ["male", "", ""]
    assert clips["age"].fillna(0).tolist() == [51, 0, 0]


def test_without_the_table_of_people(root: Path) -> None:
    (root / "VideoDemographics.csv").unlink()
    assert read(root).clips["sex"].isna().all()


@pytest.mark.parametrize("name", ["1092_DFA_ANG_XX", "1000_DFA_ANG_XX", "1001_XXX_ANG_XX", "1001_DFA_SUR_XX"])
def test_what_is_named_otherwise_is_left_out(root: Path, name: str) -> None:
    write_wav(root / "AudioWAV" / f"{name}.wav", tone())
    tables = read(root)
    assert len(tables.clips) == 3
    assert tables.quarantine()["file"].tolist() == [f"AudioWAV/{name}.wav"]
