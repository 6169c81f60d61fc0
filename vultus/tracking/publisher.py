"""Result files to MLflow. Publishing makes the database hold what the files say, and adds nothing twice.

One experiment a family. A run is found by its key (`vultus.tracking.results`), or, where it was followed while it
trained, by the first row of its history; what it lacks is filled in, what it has stays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vultus.core.config import load_params
from vultus.core.errors import UserError
from vultus.tracking import models, tracking_uri
from vultus.tracking.results import Data, Point, Result, TrackedRun, read_claims, read_lock, read_result

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY_TAG = "vultus.key"
LIVE_TAG = "vultus.live"
"""`fingerprint` of the history that a run has followed; set by `vultus.tracking.follower`."""
PARENT_TAG = "mlflow.parentRunId"
_SQLITE = "sqlite:///"
_BATCH = 1000
"""MLflow's limit of metrics in one request."""
_PARAMS_BATCH = 100
_TAGS_BATCH = 100

T = TypeVar("T")


@dataclass
class Published:
    """What `publish` did: systems with a new run, with one that lacked something, and with one that was whole.

    ``models`` are sentences about registered models; ``skipped`` says why a system was left out, ``unserved`` why its
    run has no model yet.
    """

    created: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    unserved: dict[str, str] = field(default_factory=dict)


def is_current(root: Path) -> bool:
    """Whether ``dvc.lock`` is what was last published to the present address; costs no import of MLflow."""
    stamp = _stamp_file(root)
    return stamp.is_file() and stamp.read_text() == _stamp(root)


def publish(root: Path, uri: str | None = None) -> Published:
    """Bring every evaluated system of ``params.yaml``, its model and its claims into MLflow.

    Args:
        root: repository root, with ``dvc.lock``, ``params.yaml``, ``models/`` and ``reports/systems/``.
        uri: tracking address; default `tracking_uri`.

    Raises:
        UserError: there is no ``dvc.lock``, or MLflow keeps its files where this address cannot reach them.
    """
    from mlflow import MlflowClient

    done = Published()
    params, lock = load_params(root / "params.yaml"), read_lock(root / "dvc.lock")
    client = MlflowClient(tracking_uri=uri or tracking_uri(root))
    for system in params["systems"]:
        try:
            result = read_result(root, system, params, lock)
        except UserError as reason:
            done.skipped[system] = str(reason)
            continue
        _publish_system(client, root, result, done)
    if (root / "claims" / "dvc.lock").is_file():
        claims = read_claims(
            root, read_lock(root / "claims" / "dvc.lock"), load_params(root / "claims" / "params.yaml")
        )
        for family, run in claims:
            writer = _Writer(client, root, experiment_of(client, family))
            writer.bring(run)
            writer.tell(done, run.name)
    if uri is None and not done.skipped:
        _stamp_file(root).parent.mkdir(parents=True, exist_ok=True)
        _stamp_file(root).write_text(_stamp(root))
    return done


def publish_point(root: Path, sweep: str, point: Mapping[str, Any]) -> Published:
    """Bring what a point of a sweep has measured into MLflow: a child of the sweep's run, without a model of its own.

    Args:
        root: the point's workspace; systems without results there are passed over.
        sweep: name of the sweep.
        point: dotted keys of ``params.yaml`` -> values.
    """
    from mlflow import MlflowClient

    done = Published()
    client = MlflowClient(tracking_uri=tracking_uri(root))
    params, lock = load_params(root / "params.yaml"), read_lock(root / "dvc.lock")
    title = ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in point.items())
    for system in params["systems"]:
        try:
            result = read_result(root, system, params, lock)
        except UserError as reason:
            done.skipped[system] = str(reason)
            continue
        child = dataclasses.replace(
            result.run,
            key=f"{result.run.key}/sweep {sweep}",
            name=f"{system}, {title}",
            tags={**result.run.tags, "sweep": sweep},
            children=(),
        )
        at = result.run.ended_at
        parent = TrackedRun(f"sweep:{sweep}", f"sweep {sweep}", {"sweep": sweep}, {}, (), at, at, children=(child,))
        writer = _Writer(client, root, experiment_of(client, result.family))
        writer.bring(parent)
        writer.tell(done, system)
    return done


def experiment_of(client: MlflowClient, family: str) -> str:
    """The id of the family's experiment, made where it is not there; artifacts lie beside an SQLite database.

    Raises:
        UserError: its artifacts can be reached through the server alone, and this client writes to the database.
    """
    uri = str(client.tracking_uri)
    local = uri.startswith(_SQLITE)
    found = client.get_experiment_by_name(family)
    if found is None:
        beside = Path(uri.removeprefix(_SQLITE)).resolve().parent / "mlartifacts" / family
        location = beside.as_uri() if local else None
        about = {"mlflow.experimentKind": "custom_model_development"}  # the page of trainings, not that of prompts
        return str(client.create_experiment(family, artifact_location=location, tags=about))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if local and str(found.artifact_location).startswith("mlflow-artifacts:"):
        raise UserError(
            f"the experiment {family} was made through a server, which keeps its files: set MLFLOW_TRACKING_URI to its"
            " address"
        )
    return str(found.experiment_id)


def _publish_system(client: MlflowClient, root: Path, result: Result, done: Published) -> None:
    writer = _Writer(client, root, experiment_of(client, result.family))
    run_id = writer.bring(result.run)
    try:
        registered = models.register(client, root, result, run_id)
    except UserError as reason:
        done.unserved[result.system] = str(reason)
    else:
        if registered:
            writer.added = True
            done.models.append(registered)
    writer.tell(done, result.system)


@dataclass
class _Writer:
    """Brings runs into one experiment, and remembers whether anything had to be written."""

    client: MlflowClient
    root: Path
    experiment: str
    created: bool = False
    added: bool = False

    def tell(self, done: Published, name: str) -> None:
        (done.created if self.created else done.completed if self.added else done.present).append(name)

    def bring(self, run: TrackedRun, parent: str = "") -> str:
        """Make the run, or add what it lacks, and its children likewise; returns its id."""
        found = self._find(run)
        if found is None:
            tags = {**run.tags, KEY_TAG: run.key, **({PARENT_TAG: parent} if parent else {})}
            began_ms = int(run.began_at * 1000)
            found = self.client.create_run(self.experiment, start_time=began_ms, run_name=run.name, tags=tags)
            self.created = True
        run_id = str(found.info.run_id)
        whole = self._complete(found, run, parent)
        for child in run.children:
            self.bring(child, run_id)
        if not whole or found.info.status != "FINISHED":
            self.client.set_terminated(run_id, "FINISHED", end_time=int(run.ended_at * 1000))
        return run_id

    def _find(self, run: TrackedRun) -> Run | None:
        """The oldest run of this key, else the one that followed the training."""
        for tag, value in ((KEY_TAG, run.key), (LIVE_TAG, run.live)):
            if value:
                query = f"tags.`{tag}` = '{value}'"
                runs = self.client.search_runs([self.experiment], query, order_by=["attributes.start_time ASC"])
                if runs:
                    return runs[0]
        return None

    def _complete(self, found: Run, run: TrackedRun, parent: str) -> bool:
        """Add tags, parameters, points, data and files that ``found`` lacks; whether there were none."""
        from mlflow.entities import Metric, Param, RunTag

        run_id, now_ms = found.info.run_id, int(run.ended_at * 1000)
        wanted = {**run.tags, KEY_TAG: run.key, **({PARENT_TAG: parent} if parent else {})}
        if found.data.tags.get(KEY_TAG) != run.key:  # it was followed live: now it gets its name
            wanted["mlflow.runName"] = run.name
        overwritten = {KEY_TAG, "mlflow.runName", PARENT_TAG}
        has = found.data.tags
        tags = [
            RunTag(name, value)
            for name, value in wanted.items()
            if name not in has or (name in overwritten and has[name] != value)
        ]
        params = [Param(name, value) for name, value in run.params.items() if name not in found.data.params]
        points = [Metric(p.name, p.value, now_ms, p.step) for p in self._missing_points(found, run.points)]
        for some_tags in _chunks(tags, _TAGS_BATCH):
            self.client.log_batch(run_id, tags=some_tags)
        for some_params in _chunks(params, _PARAMS_BATCH):
            self.client.log_batch(run_id, params=some_params)
        for some_points in _chunks(points, _BATCH):
            self.client.log_batch(run_id, metrics=some_points)
        data = self._log_data(found, run.data)
        files = self._log_files(run_id, run.files)
        whole = not (tags or params or points or data or files)
        self.added |= not whole
        return whole

    def _missing_points(self, found: Run, points: Sequence[Point]) -> list[Point]:
        """Points whose value the run has not got at their step."""
        there: set[tuple[str, float, int]] = set()
        for name in {point.name for point in points} & set(found.data.metrics):
            history = self.client.get_metric_history(found.info.run_id, name)
            there |= {(name, float(metric.value), int(metric.step)) for metric in history}
        return [point for point in points if (point.name, point.value, point.step) not in there]

    def _log_data(self, found: Run, data: Sequence[Data]) -> bool:
        """Log the data sets that the run does not name yet; whether there were any."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        logged = found.inputs.dataset_inputs if found.inputs else []
        there = {(one.dataset.name, one.dataset.digest) for one in logged}
        missing = [
            DatasetInput(
                Dataset(one.name, one.md5, "dvc", json.dumps({"path": one.path, "md5": one.md5})),
                [InputTag("mlflow.data.context", one.use)],
            )
            for one in data
            if (one.name, one.md5) not in there
        ]
        if missing:
            self.client.log_inputs(found.info.run_id, missing)
        return bool(missing)

    def _log_files(self, run_id: str, files: Sequence[Path]) -> bool:
        """Log the files that are not there in full size; whether there were any."""
        folders = sorted({str(path.parent.relative_to(self.root)) for path in files})
        there = {one.path: one.file_size for folder in folders for one in self.client.list_artifacts(run_id, folder)}
        missing = [p for p in files if there.get(str(p.relative_to(self.root))) != p.stat().st_size]
        for path in missing:
            self.client.log_artifact(run_id, str(path), artifact_path=str(path.parent.relative_to(self.root)))
        return bool(missing)


def _stamp_file(root: Path) -> Path:
    return root / ".cache" / "vultus" / "published"


def _stamp(root: Path) -> str:
    """What must be equal for publishing to be pointless; a deleted database makes it unequal."""
    locks = [path for path in (root / "dvc.lock", root / "claims" / "dvc.lock") if path.is_file()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest() if locks else "no dvc.lock"
    uri = tracking_uri(root)
    database = Path(uri.removeprefix(_SQLITE))
    there = not uri.startswith(_SQLITE) or database.is_file()
    return f"{digest} {uri} {'there' if there else f'gone {time.time_ns()}'}"


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
