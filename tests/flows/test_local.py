"""The local runner on a small DVC project, against what DVC itself says afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from flows.execution import StageResult
from flows.graph import Stage, changed_stages, read_graph, with_followers
from flows.local import reproduce
from flows.schedule import by_urgency, ready


def outcomes(root: Path, workers: int = 2) -> dict[str, str]:
    return {result.stage: result.outcome for result in reproduce(root, "dvc.yaml", workers)}


def test_all_stages_run_and_then_nothing_does(project: Path) -> None:
    assert outcomes(project) == {"left@1": "ran", "left@2": "ran", "check": "ran", "join": "ran"}
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=project, capture_output=True, text=True, check=True
    )
    assert status.stdout.strip() == "{}"
    assert set(outcomes(project).values()) == {"current"}


def test_a_failure_stops_what_follows_from_it_and_nothing_else(project: Path) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["check"]["outs"] = ["checked"]
    pipeline["stages"]["next"] = {"cmd": "touch next", "deps": ["checked"], "outs": ["next"]}
    pipeline["stages"]["last"] = {"cmd": "touch last", "deps": ["next"], "outs": ["last"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    (project / "source").write_text("bad")
    expected = {
        "left@1": "ran",
        "left@2": "ran",
        "join": "ran",
        "check": "failed",
        "next": "blocked",
        "last": "blocked",
    }
    assert outcomes(project, workers=1) == expected
    assert (project / "joined").read_text() == "badxx"
    assert not (project / "last").exists()


def test_only_what_changed_and_its_followers_are_looked_at(project: Path) -> None:
    outcomes(project)
    (project / "left_1").unlink()
    stages = read_graph(project)
    changed = changed_stages(project, [stage.name for stage in stages])
    assert with_followers(stages, changed) == {"left@1", "join"}
    assert outcomes(project) == {"left@1": "restored", "left@2": "current", "check": "current", "join": "current"}


def test_the_longest_way_to_the_end_starts_first() -> None:
    stages = [
        Stage("a table", (), "cpu"),
        Stage("data", (), "cpu"),
        Stage("train", ("data",), "gpu"),
        Stage("score", ("train",), "gpu"),
    ]
    order = by_urgency(stages)
    assert [stage.name for stage in order] == ["data", "train", "a table", "score"]
    assert [stage.name for stage in ready(order, {})] == ["data", "a table"]
    assert [stage.name for stage in ready(order[1:], {"data": StageResult("data", "ran")})] == ["train", "a table"]


def test_another_pipeline_brings_the_stages_it_builds_on_and_no_others(project: Path) -> None:
    (project / "claims").mkdir()
    claim = {"wdir": "..", "cmd": "cp left_1 claimed", "deps": ["left_1"], "outs": ["claimed"]}
    (project / "claims/dvc.yaml").write_text(yaml.safe_dump({"stages": {"claim": claim}}))
    assert [stage.name for stage in read_graph(project)] == ["left@1", "left@2", "check", "join"]
    assert [stage.name for stage in read_graph(project, "claims/dvc.yaml")] == ["left@1", "claims/dvc.yaml:claim"]
    done = {result.stage: result.outcome for result in reproduce(project, "claims/dvc.yaml", 2)}
    assert done == {"left@1": "ran", "claims/dvc.yaml:claim": "ran"}
    assert not (project / "joined").exists()
