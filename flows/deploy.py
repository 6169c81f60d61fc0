"""Brings ``prefect.yaml`` to a Prefect server: work pools, deployments, and what happens when a run dies.

    PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows.deploy

May be run again: what is there is brought up to date.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from prefect.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.exceptions import ObjectNotFound

POOLS = ("cpu", "gpu")
SILENCE = timedelta(seconds=90)
"""A run that was not heard of for this long is Crashed; runs send a sign every 30 s (``.env``)."""

PAUSE = timedelta(seconds=30)
"""Between a crash and the next attempt."""

_RUNS: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}


def automations() -> list[AutomationCore]:
    """A silent run is Crashed; a crashed reproduction starts again (at most `flows.reproduce.ATTEMPTS` times)."""
    silent = EventTrigger(
        posture=Posture.Proactive,
        match=_RUNS,
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        threshold=1,
        within=SILENCE,
    )
    # A moment later, when the worker has put the dead process away, and only if nobody else has started the run again.
    crashed = EventTrigger(
        posture=Posture.Proactive,
        match=_RUNS,
        match_related={"prefect.resource.role": "deployment", "prefect.resource.name": ["nightly", "weekly", "sweep"]},
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.Crashed"},
        expect={"prefect.flow-run.*"},
        threshold=1,
        within=PAUSE,
    )
    return [
        Automation(
            name="silent run",
            description="A run that sends no sign of life has died with its machine: it is Crashed.",
            trigger=silent,
            actions=[_change(StateType.CRASHED, "Crashed", f"not heard of for {SILENCE.seconds} s")],
        ),
        Automation(
            name="crashed run",
            description="A reproduction whose process died starts again and goes on where it stopped.",
            trigger=crashed,
            actions=[_change(StateType.SCHEDULED, "AwaitingRetry", "its process died")],
        ),
    ]


def _change(state: StateType, name: str, message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=state, name=name, message=message, force=False)


def deploy(root: Path) -> None:
    """Bring pools, deployments and automations of a repository to the server of ``PREFECT_API_URL``.

    Raises:
        SystemExit: Prefect does not take ``prefect.yaml``; its words are on the terminal.
    """
    with get_client(sync_client=True) as client:
        for pool in POOLS:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"), overwrite=True)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    if code := subprocess.run(command, cwd=root).returncode:
        raise SystemExit(code)
    bring_automations()


def bring_automations() -> None:
    """Make the server's automations those of `automations`."""
    for automation in automations():
        try:
            there = Automation.read(name=automation.name)
        except (ValueError, ObjectNotFound):
            Automation(**automation.model_dump()).create()
        else:
            assert isinstance(there, Automation)
            Automation(**{**automation.model_dump(), "id": there.id}).update()


if __name__ == "__main__":
    deploy(Path(__file__).parents[1])
