"""Trainings in MLflow while they run: nothing twice, nothing lost, and the training never waits."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vultus import tracking
from vultus.core.history import History, HistoryRow
from vultus.tracking import publisher
from vultus.tracking.follower import CHECKPOINTS, TRAINING_TAG, Follower, read_rows
from vultus.tracking.results import fingerprint


@pytest.fixture
def client(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return MlflowClient(tracking_uri=tracking.tracking_uri(tmp_path))


class Toy:
    """A training that writes what the shared loop writes."""

    def __init__(self, root: Path, name: str = "0123abcd", system: str = "jaa_net") -> None:
        self.folder = root / CHECKPOINTS / name
        self.folder.mkdir(parents=True)
        self.history = History(self.folder / "history.jsonl")
        self.system = system

    def epoch(self, number: int) -> None:
        for name, value in (("total", 1 / (number + 1)), ("align", 0.5 / (number + 1))):
            self.history.append(HistoryRow("world", "train", number, 10, "train", name, value, number + 0.125))
        self.history.append(HistoryRow("world", "train", number, 10, "validation", "F1", number / 10, number + 0.25))

    def checkpoint(self) -> None:
        values = {"system": self.system, "seed": 1, "config": {"xi": 0.56}, "train": {"epochs": 3}, "code": "abc"}
        save_file({"weights/a": torch.zeros(1)}, self.folder / "train.safetensors", {"values": json.dumps(values)})


def _run(client: Any) -> Any:
    experiments = [one.experiment_id for one in client.search_experiments(filter_string="name != 'Default'")]
    (run,) = client.search_runs(experiments)
    return run


def _points(client: Any, name: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(_run(client).info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def test_rows_are_sent_once_as_they_come(tmp_path: Path, client: Any) -> None:
    training, follower = Toy(tmp_path), Follower(tmp_path, client)
    assert follower.look() == 0
    training.epoch(0)
    assert follower.look() == 0, "no resume file says yet what is trained"
    training.checkpoint()
    assert follower.look() == 3
    training.epoch(1)
    assert follower.look() == 3
    assert follower.look() == 0
    assert _points(client, "train/total") == [(0, 1.0), (1, 0.5)]
    run = _run(client)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "jaa_net, fold world, in training"
    assert run.data.params == {"seed": "1", "config.xi": "0.56", "train.epochs": "3"}
    shutil.rmtree(training.folder)
    follower.look()
    assert _run(client).info.status == "FINISHED"


def test_another_follower_goes_on_where_the_first_was_killed(tmp_path: Path, client: Any) -> None:
    training = Toy(tmp_path)
    training.epoch(0)
    training.checkpoint()
    Follower(tmp_path, client).look()
    training.epoch(1)
    assert Follower(tmp_path, client).look() == 3
    assert _points(client, "validation/F1") == [(0, 0.0), (1, 0.1)]


def test_rows_wait_while_the_server_is_away(tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    training, follower = Toy(tmp_path), Follower(tmp_path, client)
    training.epoch(0)
    training.checkpoint()
    follower.look()
    log = client.log_batch
    answers_lost = [True]

    def lost(*args: Any, **kwargs: Any) -> None:
        log(*args, **kwargs)
        if answers_lost[0]:
            raise ConnectionError("the answer did not come")

    monkeypatch.setattr(client, "log_batch", lost)
    training.epoch(1)
    with pytest.raises(ConnectionError):
        follower.look()
    answers_lost[0] = False
    training.epoch(2)
    assert follower.look() == 3, "what arrived without an answer is not sent again"
    assert [step for step, _ in _points(client, "validation/F1")] == [0, 1, 2]


def test_a_training_that_begins_again_is_found_by_its_new_history(tmp_path: Path, client: Any) -> None:
    training, follower = Toy(tmp_path), Follower(tmp_path, client)
    training.epoch(0)
    training.checkpoint()
    follower.look()
    training.history.restore([])
    training.history.append(HistoryRow("world", "train", 0, 10, "train", "total", 1.0, 0.5))
    follower.look()
    run = _run(client)
    assert run.data.tags[publisher.LIVE_TAG] == fingerprint(vars(training.history.rows[0]))
    assert run.data.tags[TRAINING_TAG] == training.folder.name
    assert _points(client, "train/total") == [(0, 1.0)]


def test_judges_have_an_experiment_of_their_own(tmp_path: Path, client: Any) -> None:
    training = Toy(tmp_path, system="syncnet")
    training.epoch(0)
    training.checkpoint()
    Follower(tmp_path, client).look()
    assert client.get_experiment_by_name("judges").experiment_id == _run(client).info.experiment_id


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    row = HistoryRow("world", "train", 0, 10, "train", "total", float(np.float32(0.1)), 0.5)
    line = json.dumps(dataclasses.asdict(row))
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n" + line[:40])
    assert read_rows(path) == [row]
    assert read_rows(tmp_path / "gone.jsonl") == []


def test_the_command_follows_until_it_is_told_to_stop(tmp_path: Path, client: Any) -> None:
    (tmp_path / ".cache" / "vultus").mkdir(parents=True)
    command = [str(Path(sys.executable).parent / "vultus"), "follow", "--every", "0.2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        training = Toy(tmp_path)
        training.epoch(0)
        training.checkpoint()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not client.search_experiments(filter_string="name = 'action_units'"):
            time.sleep(0.2)
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert second.returncode == 1
        assert "followed already" in second.stderr
    finally:
        process.terminate()
        process.wait()
    assert _points(client, "train/total") == [(0, 1.0)]
