"""The whole graph on params/smoke.yaml, in a copy of the repository.

It ends, it is idle when nothing changed, and it reruns what a change reaches and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.processes import load_environment
from vultus.core.results import COLUMNS, read_rows

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _run(folder: Path, *command: str) -> str:
    """Run a command in the copy, which has no .venv: `load_environment` puts this interpreter's folder on PATH."""
    load_environment()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return result.stdout


def _repro(folder: Path) -> list[str]:
    """Run ``dvc repro`` and return the stages that ran, in order."""
    return re.findall(r"Running stage '([^']+)'", _run(folder, "dvc", "repro"))


def _changed(folder: Path) -> set[str]:
    """Stages of dvc.yaml that would run; the claims are a pipeline of their own."""
    return {stage for stage in json.loads(_run(folder, "dvc", "status", "--json")) if ":" not in stage}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files with the smoke preset, run once."""
    folder = tmp_path_factory.mktemp("project")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\n"):
        if name and (ROOT / name).is_file() and name not in ("dvc.lock", "reports/results.csv"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(folder / "params/smoke.yaml", folder / "params.yaml")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    ran = _repro(folder)
    stages = _run(folder, "dvc", "stage", "list", "--name-only").split()
    assert sorted(ran) == sorted(stages)
    return folder


def _systems(project: Path) -> list[str]:
    return list(yaml.safe_load((project / "params.yaml").read_text())["systems"])


def test_results_cover_every_system(project: Path) -> None:
    results = read_rows(project / "reports/results.csv")
    assert tuple(results.columns) == COLUMNS
    assert list(dict.fromkeys(results["system"])) == _systems(project)
    assert results["split_hash"].str.fullmatch(r"[0-9a-f]{12}(\+[0-9a-f]{12})*").all()
    assert results["value"].notna().any()
    inside = results.dropna(subset=["value", "low", "high"])
    assert (inside["low"] <= inside["value"] + 1e-6).all()
    assert (inside["value"] <= inside["high"] + 1e-6).all()


def test_every_prediction_has_one_owner(project: Path) -> None:
    for system in _systems(project):
        table = pd.read_parquet(project / "reports/systems" / system / "predictions.parquet")
        assert len(table)
        assert not table.duplicated(["fold", "dataset", "clip_id", "frame"]).any()


def test_report_has_a_page_for_everything(project: Path) -> None:
    site = project / "reports/site"
    datasets = yaml.safe_load((project / "params.yaml").read_text())["datasets"]
    pages = [*(f"datasets/{key}.html" for key in datasets), *(f"systems/{key}.html" for key in _systems(project))]
    expected = ["index.html", *pages]
    assert [name for name in expected if not (site / name).is_file()] == []
    assert "No results" not in "".join((site / f"systems/{key}.html").read_text() for key in _systems(project))
    assert list((site / "media/world").glob("*.mp4")), "a talking clip belongs on the page of the world"


def test_dvc_shows_metrics_and_plots(project: Path) -> None:
    metrics = json.loads(_run(project, "dvc", "metrics", "show", "--json"))
    files = metrics[""]["data"] if "" in metrics else metrics["workspace"]["data"]
    assert len(files) == len(_systems(project))
    _run(project, "dvc", "plots", "show", "--out", "plots")
    assert (project / "plots/index.html").is_file()


def test_nothing_runs_twice(project: Path) -> None:
    assert _repro(project) == []


def test_an_edit_of_a_systems_file_reaches_that_system_and_the_report_only(project: Path) -> None:
    file = project / "vultus/systems/action_units/plain_cnn.py"
    before = file.read_text()
    file.write_text(before + "\n# edited\n")
    try:
        assert _changed(project) == {"train@plain_cnn", "evaluate@plain_cnn", "report"}
    finally:
        file.write_text(before)


def test_a_changed_setting_reruns_that_system_and_what_follows(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["systems"]["jaa_net"]["train"]["learning_rate"] = 0.002
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    ran = _repro(project)
    assert set(ran) <= {"train@jaa_net", "evaluate@jaa_net", "compare", "report"}
    assert ran[:2] == ["train@jaa_net", "evaluate@jaa_net"]
    assert _repro(project) == []


def test_an_earlier_setting_is_restored_without_running(project: Path) -> None:
    shutil.copy(project / "params/smoke.yaml", project / "params.yaml")
    ran = _repro(project)
    assert "train@jaa_net" not in ran
    assert set(ran) <= {"compare", "report"}


def test_flow_finds_nothing_to_do(project: Path) -> None:
    code = (
        "from pathlib import Path; from flows.execution import reproduce_stage; from flows.graph import read_graph\n"
        "stages = [stage.name for stage in read_graph(Path('.'))]\n"
        "assert reproduce_stage(Path('.'), stages[0]).outcome == 'current'\n"
        "print(len(stages))"
    )
    listed = _run(project, "dvc", "stage", "list", "--name-only").split()
    assert _run(project, sys.executable, "-c", code).split()[-1] == str(len(listed))
