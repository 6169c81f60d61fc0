"""Children end with the block or the process that started them, grandchildren included; one reproduction at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import processes


def _alive(pid: int) -> bool:
    """Whether the process runs; one that waits for its parent to collect it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _start_family(folder: Path) -> list[str]:
    """A command that starts a grandchild, writes both ids and then sleeps."""
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path('ids.tmp').write_text(f'{os.getpid()} {grandchild.pid}')\n"
        "os.rename('ids.tmp', 'ids')\n"
        "time.sleep(60)\n"
    )
    (folder / "family.py").write_text(code)
    return [sys.executable, "family.py"]


def _wait_for(path: Path) -> str:
    for _ in range(600):
        if path.exists():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} never appeared")


def _wait_until_gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_an_exception_ends_the_whole_group(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupted() -> None:
        with processes.child(_start_family(tmp_path), tmp_path):
            pids.extend(int(pid) for pid in _wait_for(tmp_path / "ids").split())
            assert all(_alive(pid) for pid in pids)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert _wait_until_gone(pids)


def test_end_all_reaches_children_of_other_threads(tmp_path: Path) -> None:
    import threading

    codes: list[int] = []

    def work() -> None:
        with processes.child(_start_family(tmp_path), tmp_path) as process:
            codes.append(process.wait())

    thread = threading.Thread(target=work)
    thread.start()
    pids = [int(pid) for pid in _wait_for(tmp_path / "ids").split()]
    processes.end_all()
    thread.join(timeout=30)
    assert codes
    assert codes[0] != 0
    assert _wait_until_gone(pids)


def test_a_parent_that_is_killed_takes_the_whole_group_with_it(tmp_path: Path) -> None:
    family = _start_family(tmp_path)
    code = f"""
import pathlib
from flows.processes import child
with child({family!r}, pathlib.Path({str(tmp_path)!r})) as process:
    process.wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    pids = [int(pid) for pid in _wait_for(tmp_path / "ids").split()]
    assert all(_alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    assert _wait_until_gone(pids)


def test_the_code_of_the_command_comes_through(tmp_path: Path) -> None:
    for command, expected in ((["true"], 0), (["sh", "-c", "exit 3"], 3), (["no-such-command"], 127)):
        with processes.child(command, tmp_path, output=subprocess.DEVNULL) as process:
            assert process.wait() == expected


def test_a_second_reproduction_waits_for_the_first_and_its_children(tmp_path: Path) -> None:
    code = f"""
import pathlib
from flows.processes import child, sole_use
root = pathlib.Path({str(tmp_path)!r})
with sole_use(root), child(["sh", "-c", "trap '' TERM; touch started; sleep 4"], root) as process:
    process.wait()
"""
    first = subprocess.Popen([sys.executable, "-c", code])
    _wait_for(tmp_path / "started")
    first.kill()
    first.wait()
    said: list[str] = []
    looks: list[bool] = []
    with processes.sole_use(tmp_path, said.append, lambda: looks.append(True)):
        pass
    assert looks
    assert said == [f"another reproduction runs in this checkout (process {first.pid}): waiting for it"]


def test_environment_fills_gaps_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("# comment\n\nVULTUS_TEST_A=file\nVULTUS_TEST_B=file\nVULTUS_TEST_EMPTY=\n")
    monkeypatch.setenv("VULTUS_TEST_A", "shell")
    for name in ("VULTUS_TEST_B", "VULTUS_TEST_EMPTY"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/usr/bin")
    processes.load_environment(tmp_path / ".env")
    assert os.environ["VULTUS_TEST_A"] == "shell"
    assert os.environ["VULTUS_TEST_B"] == "file"
    assert os.environ["VULTUS_TEST_EMPTY"] == ""
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]


def test_telemetry_is_off() -> None:
    import flows  # noqa: F401  importing it reads .env

    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
