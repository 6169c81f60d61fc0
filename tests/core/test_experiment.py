from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from tests.contract.toys import smoke_experiment
from tests.pipeline.import_closure import ROOT, closure
from tests.systems.toy_faces import write_toy
from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.experiment import code_version, load_experiment, train, with_changes
from vultus.core.history import History, HistoryRow

SECTION: dict[str, Any] = {
    "family": "action_units", "dataset": "world", "features": "crops", "protocol": "world",
    "config": {"unit": 2, "image_px": 64}, "train": {"epochs": 3},
}  # fmt: skip


def write_params(folder: Path, **changes: Any) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"seed": 5, "systems": {"jaa_net": {**SECTION, **changes}}}))
    return path


def test_defaults_are_the_card_s_and_the_file_overrides_them(tmp_path: Path) -> None:
    experiment = load_experiment("jaa_net", write_params(tmp_path))
    assert (experiment.train.epochs, experiment.train.learning_rate, experiment.train.select) == (3, 0.01, "F1")
    assert (experiment.config.unit, experiment.config.xi) == (2, 0.56)
    assert experiment.seed == 5
    assert experiment.features == Path("data/features/world/crops")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "synthesis"}, "systems.jaa_net.family is 'synthesis', but jaa_net is of 'action_units'"),
        ({"train": {"epoch": 3}}, "systems.jaa_net.train has no key 'epoch'; known keys: epochs"),
        ({"config": {"units": 3}}, "systems.jaa_net.config has no key 'units'"),
        ({"config": {"attention": "soft"}}, "must be one of 'adaptive', 'fixed', 'none'"),
        ({"train": {"epochs": 0}}, "train.epochs must be at least 1"),
        ({"seed": 3}, "systems.jaa_net has no key 'seed'"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_experiment("jaa_net", write_params(tmp_path, **changes))


def test_the_run_key_depends_on_everything_that_the_weights_depend_on(tmp_path: Path) -> None:
    experiment = load_experiment("jaa_net", write_params(tmp_path))
    fold: Any = SimpleNamespace(name="world", fingerprint="a")
    variants = [
        experiment,
        dataclasses.replace(experiment, seed=6),
        dataclasses.replace(experiment, train=dataclasses.replace(experiment.train, learning_rate=0.02)),
        with_changes(experiment, attention="none"),
    ]
    keys = [variant.run_key(fold) for variant in variants]
    keys.append(experiment.run_key(SimpleNamespace(name="world", fingerprint="b")))  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)
    assert experiment.run_key(fold) == load_experiment("jaa_net", write_params(tmp_path)).run_key(fold)


def test_the_code_version_covers_what_is_loaded_and_no_other_system(tmp_path: Path) -> None:
    """In a process of its own, as a stage runs: the files lie within the closure of imports that dvc.yaml must name."""
    script = (
        "import sys\n"
        "from vultus.core.experiment import load_experiment, source_files\n"
        "experiment = load_experiment('jaa_net', sys.argv[1])\n"
        "print(experiment.code, *source_files(experiment.card))\n"
    )
    command = [sys.executable, "-c", script, str(write_params(tmp_path))]
    code, *files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = {str(Path(file).relative_to(ROOT)) for file in files}
    own = [f"vultus/systems/action_units/{name}.py" for name in ("jaa_net", "common")]
    named = closure("stages/train.py", *own)
    bare = {name for name in names if name.endswith("__init__.py") and name not in named}
    assert names - bare <= named
    assert {*own, "vultus/core/loop.py", "vultus/nn/jaa.py"} <= names
    before = code_version(registry.get("jaa_net"))
    registry.get("hog_svm")
    assert code_version(registry.get("jaa_net")) == before
    assert len(code) == len(before)


def test_synthetic_is_what_the_source_of_the_data_set_says(tmp_path: Path) -> None:
    path = write_params(tmp_path, dataset="people")
    for source, synthetic in (("world", True), ("folder", False)):
        values = yaml.safe_load(path.read_text()) | {"datasets": {"people": {"source": source}}}
        path.write_text(yaml.safe_dump(values))
        assert load_experiment("jaa_net", path).synthetic is synthetic


def test_a_training_that_stops_goes_on_and_leaves_no_resume_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy(tmp_path)
    experiment = smoke_experiment("plain_cnn", tmp_path)
    experiment = dataclasses.replace(experiment, train=dataclasses.replace(experiment.train, epochs=3))
    checkpoints = tmp_path / "checkpoints"
    train(experiment, tmp_path / "whole", checkpoints)
    assert not list(checkpoints.iterdir())

    class Stop(Exception):
        pass

    append, seen = History.append, list[HistoryRow]()

    def stop(history: History, row: HistoryRow) -> None:
        if row.epoch == 1 and row.name == "F1":
            raise Stop
        append(history, row)

    def watch(history: History, row: HistoryRow) -> None:
        seen.append(row)
        append(history, row)

    monkeypatch.setattr(History, "append", stop)
    with pytest.raises(Stop):
        train(experiment, tmp_path / "stopped", checkpoints)
    assert not (tmp_path / "stopped").exists()
    (live,) = checkpoints.glob("*/history.jsonl")
    assert {json.loads(line)["epoch"] for line in live.read_text().splitlines()} == {0, 1}
    monkeypatch.setattr(History, "append", watch)
    train(experiment, tmp_path / "stopped", checkpoints)
    assert {row.epoch for row in seen} == {1, 2}  # the first epoch was not trained again
    histories = [pd.read_parquet(tmp_path / name / "history.parquet").drop(columns="seconds")
                 for name in ("whole", "stopped")]  # fmt: skip
    pd.testing.assert_frame_equal(*histories)
    weights = [(tmp_path / name / "fold_0/weights.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]
    summary = json.loads((tmp_path / "whole/training.json").read_text())
    assert summary["versions"]["torch"] == torch.__version__
    assert summary["folds"][0]["phases"]["train"]["steps"] == 6
