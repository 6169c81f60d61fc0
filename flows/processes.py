"""Child processes that never outlive their parent, the environment they run in, and one reproduction at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

ENVIRONMENT_FILE = Path(__file__).parents[1] / ".env"
GUARD = Path(__file__).with_name("guard.py")

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
_inherited: set[int] = set()
"""Files that stay open, and locked, until the last child is gone."""


def load_environment(path: Path = ENVIRONMENT_FILE) -> None:
    """Set the variables of ``.env`` that are not set yet, and put this interpreter's folder first on PATH.

    Args:
        path: lines ``NAME=value``; blank lines and lines that start with ``#`` are skipped; a missing file sets
            nothing.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            os.environ.setdefault(name.strip(), value.strip())
    folder = str(Path(sys.executable).parent)
    if os.environ.get("PATH", "").split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])


@contextlib.contextmanager
def child(
    command: Sequence[str],
    folder: Path,
    output: int | IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start ``command`` in a process group of its own and end the whole group when the block is left.

    The group also ends when this process dies without leaving the block (`flows.guard`).

    Args:
        command: program and arguments; no shell.
        folder: where it runs.
        output: where stdout and stderr go together; None leaves them on this terminal.
        environment: variables beside those of this process.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        text=True,
        start_new_session=True,
        pass_fds=tuple(_inherited),
    )
    with _lock:
        _running.add(process)
    try:
        yield process
    finally:
        end(process)
        with _lock:
            _running.discard(process)
        assert process.stdin is not None
        process.stdin.close()


def end(process: subprocess.Popen[str], patience_s: float = 10.0) -> None:
    """SIGTERM to the process group, SIGKILL to what is left of it after ``patience_s``."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
    _signal(process, signal.SIGKILL)


def end_all() -> None:
    """End every child that this process has started and not yet ended, as a cancelled flow must."""
    with _lock:
        processes = list(_running)
    for process in processes:
        end(process)


@contextlib.contextmanager
def sole_use(root: Path, say: Callable[[str], None] = print, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a checkout for one reproduction: a second one waits here, and then finds nothing left to do.

    The lock goes with the processes that hold it, children included: it survives no crash, and a run that was killed
    with -9 keeps it until the last of its children has ended.

    Args:
        root: the checkout.
        say: is told, once, whom it waits for.
        wait: called every second while waiting; may raise to give up.
    """
    path = root / ".dvc" / "tmp" / "reproduction.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        told = False
        while not _try_lock(file):
            if not told:
                file.seek(0)
                say(
                    f"another reproduction runs in this checkout (process {file.read().strip() or '?'}): waiting for it"
                )
                told = True
            if wait is not None:
                wait()
            time.sleep(1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _inherited.add(file.fileno())
        try:
            yield
        finally:
            _inherited.discard(file.fileno())


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
