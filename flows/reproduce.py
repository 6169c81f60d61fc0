"""The DVC graph as a Prefect flow: one task a stage, in parallel where the graph allows.

A task runs ``dvc repro --single-item STAGE`` as a child process, or has a worker of a work pool do so (`flows.pools`),
and its state is what DVC said: Ran, Restored, Current, Failed; a stage behind a failed one is NotReady. A stage that
fails stops what follows from it and nothing else. Cancelling the run ends the processes of its stages.

    python -m flows.reproduce                                                      # with a server of its own
    PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows.reproduce            # on the server of `make ui`
    python -m flows.reproduce --target evaluate@jaa_net --force
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Cancelled, Completed, Failed

from flows.cancellation import CancelledRunError, cancellation_check
from flows.devices import device_slot, gpus
from flows.execution import StageFailedError, StageResult, StagesFailedError, reproduce_stage, thread_share
from flows.graph import Stage, changed_stages, matching, read_graph, with_causes, with_followers
from flows.pools import checkout, pools_in_use, run_in_pool
from flows.processes import sole_use
from flows.progress import log_with_progress
from flows.publish import publish_task
from flows.schedule import run_all
from flows.summary import changed_metrics, summarise

RESULTS = Path("reports/results.csv")
ATTEMPTS = 3
"""Times that a run starts again after its process died (`flows.deploy`): then it fails for good."""


def _may_pass(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailedError) and error.may_pass


@task(
    name="stage",
    task_run_name="{stage.name}",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=_may_pass,
    persist_result=False,
)
def stage_task(
    root: str, stage: Stage, stale: bool = True, force: bool = False, pool: str = "", workers: int = 1
) -> State[StageResult]:
    """One stage, in a process of its own: here, or on a worker of ``pool`` if that is not empty.

    Args:
        root: the repository.
        stage: what to run.
        stale: whether DVC must look at it at all.
        force: run it even if it is current.
        pool: where it runs.
        workers: stages that share this machine.
    """
    say = log_with_progress()
    if not stale:
        result = StageResult(stage.name, "current")
    elif pool and stage.portable:
        result = run_in_pool(Path(root), stage, pool, force, say)
    else:
        options = ("--force",) if force else ()
        with device_slot(stage.resources, say) as device:
            environment = {**thread_share(workers), **device}
            result = reproduce_stage(Path(root), stage.name, environment, options=options, say=say)
    return Completed(name=result.outcome.capitalize(), message=f"{result.seconds:.1f} s", data=result)


@flow(name="reproduce", persist_result=False)
def reproduce(
    root: str | None = None,
    targets: list[str] | None = None,
    force: bool = False,
    pipeline: str = "dvc.yaml",
    workers: int = 2,
    pools: bool = False,
    publish: bool = True,
) -> State[dict[str, str]]:
    """Reproduce the stages of a pipeline; the run fails when a stage does, after all others were tried.

    Args:
        root: the repository, with its environment installed; default the checkout of the process that runs this.
        targets: stages (``evaluate@jaa_net``) or groups (``evaluate``) to bring up to date, with all that they read
            from; default all.
        force: run the targets even if they are current.
        pipeline: ``dvc.yaml`` or another.
        workers: stages at once; with pools, as many as all workers together take.
        pools: give each stage to the work pool of its resources, ``cpu`` or ``gpu``.
        publish: fill MLflow at the end.

    Returns:
        Name of the stage -> outcome.
    """
    if (runtime.flow_run.run_count or 0) > ATTEMPTS:
        return Failed(message=f"its process died {ATTEMPTS} times; look at the machine's memory, then run it anew")
    folder = Path(root).resolve() if root else checkout()
    log = get_run_logger()
    before = _text(folder / RESULTS)
    raise_if_cancelled = cancellation_check()
    try:
        with sole_use(folder, log.info, raise_if_cancelled):
            results = _run_stages(folder, targets or [], force, pipeline, workers, pools, raise_if_cancelled)
    except CancelledRunError:
        return Cancelled(message="the processes of its stages are ended")
    if publish:
        publish_task(str(folder), only_if_changed=True, return_state=True)
    _describe(folder, results, changed_metrics(before, _text(folder / RESULTS)))
    return final_state(results)


def _run_stages(
    folder: Path, targets: list[str], force: bool, pipeline: str, workers: int, pools: bool, tick: Callable[[], None]
) -> list[StageResult]:
    log = get_run_logger()
    stages = read_graph(folder, pipeline)
    wanted = matching(stages, targets) if targets else {stage.name for stage in stages}
    stages = with_causes(stages, wanted)
    stale = with_followers(stages, wanted if force else changed_stages(folder, [stage.name for stage in stages]))
    pool_of = pools_in_use(log.info) if pools else {}
    if not pools and not gpus() and any(stage.resources == "gpu" and stage.name in stale for stage in stages):
        log.info("this machine has no GPU: stages that want one run on its processor")
    states: dict[str, State[Any]] = {}

    def start(stage: Stage) -> StageResult:
        states[stage.name] = stage_task.with_options(tags=[stage.resources])(
            str(folder),
            stage,
            stale=stage.name in stale,
            force=force and stage.name in wanted,
            pool=pool_of.get(stage.resources, ""),
            workers=workers,
            wait_for=[states[name] for name in stage.after],
            return_state=True,
        )
        return _result_of(stage.name, states[stage.name])

    def skip(stage: Stage) -> None:
        # Prefect sees that a cause failed and sets the state NotReady: the page of the run shows the stage and why.
        causes = [states[name] for name in stage.after if name in states]
        states[stage.name] = stage_task(str(folder), stage, wait_for=causes, return_state=True)

    return run_all(stages, start, workers, skip=skip, tick=tick)


def _result_of(name: str, state: State[Any]) -> StageResult:
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, StageResult):
        return outcome
    if isinstance(outcome, StageFailedError):
        raise outcome
    raise StageFailedError(StageResult(name, "failed", tail=f"{type(outcome).__name__}: {outcome}"))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _describe(folder: Path, results: Sequence[StageResult], moved: list[dict[str, str]]) -> None:
    """The run's artifacts: all in words, the stages and the numbers that moved as tables."""
    links = [f"Report: `{folder / 'reports/site/index.html'}`", "", f"MLflow: {_mlflow_page()}", ""]
    numbers = f"{len(moved)} numbers of `{RESULTS}` differ from the last run." if moved else "No number has changed."
    text = "\n".join([summarise(results), *links, numbers])
    create_markdown_artifact(text, key="reproduction", description="what ran, was current, or failed")
    rows = [
        {"stage": r.stage, "outcome": r.outcome, "seconds": round(r.seconds, 1), "where": r.where or "here"}
        for r in results
    ]
    create_table_artifact(rows, key="stages", description="what became of each stage, and how long it took")
    create_table_artifact(moved, key="changed-metrics", description=f"numbers of {RESULTS} that moved")
    get_run_logger().info(text)


def _mlflow_page() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri if uri.startswith("http") else "http://127.0.0.1:5000 (`make ui`)"


def final_state(results: Sequence[StageResult]) -> State[dict[str, str]]:
    """The state of a flow run that ran these: Failed with the names of those that did, else Completed."""
    if any(result.outcome == "failed" for result in results):
        error = StagesFailedError(results)
        return Failed(message=str(error), data=error)
    return Completed(message=f"{len(results)} are current", data={result.stage: result.outcome for result in results})


def main() -> None:
    """Run the flow on the repository in the present folder."""
    parser = argparse.ArgumentParser(description="Reproduce every stage of dvc.yaml as Prefect tasks.")
    parser.add_argument("--target", action="append", help="a stage or group, with what it reads from; may be repeated")
    parser.add_argument("--force", action="store_true", help="run the targets even if they are current")
    parser.add_argument("--pipeline", default="dvc.yaml")
    parser.add_argument("--workers", type=int, default=2, help="stages at once (default 2)")
    parser.add_argument("--pools", action="store_true", help="give the stages to the work pools cpu and gpu")
    parser.add_argument("--no-publish", action="store_true", help="leave MLflow alone")
    arguments = parser.parse_args()
    state = reproduce(
        os.getcwd(),
        arguments.target,
        arguments.force,
        arguments.pipeline,
        arguments.workers,
        arguments.pools,
        not arguments.no_publish,
        return_state=True,
    )
    raise SystemExit(0 if state.is_completed() else 1)


if __name__ == "__main__":
    main()
