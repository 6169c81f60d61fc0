"""The DVC graph as a Prefect flow: one task a stage, in parallel where the graph allows.

A task runs ``dvc repro --single-item STAGE`` as a child process (`flows.graph`) and reports what DVC said. A stage that
fails stops what follows from it and nothing else.

    python -m flows.reproduce                                                      # with a server of its own
    PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows.reproduce            # on the server of `make ui`
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.graph import StageFailedError, StageResult, read_graph, reproduce_stage, summarise
from flows.processes import child, end_all


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
