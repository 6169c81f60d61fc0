"""The stages of ``dvc.yaml`` as a graph, and one stage as a child process. DVC alone decides what is current."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
class Stage:
    """A stage of ``dvc.yaml``: its name as on DVC's command line, the stages it reads from, where it runs."""

    name: str
    after: tuple[str, ...]
    resources: str


@dataclass(frozen=True)
class StageResult:
    """What became of a stage, and the last lines it said."""

    stage: str
    outcome: Outcome
    seconds: float = 0.0
    tail: str = ""


class StageFailedError(Exception):
    """A stage's process ended with another code than 0; carries the result for the summary."""

    def __init__(self, result: StageResult) -> None:
        super().__init__(f"{result.stage} failed:\n{result.tail}")
        self.result = result


def read_graph(root: Path, pipeline: str = "dvc.yaml") -> list[Stage]:
    """The stages of a pipeline and all that they read from, generation by generation: causes before effects.

    Args:
        root: the repository.
        pipeline: ``dvc.yaml``, or another pipeline such as ``claims/dvc.yaml`` with the stages it builds on.
    """
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        graph = repo.index.graph  # an edge points from a stage to one that it reads from
        own = [stage for stage in graph if Path(stage.path) == root.resolve() / pipeline]
        needed = set(own).union(*(networkx.descendants(graph, stage) for stage in own))
        return [
            Stage(
                name=_address(stage, root),
                after=tuple(sorted(_address(before, root) for before in graph.successors(stage))),
                resources=str((stage.meta or {}).get("resources", "cpu")),
            )
            for generation in networkx.topological_generations(graph.subgraph(needed).reverse())
            for stage in sorted(generation, key=lambda stage: _address(stage, root))
        ]


def _address(stage: Any, root: Path) -> str:
    """What DVC calls the stage when it is started in ``root``, wherever this process was started."""
    file = Path(stage.path).relative_to(root.resolve())
    return str(stage.name) if file == Path("dvc.yaml") else f"{file}:{stage.name}"


def reproduce_stage(
    root: Path, stage: str, environment: Mapping[str, str] | None = None, tail_lines: int = 30
) -> StageResult:
    """Bring one stage up to date, whatever the state of those before it.

    Args:
        root: the repository.
        stage: its name as on DVC's command line.
        environment: variables for its process, beside those of this one.
        tail_lines: of its output that the result keeps.

    Raises:
        StageFailedError: the stage's process failed.
    """
    began = time.monotonic()
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", stage]
    lines: list[str] = []
    with child(command, root, output=subprocess.PIPE, environment=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"[{stage}] {line}", end="", flush=True)
            lines.append(line)
        code = process.wait()
    outcome = "failed" if code else read_outcome("".join(lines))
    result = StageResult(stage, outcome, time.monotonic() - began, "".join(lines[-tail_lines:]))
    if code:
        raise StageFailedError(result)
    return result


def read_outcome(output: str) -> Outcome:
    """What DVC did with a stage, from what it printed."""
    if "Running stage" in output:
        return "ran"
    return "restored" if "is cached - skipping run" in output else "current"


def summarise(results: Sequence[StageResult]) -> str:
    """A Markdown table of all stages, with the words of those that failed below it."""
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in MEANING}
    lines = [
        "# Reproduction",
        "",
        ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count),
        "",
        "| stage | outcome | seconds |",
        "|---|---|---|",
        *(f"| `{r.stage}` | {MEANING[r.outcome]} | {r.seconds:.1f} |" for r in results),
    ]
    for result in results:
        if result.outcome == "failed":
            lines += ["", f"## {result.stage}", "", "```", result.tail.rstrip().replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"
