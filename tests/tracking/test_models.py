"""Registered models: one version a result, the champion by validation alone, and an answer over HTTP."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from tests.synthetic_results import write_repository
from tests.systems.toy_faces import write_toy
from tests.test_serving import save_untrained
from vultus.tracking import models, publisher, tracking_uri
from vultus.tracking.results import Result, TrackedRun, Validation

FIRST = Validation("F1", 0.70, True)


@pytest.fixture
def client(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an empty registry, where logging a model costs nothing."""
    from mlflow import MlflowClient

    def log(client: Any, root: Path, result: Result, run_id: str, experiment_id: str) -> Any:
        model = client.create_logged_model(experiment_id, name=result.system, source_run_id=run_id)
        (root / "MLmodel").write_text("flavors: {}")
        client.log_model_artifacts(model.model_id, str(root))
        return client.finalize_logged_model(model.model_id, "READY")

    monkeypatch.setattr(models, "_log", log)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("action_units", artifact_location=(tmp_path / "artifacts").as_uri())
    return client


def _register(client: Any, folder: Path, validation: Validation | None, split: str = "abc", run: str = "") -> str:
    (folder / "model").mkdir(exist_ok=True)
    experiment = client.get_experiment_by_name("action_units").experiment_id
    run = run or client.create_run(experiment).info.run_id
    planned = TrackedRun("key", "name", {"dataset": "world"}, {}, (), 0.0, 0.0)
    result = Result("jaa_net", "action_units", planned, split, validation)
    return models.register(client, folder / "model", result, run)


def _champion(client: Any) -> int:
    return int(client.get_model_version_by_alias("vultus-jaa_net", models.CHAMPION).version)


def test_the_first_version_is_champion_and_a_better_one_takes_over(client: Any, tmp_path: Path) -> None:
    assert "champion, as the first" in _register(client, tmp_path, FIRST)
    assert "version 1 stays champion" in _register(client, tmp_path, Validation("F1", 0.69, True))
    assert _champion(client) == 1
    assert "champion: validation F1 0.71 against 0.7" in _register(client, tmp_path, Validation("F1", 0.71, True))
    assert _champion(client) == 3


@pytest.mark.parametrize(
    ("validation", "split", "reason"),
    [
        (Validation("F1", 0.9, True), "another", "measured on another split"),
        (None, "abc", "nothing was measured on validation people"),
        (Validation("Accuracy", 0.9, True), "abc", "stays champion"),
        (FIRST, "abc", "stays champion"),
    ],
)
def test_what_cannot_be_compared_moves_nothing(
    client: Any, tmp_path: Path, validation: Validation | None, split: str, reason: str
) -> None:
    _register(client, tmp_path, FIRST)
    assert reason in _register(client, tmp_path, validation, split)
    assert _champion(client) == 1


def test_errors_are_better_when_they_are_smaller() -> None:
    error = Validation("WER", 0.3, False)
    assert dataclasses.replace(error, value=0.2).beats(error)
    assert not dataclasses.replace(error, value=0.4).beats(error)


def test_a_run_has_one_version(client: Any, tmp_path: Path) -> None:
    run = client.create_run(client.get_experiment_by_name("action_units").experiment_id).info.run_id
    assert _register(client, tmp_path, FIRST, run=run)
    assert _register(client, tmp_path, FIRST, run=run) == ""
    assert len(client.search_model_versions("name = 'vultus-jaa_net'")) == 1


def test_a_model_that_was_logged_and_not_registered_is_registered(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = client.create_run(client.get_experiment_by_name("action_units").experiment_id).info.run_id
    with monkeypatch.context() as patch:
        patch.setattr(client, "create_model_version", lambda *a, **k: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            _register(client, tmp_path, FIRST, run=run)
    assert "champion" in _register(client, tmp_path, FIRST, run=run)
    assert len(client.search_logged_models(["1"])) == 1


def test_requirements_name_versions_that_an_index_has() -> None:
    wanted = models.requirements()
    assert any(line.startswith("torch==") for line in wanted)
    assert all(line.count("==") == 1 and "+" not in line for line in wanted)


@pytest.fixture
def served_root(tmp_path: Path, empty_database: Path) -> Path:
    """A repository with a system on toy faces, and a detector that sees a face everywhere."""
    from safetensors.torch import save_file

    from tests.contract.toys import SMOKE, smoke_experiment
    from vultus.face.trained_detector import LandmarkNet

    write_repository(tmp_path)
    smoke = yaml.safe_load(SMOKE.read_text())
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["systems"]["jaa_net"] = {**smoke["systems"]["jaa_net"], "protocol": "world"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_toy(tmp_path)
    shutil.rmtree(tmp_path / "models/jaa_net/fold_0")
    save_untrained(smoke_experiment("jaa_net", tmp_path), tmp_path / "models/jaa_net")
    detector = tmp_path / "models/landmark_detector"
    detector.mkdir()
    (detector / "config.yaml").write_text(yaml.safe_dump({"width": 2, "input_px": 32}))
    weights = LandmarkNet(2).state_dict()
    weights["face.bias"].fill_(20.0)
    save_file(weights, detector / "weights.safetensors")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.mark.slow
def test_a_served_model_answers_a_picture_with_named_action_units(
    served_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = publisher.publish(served_root)
    assert done.models == ["vultus-jaa_net version 1: champion, as the first"]
    pickles = [path for path in (served_root / "mlartifacts").rglob("*") if path.suffix in (".pkl", ".pth", ".pt")]
    assert not pickles
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(served_root))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/vultus-jaa_net@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    address = f"http://127.0.0.1:{port}"
    from flows.processes import child

    with child(command, served_root, output=subprocess.DEVNULL) as process:
        _wait_for(f"{address}/ping", process)
        picture = cv2.imencode(".png", np.full((96, 96, 3), 120, np.uint8))[1].tobytes()
        (answer,) = _ask(address, [{"picture": base64.b64encode(picture).decode()}])
    assert answer.pop("faces") >= 1
    assert set(answer) == {"AU01", "AU12", "AU25"}
    assert all(0 <= value <= 1 for value in answer.values())


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("the model server does not answer")


def _ask(address: str, records: list[dict[str, Any]]) -> Any:
    body = json.dumps({"dataframe_records": records}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()[-2000:]) from None
