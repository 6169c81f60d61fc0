"""The DVC graph as a Prefect flow: one task a stage, in parallel where the graph allows.

DVC alone decides what is current: a task runs ``dvc repro --single-item STAGE`` as a child process and reports what DVC
said. A stage that fails stops what follows from it and nothing else.

    python -m flows.reproduce                                                      # with a server of its own
    PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows.reproduce            # on the server of `make ui`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.processes import child, end_all

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


def read_graph(root: Path) -> list[Stage]:
    """The stages of ``dvc.yaml``, generation by generation: each comes after all that it reads from."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        graph = repo.index.graph  # an edge points from a stage to one that it reads from
        return [
            Stage(
                name=_address(stage, root),
                after=tuple(sorted(_address(before, root) for before in graph.successors(stage))),
                resources=str((stage.meta or {}).get("resources", "cpu")),
            )
            for generation in networkx.topological_generations(graph.reverse())
            for stage in sorted(generation, key=lambda stage: _address(stage, root))
        ]


def _address(stage: Any, root: Path) -> str:
    """What DVC calls the stage when it is started in ``root``, wherever this process was started."""
    file = Path(stage.path).relative_to(root.resolve())
    return str(stage.name) if file == Path("dvc.yaml") else f"{file}:{stage.name}"


def reproduce_stage(root: Path, stage: str, tail_lines: int = 30) -> StageResult:
    """Bring one stage up to date, whatever the state of those before it.

    Raises:
        StageFailedError: the stage's process failed.
    """
    began = time.monotonic()
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", stage]
    lines: list[str] = []
    with child(command, root, output=subprocess.PIPE) as process:
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


@task(name="stage", task_run_name="{stage}", persist_result=False)
def stage_task(root: str, stage: str) -> StageResult:
    """One stage, in a process of its own."""
    return reproduce_stage(Path(root), stage)


@task(name="publish", task_run_name="publish", retries=1, retry_delay_seconds=5, persist_result=False)
def publish_task(root: str) -> None:
    """Fill MLflow from the result files; a server that is away fails this task alone."""
    with child(["vultus", "publish", "--if-changed"], Path(root)) as process:
        if process.wait():
            raise RuntimeError("vultus publish failed: the results are in reports/, publish them later")


@flow(name="reproduce", log_prints=True)
def reproduce(root: str = ".", publish: bool = True) -> State[dict[str, str]]:
    """Reproduce every stage of ``dvc.yaml``; the run fails when a stage does, after all others were tried.

    Args:
        root: the repository, with its environment installed.
        publish: fill MLflow at the end.

    Returns:
        Name of the stage -> outcome.
    """
    folder = Path(root).resolve()
    futures: dict[str, PrefectFuture[StageResult]] = {}
    try:
        for stage in read_graph(folder):
            run = stage_task.with_options(tags=[stage.resources])
            before = [futures[name] for name in stage.after]
            futures[stage.name] = run.submit(str(folder), stage.name, wait_for=before, return_state=False)
        results = [_result_of(name, future) for name, future in futures.items()]
        if publish:
            publish_task.submit(str(folder)).wait()
    except BaseException:
        end_all()
        raise
    create_markdown_artifact(summarise(results), key="reproduction", description="what ran, was current, or failed")
    get_run_logger().info(summarise(results))
    return _final_state(results)


def _result_of(name: str, future: PrefectFuture[StageResult]) -> StageResult:
    future.wait()
    if future.state.is_completed():
        return future.result()
    error = future.result(raise_on_failure=False) if future.state.is_final() else None
    if isinstance(error, StageFailedError):
        return error.result
    if error is None:
        return StageResult(name, "blocked")
    return StageResult(name, "failed", tail=str(error))


def _final_state(results: Sequence[StageResult]) -> State[dict[str, str]]:
    outcomes: Mapping[str, str] = {result.stage: result.outcome for result in results}
    failed = [result.stage for result in results if result.outcome == "failed"]
    if failed:
        return Failed(message=f"failed: {', '.join(failed)}", data=dict(outcomes))
    return Completed(message=f"{len(results)} stages are current", data=dict(outcomes))


def main() -> None:
    """Run the flow on the repository in the present folder."""
    parser = argparse.ArgumentParser(description="Reproduce every stage of dvc.yaml as Prefect tasks.")
    parser.add_argument("--workers", type=int, default=2, help="stages at once (default 2)")
    parser.add_argument("--no-publish", action="store_true", help="leave MLflow alone")
    arguments = parser.parse_args()
    runner: Any = ThreadPoolTaskRunner(max_workers=arguments.workers)
    state = reproduce.with_options(task_runner=runner)(os.getcwd(), publish=not arguments.no_publish, return_state=True)
    raise SystemExit(0 if state.is_completed() else 1)


if __name__ == "__main__":
    main()
