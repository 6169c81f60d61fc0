"""Whether somebody has cancelled a flow run on Prefect's pages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect import runtime
from prefect.client.orchestration import get_client


class CancelledRunError(Exception):
    """Somebody cancelled the flow run."""


def cancellation_check() -> Callable[[], None]:
    """Raises `CancelledRunError` once somebody has cancelled this run or the run that it is a part of.

    A worker ends a cancelled run by a signal; a run that was started from a shell has nobody who does.
    """
    runs = {UUID(run) for run in (runtime.flow_run.id, runtime.flow_run.root_flow_run_id) if run}

    def check() -> None:
        # A server that is away stops no stage.
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            for run in runs:
                state = client.read_flow_run(run).state
                if state is not None and (state.is_cancelling() or state.is_cancelled()):
                    raise CancelledRunError

    return check
