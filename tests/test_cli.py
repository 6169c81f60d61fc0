"""The ``vultus`` command: what it says, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.synthetic_results import write_dataset, write_repository
from vultus.cli import app
from vultus.core import registry
from vultus.tracking import publisher


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_repository(tmp_path)
    write_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_systems_are_listed_with_their_family_and_venue() -> None:
    lines = CliRunner().invoke(app, ["systems"]).stdout.splitlines()
    assert {line.split()[1] for line in lines} == set(registry.keys())
    (line,) = [line for line in lines if line.split()[1] == "jaa_net"]
    assert "action_units" in line
    assert "ECCV 2018" in line


def test_a_data_set_says_what_it_holds(root: Path) -> None:
    result = CliRunner().invoke(app, ["data", "world"])
    assert result.exit_code == 0
    assert "annotated frames" in result.stdout


def test_an_unknown_data_set_is_one_sentence(root: Path) -> None:
    result = CliRunner().invoke(app, ["data", "bp5d"])
    assert result.exit_code == 1
    assert "there is: world" in result.stderr
    assert "Traceback" not in result.stderr


def test_publish_says_what_was_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = publisher.Published(
        created=["jaa_net"], skipped={"arl": "arl has not been evaluated: run `make repro`"}
    )
    monkeypatch.setattr(publisher, "publish", lambda folder: published)
    result = CliRunner().invoke(app, ["publish"])
    assert result.exit_code == 0
    assert "1 new runs" in result.stdout
    assert "arl: not published" in result.stderr


def test_publish_if_changed_does_nothing_when_current(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "is_current", lambda folder: True)
    result = CliRunner().invoke(app, ["publish", "--if-changed"])
    assert result.exit_code == 0
    assert result.stdout == ""


def test_publish_before_anything_ran_is_one_sentence(root: Path) -> None:
    (root / "dvc.lock").unlink()
    result = CliRunner().invoke(app, ["publish"])
    assert result.exit_code == 1
    assert "make repro" in result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from vultus.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert not {'torch', 'mlflow', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_detect_refuses_what_it_cannot_read_in_one_sentence(root: Path) -> None:
    for arguments, sentence in (
        (["gone.mp4", "--system", "jaa_net"], "gone.mp4 is missing"),
        (["face.png", "--system", "openface"], "there is no action unit system 'openface'; there is: "),
    ):
        (root / "face.png").touch()
        result = CliRunner().invoke(app, ["detect", *arguments, "--out", "aus.csv"])
        assert result.exit_code == 1
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr
    assert not (root / "aus.csv").exists()
