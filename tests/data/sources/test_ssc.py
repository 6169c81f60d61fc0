from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.kaldi_files import write_archive
from vultus.core.errors import UserError
from vultus.data.articulation import ArticulationConfig, build_articulation
from vultus.data.kaldi import read_matrix
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.sources.ssc import Options, clean_sentence, read

SENTENCES = {
    "train": [f"{k}. Sentence number {'x' * k}, isn't it? (again)" for k in range(1, 12)],
    "test": ["1. ONE WORD.", "2. TWO-WORDS"],
}
FILES = {"train": "TIMIT_training/TIMIT_Transcripts.txt", "test": "WSJ05K_Test/WSJ0_5K_Transcripts.txt"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Matrix k of a list holds k in all places; the list is in the order in which text sorts: 1, 10, 11, 2, ..."""
    folder = tmp_path / "Features/DCT_Features/features/30-dct"
    for group, lines in SENTENCES.items():
        (tmp_path / FILES[group]).parent.mkdir(parents=True)
        (tmp_path / FILES[group]).write_text("\n".join(lines) + "\n")
        names = sorted(f"Bruce_list{k}_" for k in range(1, len(lines) + 1))
        numbers = {name: int(name.removeprefix("Bruce_list").rstrip("_")) for name in names}
        matrices = {name: np.full((5 + numbers[name], 60), numbers[name], float) for name in names}
        offsets = write_archive(folder / f"Bruce_list_{group}.ark", matrices)
        lines_scp = [f"{n} /home/a/kaldi/egs/voxforge/mfcc/Bruce_list_{group}.ark:{at}" for n, at in offsets.items()]
        (folder / f"{group}-feats.scp").write_text("\n".join(lines_scp) + "\n")
    return tmp_path


def test_text_and_features_of_a_number_meet(archive: Path) -> None:
    clips = [rows.clip for rows in read(archive, Options())]
    assert len(clips) == 13
    for clip in clips:
        assert clip is not None
        number = int(clip["clip_id"].partition("/")[2].removeprefix("Bruce_list").rstrip("_"))
        matrix = read_matrix(archive / clip["feature_file"], clip["feature_row"])
        assert matrix.shape == (5 + number, 60)
        assert (matrix == number).all()
        if clip["group"] == "train":
            assert clip["transcript"] == f"sentence number {'x' * number} isn't it"


def test_it_becomes_a_store_of_features(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = tmp_path / "tables"
    ingest(DatasetConfig("ssc", str(archive)), "ssc", tables)
    store = build_articulation(tmp_path / "store", ClipTables(tables), archive, ArticulationConfig(), jobs=1)
    assert store["feature"].shape == (sum(5 + k for k in range(1, 12)) + 6 + 7, 60)
    assert store.rows["time_s"].iloc[0] == pytest.approx(0.5 / 60)


def test_lists_of_different_length_are_refused(archive: Path) -> None:
    path = archive / FILES["test"]
    path.write_text(path.read_text() + "3. ONE MORE\n")
    with pytest.raises(UserError, match=r"test-feats.scp lists 2 utterances, WSJ05K_Test/.* has 3 lines"):
        list(read(archive, Options()))


def test_a_sentence_is_cleaned() -> None:
    assert clean_sentence("12. She had your suit, (again) all year.") == "she had your suit all year"
    assert clean_sentence("Don’t ask ME") == "don't ask me"
