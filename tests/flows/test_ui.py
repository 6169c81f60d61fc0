"""`make ui` for real: everything comes up, its pages show what they should, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.ui import is_taken
from tests.flows.browser import Page, chromium, open_page
from tests.flows.small_project import small_project
from tests.synthetic_results import write_repository
from vultus.tracking import models, publisher, tracking_uri

ROOT = Path(__file__).parents[2]
SYSTEMS = ("jaa_net", "jaa_hat_net", "plain_cnn", "hog_svm")
STAGES = ("left@1", "left@2", "check", "join")

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@dataclass
class Servers:
    """What `make ui` started for a repository with four published systems."""

    process: subprocess.Popen[str]
    root: Path
    mlflow: str
    prefect: str
    experiment: str
    runs: list[str]
    environment: dict[str, str]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _log_nothing(client: Any, root: Path, result: Any, run_id: str, experiment_id: str) -> Any:
    """A model without weights: the pages show its name, not what it does."""
    model = client.create_logged_model(experiment_id, name=result.system, source_run_id=run_id)
    (root / "MLmodel").write_text("flavors: {}\n")
    client.log_model_artifact(model.model_id, str(root / "MLmodel"))
    return client.finalize_logged_model(model.model_id, "READY")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("repository")
    write_repository(root, SYSTEMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(models, "_log", _log_nothing)
        publisher.publish(root)
        client = MlflowClient(tracking_uri=tracking_uri(root))
    experiment = client.get_experiment_by_name("action_units").experiment_id
    runs = [run.info.run_id for run in client.search_runs([experiment]) if publisher.PARENT_TAG not in run.data.tags]
    mlflow_port, prefect_port = _free_port(), _free_port()
    environment = {**os.environ, "PREFECT_HOME": str(root / "prefect"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.ui", "--mlflow-port", str(mlflow_port), "--prefect-port", str(prefect_port)]
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert "Ctrl-C" in said[-1], said
        assert not [line for line in said if "does not answer" in line or "failed" in line], said
        mlflow, prefect = f"http://127.0.0.1:{mlflow_port}", f"http://127.0.0.1:{prefect_port}"
        yield Servers(process, root, mlflow, prefect, experiment, runs, environment)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def page(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if chromium() is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with open_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _picture(page: Page, name: str) -> None:
    """Keep a picture of the page for people, where VULTUS_SCREENSHOTS names a folder."""
    if folder := os.environ.get("VULTUS_SCREENSHOTS"):
        page.screenshot(Path(folder) / f"{name}.png")


def test_mlflow_lists_the_systems_of_a_family(servers: Servers, page: Page) -> None:
    page.visit(f"{servers.mlflow}/#/experiments/{servers.experiment}/runs")
    page.wait_for("Training runs", *(f"{system} on" for system in SYSTEMS))
    _picture(page, "mlflow-runs")


def test_mlflow_compares_four_runs(servers: Servers, page: Page) -> None:
    chosen, experiments = (urllib.parse.quote(json.dumps(ids)) for ids in (servers.runs, [servers.experiment]))
    page.visit(f"{servers.mlflow}/#/compare-runs?runs={chosen}&experiments={experiments}")
    page.wait_for("Comparing 4 Runs", "Parallel Coordinates Plot", "F1", selector=".parcoords, .parcoords-line-layers")
    _picture(page, "mlflow-parallel-coordinates")


def test_mlflow_draws_the_metrics_of_the_epochs(servers: Servers, page: Page) -> None:
    page.visit(f"{servers.mlflow}/#/experiments/{servers.experiment}/runs?compareRunsMode=CHART")
    page.wait_for("validation", "train", "F1", selector=".main-svg", at_least=2)
    _picture(page, "mlflow-charts")


def test_mlflow_shows_the_champion(servers: Servers, page: Page) -> None:
    page.visit(f"{servers.mlflow}/#/models/vultus-jaa_net/versions/1")
    page.wait_for("vultus-jaa_net", "Version 1", "champion", "split_hash")
    _picture(page, "mlflow-model")


def test_prefect_shows_the_deployments_and_their_schedules(servers: Servers, page: Page) -> None:
    page.visit(f"{servers.prefect}/deployments")
    page.wait_for("nightly", "weekly", "watch", "sweep", "publish", "At 01:00")
    _picture(page, "prefect-deployments")


def test_prefect_shows_a_run_with_its_stages_logs_and_artifacts(servers: Servers, page: Page, tmp_path: Path) -> None:
    project = small_project(tmp_path)
    run = [sys.executable, "-m", "flows.reproduce", "--no-publish"]
    environment = {**servers.environment, "PREFECT_API_URL": f"{servers.prefect}/api"}
    subprocess.run(run, cwd=project, env=environment, check=True, capture_output=True)
    query = json.dumps({"flows": {"name": {"any_": ["reproduce"]}}}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{servers.prefect}/api/flow_runs/filter", query, headers)
    with urllib.request.urlopen(request) as answer:
        (flow_run,) = [one for one in json.load(answer) if one["state_type"] == "COMPLETED"]
    page.visit(f"{servers.prefect}/runs/flow-run/{flow_run['id']}")
    page.wait_for(flow_run["name"], "Completed", "4 Task runs", "Beginning flow run", selector="canvas")
    page.click("Task Runs")
    page.wait_for(*STAGES, "Search by run name")
    _picture(page, "prefect-run")
    page.click("Artifacts")
    page.wait_for("reproduction", "MARKDOWN", "what ran, was current, or failed")
    _picture(page, "prefect-artifacts")


def test_a_second_one_says_which_port_is_in_use(servers: Servers) -> None:
    port = urllib.parse.urlparse(servers.mlflow).port
    command = [sys.executable, "-m", "flows.ui", "--mlflow-port", str(port)]
    second = subprocess.run(command, cwd=servers.root, env=servers.environment, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"port {port} is in use" in second.stderr


def test_ctrl_c_stops_everything(servers: Servers) -> None:
    assert len(_processes(servers)) > 4
    servers.process.send_signal(signal.SIGINT)
    assert servers.process.wait(60) == 0
    deadline = time.monotonic() + 10
    while (left := _processes(servers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    assert not is_taken(int(urllib.parse.urlparse(servers.mlflow).port or 0))


def _processes(servers: Servers) -> list[str]:
    """Command lines of all processes that have the servers' environment."""
    mark = f"PREFECT_HOME={servers.environment['PREFECT_HOME']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
