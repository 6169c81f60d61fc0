"""Stores computed in parts have the bytes of those computed at once, and the stage computes nothing again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import stages.crops
import stages.landmarks
import stages.shard
from vultus.core.console import run_stage
from vultus.data.parquet import TableWriter


def run(monkeypatch: pytest.MonkeyPatch, module, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    run_stage(module.main)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def workplace(folder: Path, toy_data) -> Path:
    with TableWriter(folder / "data/tables/world/valid") as writer:
        writer.add("clips", toy_data.tables.records())
        for clip_id in ("a", "b"):
            writer.add("frames", toy_data.tables.frames(clip_id))
    sections = {"landmarks": {"mode": "annotated"}, "crops": {"size_px": 48}}
    params = {name: {"world": {"root": str(toy_data.root), **section}} for name, section in sections.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump({"seed": 1, **params}))
    return folder


def test_parts_have_the_bytes_of_the_whole(toy_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    whole, parts = (workplace(tmp_path / name, toy_data) for name in ("whole", "parts"))
    for store, module in (("landmarks", stages.landmarks), ("crops", stages.crops)):
        monkeypatch.chdir(parts)
        for part in ("1/3", "2/3", "3/3"):  # two clips: the third part has none
            run(monkeypatch, stages.shard, "--store", store, "--dataset", "world", "--part", part)
        entries = {path.name: path.stat().st_mtime_ns for path in Path(f".cache/vultus/world/{store}").glob("*.zip")}
        assert len(entries) == 2
        run(monkeypatch, module, "--dataset", "world")
        again = {path.name: path.stat().st_mtime_ns for path in Path(f".cache/vultus/world/{store}").glob("*.zip")}
        assert again == entries
        monkeypatch.chdir(whole)
        run(monkeypatch, module, "--dataset", "world")
        place = f"data/features/world/{store}"
        assert contents(parts / place) == contents(whole / place)
    assert sorted(path.name for path in (parts / ".cache/vultus").iterdir() if path.is_dir()) == ["world"]


def test_a_part_that_cannot_be_is_one_sentence(toy_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workplace(tmp_path / "place", toy_data))
    for arguments, words in ((("crops", "4/3"), "the second of four"), (("pictures", "1/2"), "only landmarks")):
        with pytest.raises(SystemExit):
            run(monkeypatch, stages.shard, "--store", arguments[0], "--dataset", "world", "--part", arguments[1])
        assert words in capsys.readouterr().err
