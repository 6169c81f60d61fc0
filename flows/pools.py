"""A stage on a worker of another process, folder or machine: the deployments ``stage/cpu`` and ``stage/gpu``.

The flow that reproduces the graph pushes what a stage reads to the DVC remote and starts a run of ``stage`` on a work
pool. The worker's checkout pulls, runs the stage and pushes; the first checkout restores the result and runs nothing. A
worker in the same checkout needs neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling, Completed, Failed

from flows.devices import device_slot
from flows.exchange import code_version, has_remote, lock_entries, place, take_entries
from flows.execution import StageFailedError, StageResult, reproduce_stage, run_command
from flows.graph import Stage, changed_stages
from flows.progress import log_with_progress
from flows.schedule import stopping

ATTEMPTS = 3
"""Times that a stage is given to a worker, when the workers before died."""
POLL_S = 1.0
_RESULT = "result"


def checkout() -> Path:
    """Where this process's flows work: ``VULTUS_ROOT``, else the repository that holds this file."""
    return Path(os.environ.get("VULTUS_ROOT") or Path(__file__).parents[1]).resolve()


@flow(name="stage", flow_run_name="{name}", persist_result=False)
def stage_flow(
    name: str, resources: str, force: bool = False, version: str = "", origin: str = "", entries: str = "{}"
) -> State[None]:
    """One stage, in the checkout of the worker that takes it.

    Args:
        name: the stage.
        resources: ``gpu`` waits for a free device, if there is one.
        force: run it even if it is current.
        version: of the code of the checkout that asks.
        origin: place of the checkout that asks; a worker in the same place works on its files.
        entries: what ``dvc.lock`` says there of the stages before this one.
    """
    root, say = checkout(), log_with_progress()
    options = ("--force",) if force else ()
    elsewhere = origin != place(root)
    try:
        if elsewhere:
            _prepare(root, name, version, entries, say)
            options = (*options, "--pull")
        with device_slot(resources, say) as environment:
            result = reproduce_stage(root, name, environment, options=options, say=say)
        if elsewhere:
            run_command(["dvc", "push", "--run-cache", name], root, name, say=say)
    except StageFailedError as error:
        _answer(error.result, "{}")
        return Failed(message=str(error))
    _answer(replace(result, where=place(root)), lock_entries(root, [name]) if elsewhere else "{}")
    return Completed(message=f"{result.outcome} in {result.seconds:.0f} s in {place(root)}")


def _prepare(root: Path, name: str, version: str, entries: str, say: Callable[[str], None]) -> None:
    """Bring what the stage reads from other stages into this checkout."""
    if not has_remote(root):
        reason = f"{place(root)} has no DVC remote to get the inputs from: dvc remote add -d NAME ADDRESS"
    elif code_version(root) != version:
        reason = f"the code in {place(root)} is {code_version(root)}, the run is of {version}: bring it there by git"
    else:
        take_entries(root, entries)
        if before := list(json.loads(entries)):
            run_command(["dvc", "--wait-for-lock", "pull", *before], root, name, say=say)
        return
    raise StageFailedError(StageResult(name, "failed", tail=reason))


def _answer(result: StageResult, entry: str) -> None:
    """Leave the result with this flow run, for the run that waits for it."""
    with get_client(sync_client=True) as client:
        value = json.dumps({"result": asdict(result), "entry": entry})
        client.create_flow_run_input(UUID(runtime.flow_run.id), _RESULT, value)


def pools_in_use(say: Callable[[str], None]) -> dict[str, str]:
    """Which work pool takes the stages of which resources: those for a GPU go to ``cpu`` where no GPU worker is."""
    online = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))
    with get_client(sync_client=True) as client:
        try:
            has_worker = bool(client.read_workers_for_work_pool("gpu", worker_filter=online))
        except ObjectNotFound:
            has_worker = False
    if has_worker:
        return {"cpu": "cpu", "gpu": "gpu"}
    say("no worker of the pool gpu is online: stages that want a GPU go to the pool cpu")
    return {"cpu": "cpu", "gpu": "cpu"}


def run_in_pool(root: Path, stage: Stage, pool: str, force: bool, say: Callable[[str], None]) -> StageResult:
    """Have a worker run a stage, and restore its result here.

    Args:
        root: this checkout.
        stage: what to run.
        pool: the work pool that takes it.
        force: run it even if it is current.
        say: is told where the stage is.

    Raises:
        StageFailedError: the stage failed there; or its workers died; or the worker's code is another.
    """
    began = time.monotonic()
    shared = has_remote(root)
    if shared and stage.after:
        run_command(["dvc", "--wait-for-lock", "push", *stage.after], root, stage.name, say=say)
    parameters = {
        "name": stage.name,
        "resources": stage.resources,
        "force": force,
        "version": code_version(root) if shared else "",
        "origin": place(root),
        "entries": lock_entries(root, stage.after) if shared else "{}",
    }
    for attempt in range(1, ATTEMPTS + 1):
        run = run_deployment(f"stage/{pool}", parameters=parameters, timeout=0, flow_run_name=stage.name)
        assert isinstance(run, FlowRun)
        say(f"given to the pool {pool} as run {run.name}, attempt {attempt}")
        answer = _wait_for_answer(run.id, stage.name)
        if answer is not None:
            break
        say("the worker died in the middle")
    else:
        raise StageFailedError(StageResult(stage.name, "failed", tail=f"{ATTEMPTS} workers died running it"))
    result = replace(StageResult(**answer["result"]), seconds=time.monotonic() - began)
    if result.outcome == "failed":
        raise StageFailedError(result)
    if answer["entry"] != "{}":
        if result.outcome == "current":  # there, not here
            result = replace(result, outcome="restored")
        take_entries(root, answer["entry"])
        run_command(["dvc", "--wait-for-lock", "pull", stage.name], root, stage.name, say=say)
        if changed_stages(root, [stage.name]):
            reason = f"{result.where} ran it on other code, settings or data than lie here: compare the checkouts"
            raise StageFailedError(replace(result, outcome="failed", tail=reason))
    return result


def _wait_for_answer(run: UUID, stage: str) -> dict[str, Any] | None:
    """What the worker says of its run; None if it died. Cancels the run when this one is being ended."""
    with get_client(sync_client=True) as client:
        while True:
            state = None
            with contextlib.suppress(httpx.TransportError):  # a server that is away comes back
                state = client.read_flow_run(run).state
            if state is not None and state.is_final():
                break
            if stopping():
                with contextlib.suppress(httpx.HTTPError):
                    client.set_flow_run_state(run, Cancelling())
                raise StageFailedError(StageResult(stage, "failed", tail="cancelled"))
            time.sleep(POLL_S)
        try:
            answer: dict[str, Any] = json.loads(client.read_flow_run_input(run, _RESULT))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            if state.is_crashed():
                return None
            words = state.message or str(state.name)
            raise StageFailedError(StageResult(stage, "failed", tail=words)) from None
    return answer
