"""One stage as a child process: DVC decides whether it runs, is restored or is current."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flows.processes import child

Outcome = Literal["ran", "restored", "current", "failed", "blocked"]

MEANING: dict[Outcome, str] = {
    "ran": "ran",
    "restored": "restored from the cache without running",
    "current": "nothing to do",
    "failed": "failed",
    "blocked": "not started: a stage before it failed",
}


@dataclass(frozen=True)
class StageResult:
    """What became of a stage, the last lines it said, and which other checkout ran it, if one did."""

    stage: str
    outcome: Outcome
    seconds: float = 0.0
    tail: str = ""
    where: str = ""


class StageFailedError(Exception):
    """A stage's process ended with another code than 0; carries the result for the summary."""

    def __init__(self, result: StageResult) -> None:
        super().__init__(f"{result.stage} failed:\n{result.tail}")
        self.result = result

    @property
    def may_pass(self) -> bool:
        """Whether trying again can help: another process held a lock of DVC, or memory ran out."""
        return any(
            words in self.result.tail
            for words in ("Unable to acquire lock", "is busy, it is being blocked by", "exited with -9", "timed out")
        )


class StagesFailedError(Exception):
    """What a run ends with when stages failed; ``outcomes`` is the name of each stage -> outcome."""

    def __init__(self, results: Sequence[StageResult]) -> None:
        super().__init__(f"failed: {', '.join(result.stage for result in results if result.outcome == 'failed')}")
        self.outcomes: dict[str, str] = {result.stage: result.outcome for result in results}


def reproduce_stage(
    root: Path,
    stage: str,
    environment: Mapping[str, str] | None = None,
    *,
    options: tuple[str, ...] = (),
    say: Callable[[str], None] | None = None,
) -> StageResult:
    """Bring one stage up to date, whatever the state of those before it.

    Args:
        root: the repository.
        stage: its name as on DVC's command line.
        environment: variables for its process, beside those of this one.
        options: of ``dvc repro``: ``--force``, ``--pull``.
        say: is told each line as it comes; default prints it behind the name of the stage.

    Raises:
        StageFailedError: the stage's process failed.
    """
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", *options, stage]
    return run_command(command, root, stage, environment, say=say)


def thread_share(workers: int) -> dict[str, str]:
    """The variables that give each of ``workers`` stages its share of this machine's threads."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def run_command(
    command: list[str],
    root: Path,
    name: str,
    environment: Mapping[str, str] | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> StageResult:
    """Run a command and hand on what it says, line by line; for the arguments see `reproduce_stage`.

    Raises:
        StageFailedError: it exited with another code than 0.
    """
    say = say or (lambda line: print(f"[{name}] {line}", flush=True))
    began = time.monotonic()
    lines: list[str] = []
    unbuffered = {"PYTHONUNBUFFERED": "1", **(environment or {})}
    with child(command, root, output=subprocess.PIPE, environment=unbuffered) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip("\n"))
            lines.append(line)
        code = process.wait()
    outcome = "failed" if code else read_outcome("".join(lines))
    result = StageResult(name, outcome, time.monotonic() - began, "".join(lines[-30:]))
    if code:
        raise StageFailedError(result)
    return result


def read_outcome(output: str) -> Outcome:
    """What DVC did with a stage, from what it printed."""
    if "Running stage" in output:
        return "ran"
    return "restored" if "is cached - skipping run" in output else "current"
