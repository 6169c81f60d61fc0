"""Children end with the block that started them, grandchildren included; `.env` never overrides what is set."""

from __future__ import annotations

import os
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
