import sys
from pathlib import Path

import pytest

from vultus.core.console import run_stage, stage_arguments, track, wrote
from vultus.core.errors import UserError


def test_track_yields_everything_and_reports_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(20), "render")) == list(range(20))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "render: 2/20"
    assert lines[-1] == "render: 20/20"
    assert len(lines) == 10


def test_user_error_is_one_sentence_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise UserError("clips.csv row 3: frame rate 0; correct the row")

    with pytest.raises(SystemExit) as caught:
        run_stage(fail)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: clips.csv row 3: frame rate 0; correct the row\n"


def test_bugs_keep_their_traceback() -> None:
    def bug() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_stage(bug)


def test_wrote_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    wrote("models/x", "2 folds")
    assert capsys.readouterr().out == "models/x: 2 folds\n"


def test_a_stage_needs_its_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", "--dataset", "world"])
    arguments = stage_arguments("What it does.", "dataset")
    assert (arguments.dataset, arguments.params) == ("world", Path("params.yaml"))
    with pytest.raises(SystemExit):
        stage_arguments("What it does.", "system")
    assert "--system" in capsys.readouterr().err
