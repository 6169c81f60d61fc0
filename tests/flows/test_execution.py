"""Stages as child processes of a small DVC project: right order, honest outcomes, words that survive."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from flows import execution
from flows.execution import StageFailedError, StageResult, reproduce_stage
from flows.graph import matching, read_graph, with_causes
from flows.processes import end_all
from flows.summary import changed_metrics, summarise


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
    modules = ", ".join(f"flows.{path.stem}" for path in sorted(Path(execution.__file__).parent.glob("[a-z]*.py")))
    code = f"import sys, {modules}; assert not {{'torch', 'mlflow'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_targets_are_stages_or_groups_and_bring_their_causes(project: Path) -> None:
    stages = read_graph(project)
    assert matching(stages, ["left", "join"]) == {"left@1", "left@2", "join"}
    assert [stage.name for stage in with_causes(stages, ["check"])] == ["left@2", "check"]
    with pytest.raises(ValueError, match="no stage is called 'righ'"):
        matching(stages, ["righ"])


def test_a_stage_with_an_output_outside_the_cache_stays_here(project: Path) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["join"]["outs"] = [{"joined": {"cache": False}}]
    pipeline["stages"]["page"] = {"cmd": "cp joined page", "deps": ["joined"], "outs": ["page"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    assert {stage.name: stage.portable for stage in read_graph(project)} == {
        "left@1": True,
        "left@2": True,
        "check": True,
        "join": False,
        "page": False,
    }


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ("ERROR: Unable to acquire lock. Most likely another DVC process is running", True),
        ("ERROR: failed to run: python -m stages.train --system s, exited with -9", True),
        ("ERROR: failed to run: python -m stages.train --system s, exited with 1", False),
        ("", False),
    ],
)
def test_only_failures_that_can_pass_are_tried_again(words: str, passes: bool) -> None:
    assert StageFailedError(StageResult("train@s", "failed", tail=words)).may_pass is passes


def test_numbers_that_changed_are_listed_with_those_new_and_gone() -> None:
    head = "system,family,dataset,protocol,metric,value,low,high,n,judge,split_hash,paper_value\n"
    before = head + "a,f,d,p,F1,0.5,,,3,,h,\na,f,d,p,ICC,0.4,,,3,,h,\nb,f,d,p,F1,0.7,,,3,,h,\n"
    after = head + "a,f,d,p,F1,0.6,,,3,,h,\na,f,d,p,ICC,0.4,,,3,,h,\na,f,d,p,SyncC,4,,,3,judge 1,h,\n"
    rows = [(row["system"], row["metric"], row["before"], row["after"]) for row in changed_metrics(before, after)]
    assert rows == [("a", "F1", "0.5", "0.6"), ("a", "SyncC", "", "4"), ("b", "F1", "0.7", "")]
    assert changed_metrics("", after)[0]["before"] == ""
    assert changed_metrics(after, after) == []
