"""Preprocessing in parts on Dask: a cluster of processes on this machine, or one that is there already.

Each part computes some of a data set's clips into the cache of per-clip results; the DVC stage then finds all of them
there and packs the same bytes as a serial run. An existing cluster must see the same folder as this process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect_dask.task_runners import DaskTaskRunner

from flows.execution import run_command
from flows.graph import matching, read_graph
from flows.pools import checkout
from flows.reproduce import reproduce


@task(name="shard", task_run_name="{stage}@{dataset} {part}", retries=1, persist_result=False)
def shard_task(root: str, stage: str, dataset: str, part: str) -> None:
    """One part of a stage's clips, in a process of its own."""
    command = [sys.executable, "-m", "stages.shard", "--store", stage, "--dataset", dataset, "--part", part]
    run_command(command, Path(root), f"{stage}@{dataset} {part}", {"OMP_NUM_THREADS": "1"}, say=get_run_logger().info)


@flow(name="fan-out", persist_result=False)
def fan_out(root: str, stage: str, dataset: str, parts: int) -> None:
    """All parts at once, as the task runner allows; a part that fails is computed by the stage itself."""
    futures = [shard_task.submit(root, stage, dataset, f"{part}/{parts}") for part in range(1, parts + 1)]
    for future in futures:
        future.wait()


@flow(name="shards", flow_run_name="{stage}@{dataset}", persist_result=False)
def shards(
    stage: str, dataset: str, parts: int = 4, address: str | None = None, workers: int = 2, root: str | None = None
) -> State[Any]:
    """Bring a feature store up to date, its clips computed in parts.

    Args:
        stage: group of stages that builds a store clip by clip: landmarks, crops, faces, audio.
        dataset: key in ``params.yaml``.
        parts: how many.
        address: of a Dask scheduler; default a cluster on this machine for the time of this run.
        workers: processes of that cluster.
        root: the repository; default the checkout of the process that runs this.
    """
    folder = Path(root).resolve() if root else checkout()
    name = f"{stage}@{dataset}"
    graph = read_graph(folder)
    matching(graph, [name])
    causes = next(item.after for item in graph if item.name == name)
    if causes:
        before: State[Any] = reproduce(str(folder), list(causes), workers=workers, publish=False, return_state=True)
        if not before.is_completed():
            return before
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    runner: Any = DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=local)
    fan_out.with_options(task_runner=runner)(str(folder), stage, dataset, parts, return_state=True)
    after: State[Any] = reproduce(str(folder), [name], workers=workers, publish=False, return_state=True)
    return after
