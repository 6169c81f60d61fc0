"""The three stages of the face from the command line, on the toy data set."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

import stages.crops
import stages.detector
import stages.landmarks
from vultus.core.console import run_stage
from vultus.data.parquet import TableWriter


@pytest.fixture
def workplace(toy_data, tmp_path):
    """A working directory with params.yaml and the valid tables of a data set ``world``."""
    with TableWriter(tmp_path / "data/tables/world/valid") as writer:
        writer.add("clips", toy_data.tables.records())
        for clip_id in ("a", "b"):
            writer.add("frames", toy_data.tables.frames(clip_id))
    params = {
        "seed": 1,
        "datasets": {"world": {"root": str(toy_data.root)}},
        "landmarks": {"world": {"root": str(toy_data.root), "mode": "annotated"}},
        "crops": {"world": {"root": str(toy_data.root), "size_px": 48}},
        "detector": {"width": 4, "steps": 2, "batch_size": 4, "train_frames": 8, "test_frames": 4},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def run(monkeypatch, module, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    run_stage(module.main)


def test_landmarks_then_crops(workplace, monkeypatch, capsys):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    run(monkeypatch, stages.landmarks, "--dataset", "world")
    assert "landmarks of 7 frames in 2 clips (5 annotated, 2 none)" in capsys.readouterr().out
    run(monkeypatch, stages.crops, "--dataset", "world")
    assert "5 faces of 48 px from 2 clips; frames left out: 2 no face found" in capsys.readouterr().out
    assert (workplace / "data/features/world/crops/sheet.png").is_file()


def test_detector_says_when_it_learned_nothing(workplace, monkeypatch, capsys):
    run(monkeypatch, stages.detector)
    folder = workplace / "models/landmark_detector"
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "config.yaml", "metrics.json"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["n"] == 1
    assert "landmark detector (embedded world): " in capsys.readouterr().out


def test_mistakes_in_params_are_one_sentence(workplace, monkeypatch, capsys):
    params = yaml.safe_load((workplace / "params.yaml").read_text())
    params["crops"]["world"]["side"] = 3
    (workplace / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(SystemExit):
        run(monkeypatch, stages.crops, "--dataset", "world")
    assert "crops.world has no key 'side'" in capsys.readouterr().err
