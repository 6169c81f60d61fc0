"""The feature store: what is computed, what is found again, what fails, and what lies on disk."""

from __future__ import annotations

import copy
import os
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from vultus.core.errors import UserError
from vultus.data import media, stores
from vultus.data.stores import ClipArrays, build_store, content_hash, file_hash, open_store, table_hash


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def clips_of(n: int) -> list[dict[str, Any]]:
    return [{"clip_id": f"c{i:03d}", "length": i % 4, "value": i} for i in range(n)]


def ramp(clip: Any, log: Path | None = None) -> ClipArrays:
    """``length`` rows; array values are the clip's value plus the row; the clip leaves a line in the log."""
    if log is not None:
        with log.open("a") as file:
            file.write(f"{clip['clip_id']}\n")
    n = clip["length"]
    rows = pd.DataFrame({"frame": np.arange(n), "note": ["x"] * n if clip["value"] % 2 else [None] * n})
    array = clip["value"] + np.arange(n, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    spans = pd.DataFrame({"first": [0], "last": [n]})
    return ClipArrays(rows, {"face": array, "flag": np.full(n, True)}, {"spans": spans})


def faulty(clip: Any) -> ClipArrays:
    if clip["value"] == 2:
        raise media.MediaError(Path("a.mp4"), "is empty", "copy it again")
    if clip["value"] == 3:
        raise ValueError("odd shape")
    return ramp(clip)


def deadly(clip: Any) -> ClipArrays:
    if clip["value"] == 1:
        os._exit(9)
    return ramp(clip)


def key(clip: Any) -> str:
    return content_hash(dict(clip))


def test_packs_every_clip_in_order() -> None:
    store = build_store("data/x/crops", clips_of(6), ramp, key, meta={"size": 3}, jobs=1)
    assert len(store) == 0 + 1 + 2 + 3 + 0 + 1
    assert isinstance(store["face"], np.memmap)
    assert store["face"].shape == (7, 3)
    np.testing.assert_array_equal(store["face"][:, 0], [1, 2, 3, 3, 4, 5, 5])
    np.testing.assert_array_equal(store["face"][store.clip("c003")][:, 1], [3, 4, 5])
    assert store.rows["clip_id"].tolist() == ["c001", "c002", "c002", "c003", "c003", "c003", "c005"]
    assert store.rows["note"].isna().tolist() == [False, True, True, False, False, False, False]
    assert store.clips["stop"].tolist() == [0, 1, 3, 6, 6, 7]
    assert store.table("spans")["clip_id"].tolist() == [f"c{i:03d}" for i in range(6)]
    assert store.meta["size"] == 3
    assert store.meta["arrays"]["flag"] == {"dtype": "|b1", "shape": [7]}
    assert store.failed.empty
    assert sorted(p.name for p in Path("data/x").iterdir()) == ["crops"]


def test_parallel_and_serial_write_the_same_bytes() -> None:
    build_store("a/x/s", clips_of(9), ramp, key, jobs=1, cache=Path("cache1"))
    build_store("b/x/s", clips_of(9), ramp, key, jobs=2, cache=Path("cache2"))
    for path in sorted(Path("a/x/s").iterdir()):
        assert path.read_bytes() == (Path("b/x/s") / path.name).read_bytes(), path.name


def test_a_new_clip_costs_one_clip(tmp_path: Path) -> None:
    log = tmp_path / "log"
    compute = partial(ramp, log=log)
    build_store("data/x/s", clips_of(5), compute, key, jobs=1)
    build_store("data/x/s", clips_of(5), compute, key, jobs=1)
    assert log.read_text().split() == [f"c{i:03d}" for i in range(5)]
    store = build_store("data/x/s", clips_of(6), compute, key, jobs=1)
    assert log.read_text().split()[5:] == ["c005"]
    assert store.clips["clip_id"].tolist() == [f"c{i:03d}" for i in range(6)]
    changed = clips_of(6)
    changed[2]["value"] = 70
    store = build_store("data/x/s", changed, compute, key, jobs=1)
    assert log.read_text().split()[6:] == ["c002"]
    assert store["face"][store.clip("c002")][0, 0] == 70


def test_other_code_is_other_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    build_store("data/x/s", clips_of(2), partial(ramp, log=log), key, jobs=1)
    build_store("data/x/s", clips_of(2), partial(ramp, log=log), key, jobs=1, code=[media])
    assert len(log.read_text().split()) == 4


def test_a_failed_clip_is_listed_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    for jobs in (1, 2):
        store = build_store(f"data/x/s{jobs}", clips_of(6), faulty, key, jobs=jobs)
        assert store.failed["clip_id"].tolist() == ["c002", "c003"]
        assert store.failed["reason"][0] == "a.mp4 is empty: copy it again"
        assert store.failed["reason"][1].startswith("ValueError: odd shape (test_stores.py, line ")
        assert store.clips["clip_id"].tolist() == ["c000", "c001", "c004", "c005"]
        assert "c003: left out of x/s" in capsys.readouterr().err


def test_a_clip_that_kills_its_process_is_listed() -> None:
    store = build_store("data/x/s", clips_of(5), deadly, key, jobs=2)
    assert store.failed["clip_id"].tolist() == ["c001"]
    assert "died" in store.failed["reason"][0]
    assert len(store.clips) == 4


def test_all_failed_is_an_error_and_leaves_the_old_store() -> None:
    build_store("data/x/s", clips_of(3), ramp, key, jobs=1)
    bad = [{"clip_id": "z", "length": 1, "value": 2}]
    with pytest.raises(UserError, match=r"all 1 clips failed; the first, z: a\.mp4 is empty"):
        build_store("data/x/s", bad, faulty, key, jobs=1)
    assert len(open_store("data/x/s").clips) == 3
    with pytest.raises(UserError, match="no clip"):
        build_store("data/x/s", [], ramp, key)


def test_arrays_that_disagree_are_an_error() -> None:
    def widths(clip: Any) -> ClipArrays:
        return ClipArrays(pd.DataFrame({"frame": [0]}), {"face": np.zeros((1, 2 + clip["value"]), np.uint8)})

    with pytest.raises(ValueError, match="clip c001 has arrays"):
        build_store("data/x/s", clips_of(2), widths, key, jobs=1)
    assert not Path("data/x/s").exists()


def test_row_count_must_match() -> None:
    def short(clip: Any) -> ClipArrays:
        return ClipArrays(pd.DataFrame({"frame": [0, 1]}), {"face": np.zeros((1, 2))})

    with pytest.raises(UserError, match="array 'face' has 1 rows, the table of rows 2"):
        build_store("data/x/s", clips_of(1), short, key, jobs=1)


def test_a_worker_process_gets_the_path_alone() -> None:
    store = build_store("data/x/s", clips_of(8), ramp, key, jobs=1)
    np.asarray(store["face"]).sum()
    assert len(ForkingPickler.dumps(store)) < 300
    np.testing.assert_array_equal(copy.copy(store)["face"], store["face"])


def test_missing_store_says_what_to_run() -> None:
    with pytest.raises(UserError, match="dvc repro"):
        open_store("data/features/nothing")
    store = build_store("data/x/s", clips_of(2), ramp, key, jobs=1)
    with pytest.raises(KeyError, match="arrays: face, flag"):
        store["body"]


def test_file_hash_follows_the_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    assert file_hash(one) == file_hash(two) != file_hash(tmp_path / "none")
    two.write_bytes(b"abd")
    assert file_hash(one) != file_hash(two)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"a")
    before = file_hash(folder)
    (folder / "1.jpg").rename(folder / "2.jpg")
    assert file_hash(folder) != before
    assert (tmp_path / stores.CACHE_ROOT / "file_hashes.sqlite").is_file()


def test_table_hash_sees_values_not_chunks() -> None:
    whole = pa.table({"a": [1, 2, None]})
    parts = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": pa.array([2, None], pa.int64())})])
    assert table_hash(whole) == table_hash(parts)
    assert table_hash(whole) != table_hash(pa.table({"a": [1, 3, None]}))
