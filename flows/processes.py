"""Child processes that never outlive their parent's interest in them, and the environment they run in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

ENVIRONMENT_FILE = Path(__file__).parents[1] / ".env"

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


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

    Args:
        command: program and arguments; no shell.
        folder: where it runs.
        output: where stdout and stderr go together; None leaves them on this terminal.
        environment: variables beside those of this process.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        text=True,
        start_new_session=True,
    )
    with _lock:
        _running.add(process)
    try:
        yield process
    finally:
        end(process)
        with _lock:
            _running.discard(process)


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


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
