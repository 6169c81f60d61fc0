"""A grid over keys of ``params.yaml``: each point in a workspace of its own, a child run in MLflow."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.cancellation import CancelledRunError, cancellation_check
from flows.devices import device_slot
from flows.execution import StageFailedError, StageResult, run_command, thread_share
from flows.graph import Stage, output_paths
from flows.pools import checkout
from flows.processes import sole_use
from flows.progress import log_with_progress
from flows.reproduce import final_state
from flows.schedule import run_all


def points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the values, as dotted key -> value."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def slug(point: Mapping[str, Any]) -> str:
    """A name for a point, as its folder: the last part of each key with its value."""
    parts = (f"{key.rpartition('.')[2]}={json.dumps(value)}" for key, value in point.items())
    return ",".join("".join(c if c.isalnum() or c in "=.-_" else "_" for c in part) for part in parts)


def with_values(params: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the values of a point; a section that several systems share is changed for one alone.

    Raises:
        ValueError: a key lies in no section of the settings.
    """
    changed: dict[str, Any] = json.loads(json.dumps(params))  # resolves YAML's anchors into copies
    for key, value in point.items():
        *sections, name = key.split(".")
        place = changed
        for section in sections:
            if not isinstance(place.get(section), dict):
                raise ValueError(f"params.yaml has no section {section!r} of {key!r}; there is {', '.join(place)}")
            place = place[section]
        place[name] = value
    return changed


def make_workspace(root: Path, folder: Path, point: Mapping[str, Any]) -> None:
    """A checkout of the committed code with the point's settings; it shares the cache, so that nothing runs twice.

    Args:
        root: the repository; its ``params.yaml`` and ``dvc.lock`` are taken as they lie.
        folder: the workspace; one that exists keeps its commit and its results.
        point: dotted keys of ``params.yaml`` -> values.
    """
    params = with_values(yaml.safe_load((root / "params.yaml").read_text()), point)
    if not folder.exists():
        _say(root, "git", "worktree", "prune")
        _say(root, "git", "worktree", "add", "--detach", str(folder), "HEAD")
        shutil.copyfile(root / "dvc.lock", folder / "dvc.lock")
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    cache = _say(root, "dvc", "cache", "dir").strip()
    _say(folder, "dvc", "config", "--local", "cache.dir", str((root / cache).resolve()))
    _say(folder, "dvc", "config", "--local", "cache.type", "reflink,symlink,copy")
    made = output_paths(root)
    for dataset in params.get("datasets", {}).values():
        data = root / dataset["root"]
        link = folder / dataset["root"]
        if data.resolve() not in made and data.exists() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(data.resolve())


def _say(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed in {folder}:\n{done.stderr.strip()}")
    return done.stdout


@task(name="point", task_run_name="{point}", persist_result=False)
def point_task(
    root: str, folder: str, point: str, values: dict[str, Any], targets: list[str], sweep_name: str, workers: int
) -> StageResult:
    """One point: make its workspace, bring the targets up to date there, publish what came out.

    Args:
        root: the repository.
        folder: the point's workspace.
        point: its name.
        values: dotted keys of ``params.yaml`` -> values.
        targets: stages to bring up to date, with all that they read from.
        sweep_name: the parent run in MLflow; empty publishes nothing.
        workers: points at once.
    """
    say, workspace = log_with_progress(), Path(folder)
    make_workspace(Path(root), workspace, values)
    with sole_use(workspace, say), device_slot("gpu", say) as device:
        environment = {**thread_share(workers), **device}
        result = run_command(["dvc", "repro", *targets], workspace, point, environment, say=say)
    if sweep_name:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(root) / 'mlflow.db'}"
        command = ["vultus", "publish", "--sweep", sweep_name, "--point", json.dumps(values)]
        run_command(command, workspace, point, {"MLFLOW_TRACKING_URI": uri}, say=say)
    return result


@flow(name="sweep", flow_run_name="sweep-{name}", persist_result=False)
def sweep(
    grid: dict[str, list[Any]],
    targets: list[str],
    name: str = "grid",
    root: str | None = None,
    workers: int = 1,
    publish: bool = True,
) -> State[dict[str, str]]:
    """Try every combination of values; the same sweep again goes on where it stopped.

    The workspaces stay in ``.cache/vultus/sweeps/NAME``; ``git worktree remove`` deletes one.

    Args:
        grid: dotted key of ``params.yaml`` -> values.
        targets: stages to bring up to date at each point, such as ``evaluate@jaa_net``.
        name: of the sweep, its folder and its parent run in MLflow.
        root: the repository, with its code committed; default the checkout of the process that runs this.
        workers: points at once.
        publish: fill MLflow.

    Returns:
        Name of the point -> outcome.
    """
    home = Path(root).resolve() if root else checkout()
    folder = home / ".cache" / "vultus" / "sweeps" / name
    grid_points = {slug(point): point for point in points(grid)}

    def start(item: Stage) -> StageResult:
        place = str(folder / item.name)
        values = grid_points[item.name]
        sweep_name = name if publish else ""
        try:
            return point_task(str(home), place, item.name, values, targets, sweep_name, workers)
        except (RuntimeError, ValueError) as error:
            raise StageFailedError(StageResult(item.name, "failed", tail=str(error))) from error

    items = [Stage(point, (), "gpu") for point in grid_points]
    try:
        results = run_all(items, start, workers, tick=cancellation_check())
    except CancelledRunError:
        return Cancelled(message="the processes of its points are ended")
    rows = [
        {"point": r.stage, "outcome": r.outcome, **grid_points[r.stage], **_metrics(folder / r.stage)} for r in results
    ]
    create_table_artifact(rows, key="sweep", description="the points, and what was measured there")
    return final_state(results)


def _metrics(workspace: Path) -> dict[str, Any]:
    """The metrics of a workspace that were measured with its settings, as file:name -> value."""
    shown = subprocess.run(["dvc", "metrics", "show", "--json"], cwd=workspace, capture_output=True, text=True)
    if shown.returncode:
        return {}
    files = json.loads(shown.stdout)[""]["data"]
    return {f"{file}:{key}": value for file, content in files.items() for key, value in content.get("data", {}).items()}
