"""Flows on a Prefect server of their own, over small projects: what they do, what their pages show, how they end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("prefect_server")


def states_of(flow_run: UUID) -> dict[str, str]:
    """Task run -> name of its state, as the pages show them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    flow_filter = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    for _ in range(50):  # task runs reach the server's tables a moment later
        with get_client(sync_client=True) as client:
            found = {run.name: run.state_name for run in client.read_task_runs(flow_run_filter=flow_filter)}
        if found and not {"Running", "Pending"} & set(found.values()):
            break
        time.sleep(0.2)
    return found


def artifacts_of(flow_run: UUID) -> dict[str, Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    run_filter = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
    with get_client(sync_client=True) as client:
        return {artifact.key: artifact.data for artifact in client.read_artifacts(artifact_filter=run_filter)}


def outcomes(state: Any) -> Any:
    result = state.result(raise_on_failure=False)
    return getattr(result, "outcomes", result)


def edit(project: Path, **stages: Any) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"] |= stages
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))


def test_a_failure_stops_what_follows_from_it_and_the_next_run_repairs_it(project: Path) -> None:
    from flows.reproduce import reproduce

    check = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["check"]
    edit(
        project,
        check={**check, "outs": ["checked"], "cmd": check["cmd"] + " && touch checked"},
        last={"cmd": "touch last", "deps": ["checked"], "outs": ["last"]},
    )
    (project / "source").write_text("bad")
    state = reproduce(str(project), publish=False, return_state=True)
    assert state.is_failed()
    assert state.message == "failed: check"
    assert outcomes(state) == {"left@1": "ran", "left@2": "ran", "join": "ran", "check": "failed", "last": "blocked"}
    run = state.state_details.flow_run_id
    expected = {"left@1": "Ran", "left@2": "Ran", "join": "Ran", "check": "Failed", "last": "NotReady"}
    assert states_of(run) == expected
    report = artifacts_of(run)
    assert "| `last` | not started: a stage before it failed |" in report["reproduction"]
    assert "failed to reproduce" in report["reproduction"]

    (project / "source").write_text("good")
    (project / "joined").unlink()
    state = reproduce(str(project), publish=False, return_state=True)
    assert state.is_completed()
    assert outcomes(state)["last"] == "ran"
    (project / "joined").unlink()
    state = reproduce(str(project), publish=False, return_state=True)
    assert outcomes(state) == dict.fromkeys(expected, "current") | {"join": "restored"}
    assert states_of(state.state_details.flow_run_id) == dict.fromkeys(expected, "Current") | {"join": "Restored"}


def test_targets_bring_their_causes_and_force_runs_the_targets_alone(project: Path) -> None:
    from flows.reproduce import reproduce

    state = reproduce(str(project), ["left"], publish=False, return_state=True)
    assert outcomes(state) == {"left@1": "ran", "left@2": "ran"}
    state = reproduce(str(project), ["join"], force=True, publish=False, return_state=True)
    assert outcomes(state) == {"left@1": "current", "left@2": "current", "join": "ran"}
    state = reproduce(str(project), ["jion"], publish=False, return_state=True)
    assert "no stage is called 'jion'" in state.message


def test_numbers_that_moved_and_progress_are_artifacts(project: Path) -> None:
    from flows.reproduce import reproduce

    (project / "reports").mkdir()
    table = "system,dataset,protocol,metric,judge,value\nnet,world,world,F1,,{}\nnet,world,world,Accuracy,,0.9\n"
    (project / "reports/results.csv").write_text(table.format("0.5"))
    new = table.format("0.6").replace("\n", "\\n")
    command = f"printf '{new}' > reports/results.csv && echo 'training net: 3/12'"
    edit(project, compare={"cmd": command, "deps": ["left_1"], "outs": [{"reports/results.csv": {"cache": False}}]})
    state = reproduce(str(project), ["compare"], publish=False, return_state=True)
    found = artifacts_of(state.state_details.flow_run_id)
    assert '"metric": "F1"' in found["changed-metrics"]
    assert '"before": "0.5", "after": "0.6"' in found["changed-metrics"]
    assert "Accuracy" not in found["changed-metrics"]
    assert "1 numbers of `reports/results.csv`" in found["reproduction"]
    assert found[None] == 25.0


def test_cancelling_ends_the_stage_and_leaves_no_lock(project: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStateName
    from prefect.states import Cancelling

    from flows.reproduce import reproduce

    edit(project, long={"cmd": "echo $$ > started && sleep 120", "always_changed": True})
    ended: list[Any] = []
    thread = threading.Thread(
        target=lambda: ended.append(reproduce(str(project), ["long"], publish=False, return_state=True))
    )
    thread.start()
    while not ((project / "started").exists() and (project / "started").read_text()):
        time.sleep(0.1)
    running = FlowRunFilter(state={"name": FlowRunFilterStateName(any_=["Running"])})
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=running):
            client.set_flow_run_state(run.id, Cancelling())
    thread.join(timeout=60)
    assert ended[0].is_cancelled()
    assert not Path(f"/proc/{(project / 'started').read_text().strip()}").exists()
    subprocess.run(["dvc", "status", "left@1"], cwd=project, check=True, capture_output=True)


def test_one_stage_at_a_time_holds_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.devices import device_slot, gpus

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpus() == ["3"]
    order: list[str] = []

    def hold(name: str, pause: float) -> None:
        with device_slot("gpu", lambda _: None) as environment:
            order.append(f"{name} on {environment['CUDA_VISIBLE_DEVICES']}")
            time.sleep(pause)
            order.append(f"{name} ends")

    first = threading.Thread(target=hold, args=("first", 3.0))
    first.start()
    while not order:
        time.sleep(0.05)
    hold("second", 0.0)
    first.join()
    assert order == ["first on 3", "first ends", "second on 3", "second ends"]
    with device_slot("cpu", order.append) as environment:
        assert environment == {}


def test_without_a_gpu_nothing_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flows.devices import device_slot, gpus

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gpus() == ["0", "1"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert gpus() == []
    with device_slot("gpu", lambda _: None) as environment:
        assert environment == {}
