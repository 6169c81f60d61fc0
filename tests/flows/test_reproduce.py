"""The flow on a small DVC project: right order, honest outcomes, failures that stay where they are."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows import reproduce as flow_module
from flows.execution import StageFailedError, StageResult, reproduce_stage
from flows.graph import read_graph
from flows.processes import end_all
from flows.summary import summarise
from tests.flows.small_project import small_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small_project(tmp_path)


def test_graph_comes_in_an_order_that_can_run(project: Path) -> None:
    stages = read_graph(project)
    assert {stage.name: stage.after for stage in stages} == {
        "left@1": (),
        "left@2": (),
        "check": ("left@2",),
        "join": ("left@1", "left@2"),
    }
    seen: set[str] = set()
    for stage in stages:
        assert set(stage.after) <= seen
        seen.add(stage.name)
    assert {stage.name: stage.resources for stage in stages}["check"] == "gpu"


def test_a_stage_runs_once_and_is_restored_when_its_output_is_gone(project: Path) -> None:
    assert reproduce_stage(project, "left@1").outcome == "ran"
    assert reproduce_stage(project, "left@1").outcome == "current"
    (project / "left_1").unlink()
    (project / "dvc.lock").unlink()
    assert reproduce_stage(project, "left@1").outcome == "restored"
    assert (project / "left_1").read_text() == "goodx"


def test_a_failed_stage_says_why(project: Path) -> None:
    (project / "source").write_text("bad")
    reproduce_stage(project, "left@2")
    with pytest.raises(StageFailedError, match="check failed") as caught:
        reproduce_stage(project, "check")
    assert caught.value.result.outcome == "failed"
    assert "failed to reproduce" in caught.value.result.tail


def test_cancelling_ends_the_stage_that_runs(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"long": {"cmd": "touch started && sleep 60", "always_changed": True}}})
    )
    errors: list[BaseException] = []

    def work() -> None:
        try:
            reproduce_stage(project, "long")
        except StageFailedError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(600):
        if (project / "started").exists():
            break
        time.sleep(0.05)
    end_all()
    thread.join(timeout=30)
    assert errors
    assert not thread.is_alive()


def test_summary_counts_and_quotes() -> None:
    text = summarise([StageResult("a", "ran", 1.0), StageResult("b", "failed", 2.0, "no ```disk``` left\n")])
    assert "1 ran, 1 failed" in text
    assert "| `a` | ran | 1.0 |" in text
    assert "no '''disk''' left" in text


def test_flows_never_load_torch() -> None:
    code = "import sys, flows.local, flows.reproduce, flows.ui; assert not {'torch', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.mark.slow
def test_flow_tries_everything_that_does_not_need_the_failed_stage(project: Path, prefect_server: None) -> None:
    (project / "source").write_text("bad")
    state = flow_module.reproduce(str(project), publish=False, return_state=True)
    assert state.is_failed()
    assert state.message == "failed: check"
    assert (project / "joined").read_text() == "badxx"

    (project / "source").write_text("good")
    state = flow_module.reproduce(str(project), publish=False, return_state=True)
    assert state.is_completed()
    state = flow_module.reproduce(str(project), publish=False, return_state=True)
    assert state.result() == {"left@1": "current", "left@2": "current", "check": "current", "join": "current"}


@pytest.mark.slow
def test_a_stage_behind_a_failed_one_is_not_started(project: Path, prefect_server: None) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["check"]["outs"] = ["checked"]
    pipeline["stages"]["last"] = {"cmd": "touch last", "deps": ["checked"], "outs": ["last"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    (project / "source").write_text("bad")
    state = flow_module.reproduce(str(project), publish=False, return_state=True)
    outcomes = state.result(raise_on_failure=False)
    assert outcomes == {"left@1": "ran", "left@2": "ran", "join": "ran", "check": "failed", "last": "blocked"}
    assert not (project / "last").exists()
