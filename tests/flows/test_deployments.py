"""What ``prefect.yaml`` describes: flows that exist, with parameters that they take; and each of them, run."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import sweep as sweeping
from tests.flows.small_project import shared_project

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = {entry["name"]: entry for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}


def flow_of(entry: dict[str, Any]) -> Any:
    module, _, name = entry["entrypoint"].rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_flow_and_parameters_that_it_takes(name: str) -> None:
    entry = DEPLOYMENTS[name]
    flow = flow_of(entry)
    known = inspect.signature(flow.fn).parameters
    assert set(entry.get("parameters", {})) <= set(known)
    assert entry["work_pool"]["name"] in ("cpu", "gpu")


def test_schedules_are_what_they_say() -> None:
    schedules = {name: entry["schedules"][0] for name, entry in DEPLOYMENTS.items() if "schedules" in entry}
    assert schedules["nightly"]["cron"].split()[2:] == ["*", "*", "*"]
    assert schedules["weekly"]["cron"].split()[4] == "6"
    assert schedules["watch"] == {"interval": 300}


def test_the_sweep_that_is_deployed_changes_a_setting_that_exists() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    parameters = DEPLOYMENTS["sweep"]["parameters"]
    for point in sweeping.points(parameters["grid"]):
        changed = sweeping.with_values(params, point)
        assert {**changed, "systems": 0} == {**params, "systems": 0}
        others = [name for name in params["systems"] if changed["systems"][name] != params["systems"][name]]
        assert others == ["jaa_net"]


def test_points_of_a_grid() -> None:
    grid = {"systems.a.train.learning_rate": [0.1, 0.2], "systems.a.config.kind": ["x y"]}
    found = list(sweeping.points(grid))
    assert found[1] == {"systems.a.train.learning_rate": 0.2, "systems.a.config.kind": "x y"}
    assert sweeping.slug(found[1]) == "learning_rate=0.2,kind=_x_y_"
    with pytest.raises(ValueError, match="no section 'sistems'"):
        sweeping.with_values({"systems": {}}, {"sistems.a.config": 1})


# --- on a server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployments")
    return shared_project(folder / "project", folder / "remote")


@pytest.mark.usefixtures("prefect_server")
def test_new_clips_flow_through_once_they_have_arrived(checkout: Path) -> None:
    from flows.new_data import new_data

    def look() -> Any:
        return new_data("films", str(checkout), settle_s=60, return_state=True)

    assert "still arriving" in look().message
    os.utime(checkout / "incoming/first.mp4", (1, 1))
    assert look().is_completed()
    assert (checkout / "tables/films").read_text() == "first.mp4\n"
    assert "nothing new" in look().message
    (checkout / "incoming/second.mp4").write_text("another")
    os.utime(checkout / "incoming/second.mp4", (2, 2))
    assert look().is_completed()
    assert (checkout / "tables/films").read_text() == "first.mp4\nsecond.mp4\n"
    unknown = new_data("flims", str(checkout), return_state=True)
    assert unknown.message == "params.yaml has no data set 'flims'; there is films"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `vultus` that only notes how it was called; returns its notes."""
    notes = tmp_path / "calls.txt"
    command = tmp_path / "bin" / "vultus"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$PWD" "$@" "$MLFLOW_TRACKING_URI" >> {notes}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return notes


@pytest.mark.usefixtures("prefect_server")
def test_a_sweep_runs_and_publishes_each_point_in_a_workspace_of_its_own(checkout: Path, publisher: Path) -> None:
    from flows.execution import reproduce_stage

    reproduce_stage(checkout, "left@1")
    lock = (checkout / "dvc.lock").read_text()
    settings = {"grid": {"model.a": [1, 2]}, "targets": ["score"], "root": str(checkout)}
    state = sweeping.sweep(**settings, return_state=True)
    assert state.result() == {"a=1": "ran", "a=2": "ran"}
    workspaces = checkout / ".cache/vultus/sweeps/grid"
    assert (workspaces / "a=2/metrics.json").read_text() == '{"error": 4}'
    assert (checkout / "dvc.lock").read_text() == lock
    assert not (checkout / "metrics.json").exists()
    assert publisher.read_text().splitlines() == [
        f'{workspaces}/a={a} publish --sweep grid --point {{"model.a": {a}}} sqlite:///{checkout}/mlflow.db'
        for a in (1, 2)
    ]
    again = sweeping.sweep(**settings, publish=False, return_state=True)
    assert again.result() == {"a=1": "current", "a=2": "current"}


@pytest.mark.usefixtures("prefect_server")
def test_publishing_is_the_publishers_command_in_the_checkout(checkout: Path, publisher: Path) -> None:
    from flows.publish import publish

    assert publish(str(checkout), return_state=True).is_completed()
    assert publisher.read_text().split() == [str(checkout), "publish"]


@pytest.mark.usefixtures("prefect_server")
def test_the_claims_publish_their_ledger(checkout: Path) -> None:
    from flows.claims import claims

    assert claims(str(checkout), return_state=True).is_completed()
    assert (checkout / "reports/claims.csv").read_text() == "goodx"
    assert (checkout / "page").read_text() == "goodx"


@pytest.fixture
def worker(checkout: Path, prefect_server: None) -> Iterator[None]:
    """The deployments of ``prefect.yaml`` on the module's server, and a worker in the small project."""
    from prefect.settings import PREFECT_API_URL

    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value()), "VULTUS_ROOT": str(checkout)}
    environment["PYTHONPATH"] = str(ROOT)
    subprocess.run([sys.executable, "-m", "flows.deploy"], cwd=ROOT, env=environment, check=True, capture_output=True)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    process.terminate()
    process.wait(30)


@pytest.mark.slow
def test_a_worker_takes_what_is_deployed_and_a_second_checkout_takes_its_results(checkout: Path, worker: None) -> None:
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment

    from flows.reproduce import reproduce

    run = run_deployment("reproduce/nightly", parameters={"targets": ["join"], "publish": False}, timeout=180)
    assert run.state.is_completed()
    assert (checkout / "joined").read_text() == "goodxx"
    with get_client(sync_client=True) as client:
        schedules = {deployment.name: deployment.schedules for deployment in client.read_deployments()}
    # The tests' server makes no runs of schedules by itself; that they are active is what it can show.
    assert all(schedule.active for name in ("nightly", "weekly", "watch") for schedule in schedules[name])
    assert [len(schedules[name]) for name in ("nightly", "weekly", "watch", "sweep")] == [1, 1, 1, 0]

    here = checkout.parent / "second"
    subprocess.run(["git", "clone", "-q", str(checkout), str(here)], check=True)
    state = reproduce(str(here), ["count"], pools=True, publish=False, return_state=True)
    assert state.is_completed()
    assert state.result()["count"] == "ran"
    assert (here / "counted").read_text() == "goodx8"
    assert not (here / "runs.txt").exists()
    assert (checkout / "runs.txt").read_text() == "counted\n"


@pytest.mark.slow
def test_a_stage_whose_process_dies_is_given_out_again_and_goes_on(checkout: Path, worker: None) -> None:
    from flows.reproduce import reproduce

    script, counted = checkout / "count.py", checkout / ".cache/counted"
    script.write_text(script.read_text().replace("sleep(0.0)", "sleep(1.5)"))
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *author, "commit", "-qam", "slow"], cwd=checkout, check=True)
    counted.unlink(missing_ok=True)
    here = checkout.parent / "third"
    subprocess.run(["git", "clone", "-q", str(checkout), str(here)], check=True)
    states: list[Any] = []
    thread = threading.Thread(
        target=lambda: states.append(reproduce(str(here), ["count"], pools=True, publish=False, return_state=True))
    )
    thread.start()
    while not (counted.exists() and counted.read_text() == "3"):
        time.sleep(0.1)
    for pid in subprocess.run(["pgrep", "-f", "prefect.engine"], capture_output=True, text=True).stdout.split():
        if f"VULTUS_ROOT={checkout}".encode() in Path(f"/proc/{pid}/environ").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    thread.join(timeout=240)
    assert states[0].is_completed()
    assert (here / "counted").read_text() == "goodx8"
    assert counted.read_text() == "8"
