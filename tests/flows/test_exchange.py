"""Two checkouts and a folder as DVC remote: what one has run, the other restores and does not run again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from flows.exchange import code_version, has_remote, lock_entries, place, take_entries
from flows.execution import reproduce_stage
from flows.graph import changed_stages
from tests.flows.small_project import shared_project


def run(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkouts(tmp_path: Path) -> tuple[Path, Path]:
    first = shared_project(tmp_path / "first", tmp_path / "remote")
    run(tmp_path, "git", "clone", "-q", "first", "second")
    return first, tmp_path / "second"


def test_a_stage_goes_there_and_its_result_comes_back(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    assert has_remote(here)
    assert place(here) != place(there)
    reproduce_stage(here, "left@1")
    run(here, "dvc", "push", "left@1")

    take_entries(there, lock_entries(here, ["left@1"]))
    run(there, "dvc", "pull", "left@1")
    assert reproduce_stage(there, "count").outcome == "ran"
    run(there, "dvc", "push", "count")

    take_entries(here, lock_entries(there, ["count"]))
    run(here, "dvc", "pull", "count")
    assert changed_stages(here, ["count"]) == set()
    assert (here / "counted").read_text() == "goodx8"
    assert not (here / "runs.txt").exists()
    assert (there / "runs.txt").read_text() == "counted\n"


def test_a_result_of_other_settings_is_seen_to_differ(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    for root in checkouts:
        reproduce_stage(root, "left@1")
    params = (there / "params.yaml").read_text()
    (there / "params.yaml").write_text(params.replace("a: 3", "a: 4"))
    assert code_version(here) == code_version(here).partition("+")[0]
    assert code_version(there).startswith(code_version(here) + "+")
    reproduce_stage(there, "score")
    run(there, "dvc", "push", "score")
    take_entries(here, lock_entries(there, ["score"]))
    run(here, "dvc", "pull", "score")
    assert changed_stages(here, ["score"]) == {"score"}


def test_what_dvc_writes_beside_the_code_is_no_change_of_the_code(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    reproduce_stage(here, "left@1")  # adds to .gitignore and dvc.lock
    assert run(here, "git", "status", "--porcelain") != ""
    assert code_version(here) == code_version(there)


def test_a_stage_of_another_pipeline_has_its_own_lock_file(checkouts: tuple[Path, Path]) -> None:
    here, there = checkouts
    address = "claims/dvc.yaml:ledger"
    reproduce_stage(here, "left@1")
    reproduce_stage(here, address)
    entries = lock_entries(here, [address])
    assert json.loads(entries)[address]["cmd"] == "cp left_1 reports/ledger.csv"
    (there / "claims/dvc.lock").unlink(missing_ok=True)
    take_entries(there, entries)
    assert lock_entries(there, [address]) == entries
