"""The papers' claims, once a week: what ``make claims`` does, as a flow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.graph import read_graph
from flows.pools import checkout
from flows.processes import sole_use
from flows.reproduce import reproduce, stage_task


@flow(name="claims", persist_result=False)
def claims(root: str | None = None, workers: int = 1) -> State[Any]:
    """Bring the pipeline of the claims up to date, publish its ledger, and the report that shows it.

    Args:
        root: the repository; default the checkout of the process that runs this.
        workers: claims at once.
    """
    folder = Path(root).resolve() if root else checkout()
    state: State[Any] = reproduce(
        str(folder), pipeline="claims/dvc.yaml", workers=workers, publish=False, return_state=True
    )
    if state.is_completed():
        shutil.copyfile(folder / "reports/ledger.csv", folder / "reports/claims.csv")
        report = next(stage for stage in read_graph(folder) if stage.name == "report")
        with sole_use(folder):
            stage_task(str(folder), report)
    return state
