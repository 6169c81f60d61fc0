from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.miniatures import write_video
from vultus.core.errors import UserError
from vultus.data.articulation import ArticulationConfig, build_articulation
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.stores import Store


def grey(number: int, height: int, width: int) -> np.ndarray:
    """Twice the stored size: the left half dark, the right half as bright as the number says."""
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[:, width // 2 :] = 40 + 15 * number
    return picture


def write(root: Path, lengths: dict[str, int]) -> ClipTables:
    with TableWriter(root / "tables") as tables:
        for session in ("one", "two"):
            for view, (height, width) in {"ultrasound": (64, 80), "lips": (48, 64)}.items():
                clip_id = f"{session}_{view}"
                frames = [grey(i, height, width) for i in range(lengths.get(clip_id, 8))]
                write_video(root / f"video/{clip_id}.mp4", frames, fps=60)
                tables.add("clips", [{
                    "clip_id": clip_id, "dataset": "x", "subject": "s", "session": session, "group": "train",
                    "video": f"video/{clip_id}.mp4", "view": view, "fps": 60.0,
                }])  # fmt: skip
    return ClipTables(root / "tables")


def build(root: Path, tables: ClipTables) -> Store:
    return build_articulation(root / "features/x/articulation", tables, root, ArticulationConfig(), jobs=1)


def test_two_views_become_one_clip_on_one_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = build(tmp_path, write(tmp_path, {}))
    assert store["tongue"].shape == (16, 32, 40)
    assert store["lips"].shape == (16, 24, 32)
    assert store["tongue"].dtype == np.uint8
    assert store.clips["clip_id"].tolist() == ["one", "two"]
    np.testing.assert_allclose(store.rows["time_s"][:8], (np.arange(8) + 0.5) / 60, atol=1e-6)
    bright = store["lips"][:8, :, 20:].astype(float).mean((1, 2))
    np.testing.assert_allclose(bright, 40 + 15 * np.arange(8), atol=6)
    assert store["tongue"][:, :, :15].mean() < 30


def test_texts_travel_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = write(tmp_path, {})
    (tmp_path / "text").mkdir()
    (tmp_path / "text/domain_b.txt").write_text("see the sea\n")
    assert (build(tmp_path, tables).folder / "text/domain_b.txt").read_text() == "see the sea\n"


def test_views_of_different_length_are_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = build(tmp_path, write(tmp_path, {"two_lips": 7}))
    assert store.clips["clip_id"].tolist() == ["one"]
    assert "session two: its views differ at frame 7" in store.failed["reason"].iloc[0]


def test_clips_without_sessions_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with TableWriter(tmp_path / "tables") as tables:
        tables.add("clips", [{"clip_id": "a", "dataset": "x"}])
    with pytest.raises(UserError, match="no clip names its session"):
        build(tmp_path, ClipTables(tmp_path / "tables"))
