"""A watched folder: when files of a data set come, go or change, its tables and features are brought up to date."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.graph import read_graph
from flows.pools import checkout
from flows.reproduce import reproduce


@flow(name="new-data", flow_run_name="new-data-{dataset}", persist_result=False)
def new_data(dataset: str, root: str | None = None, settle_s: float = 60.0, workers: int = 2) -> State[Any]:
    """Look at the folder of a data set once; a schedule makes it a watch.

    New clips flow through the stages of the data set (``ingest@D`` to its feature stores) and cost one clip each; what
    was computed for the others is kept. Trainings on the data set are left to the nightly reproduction.

    Args:
        dataset: key in ``params.yaml``.
        root: the repository; default the checkout of the process that runs this.
        settle_s: files younger than this may still be arriving: the next look takes them.
        workers: stages at once.
    """
    folder = Path(root).resolve() if root else checkout()
    datasets = yaml.safe_load((folder / "params.yaml").read_text())["datasets"]
    if dataset not in datasets:
        return Failed(message=f"params.yaml has no data set {dataset!r}; there is {', '.join(datasets)}")
    watched = folder / datasets[dataset]["root"]
    seen = folder / ".cache" / "vultus" / "watched" / dataset
    files = sorted(_files(watched))
    if not files:
        return Completed(message=f"there are no files in {watched}")
    stamp = hashlib.sha256(repr(files).encode()).hexdigest()
    if seen.is_file() and seen.read_text() == stamp:
        return Completed(message=f"nothing new in {watched}: {len(files)} files")
    if time.time() - max(time_ns for _, _, time_ns in files) / 1e9 < settle_s:
        return Completed(message=f"files are still arriving in {watched}")
    targets = [stage.name for stage in read_graph(folder) if stage.name.endswith(f"@{dataset}")]
    state: State[Any] = reproduce(str(folder), targets, workers=workers, publish=False, return_state=True)
    if state.is_completed():
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.write_text(stamp)
    return state


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of each file below a folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            status = os.stat(path)
            yield path, status.st_size, status.st_mtime_ns
