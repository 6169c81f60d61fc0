"""Result files to MLflow, the one place that imports it.

The files are the truth; MLflow is a view of them that can be thrown away and filled again. A run's key is the stage and
the hash of its entry in ``dvc.lock``: publishing twice makes one run, a result that changed makes a new one beside the
old.

One experiment a family. The parent run is a system on a protocol and carries the headline metrics under the same names
for every system of the family; its children are the folds and carry what was measured after each epoch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from vultus.core.config import load_params
from vultus.core.errors import UserError
from vultus.core.results import SYNTHETIC_SOURCE

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "vultus.key"
COMPLETE_TAG = "vultus.complete"
_BATCH = 1000
"""MLflow's limit of metrics in one request."""
_PARAMS_BATCH = 100
_VALUE_LENGTH = 6000
"""MLflow's limit of characters in a parameter."""


@dataclass(frozen=True)
class Result:
    """What the stages wrote about one system, read back from its files.

    ``metrics`` is flat; ``history`` has the columns of ``models/S/history.parquet``; ``params`` are dotted names to
    values; ``files`` are logged as artifacts, each under its path relative to the repository; ``trained_at`` is when
    the files were written, in seconds since 1970.
    """

    system: str
    family: str
    dataset: str
    protocol: str
    key: str
    synthetic: bool
    split_hash: str
    params: dict[str, str]
    metrics: dict[str, float]
    history: pd.DataFrame
    files: tuple[Path, ...]
    trained_at: float


@dataclass
class Published:
    """What `publish` did, by system."""

    created: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def tracking_uri(root: Path) -> str:
    """``MLFLOW_TRACKING_URI``, else the SQLite file ``mlflow.db`` in the repository root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def is_current(root: Path) -> bool:
    """Whether ``dvc.lock`` is what was last published to the present address; costs no import of MLflow."""
    stamp = _stamp_file(root)
    return stamp.is_file() and stamp.read_text() == _stamp(root)


def publish(root: Path, uri: str | None = None) -> Published:
    """Bring every evaluated system of ``params.yaml`` into MLflow; existing runs are left as they are.

    Args:
        root: repository root, with ``dvc.lock``, ``params.yaml``, ``models/`` and ``reports/systems/``.
        uri: tracking address; default `tracking_uri`.

    Raises:
        UserError: there is no ``dvc.lock``.
    """
    from mlflow import MlflowClient

    done = Published()
    client = MlflowClient(tracking_uri=uri or tracking_uri(root))
    params = load_params(root / "params.yaml")
    lock = _read_lock(root)
    for system in params["systems"]:
        try:
            result = read_result(root, system, params, lock)
        except UserError as reason:
            done.skipped[system] = str(reason)
            continue
        experiment = _experiment(client, root, result.family)
        if _find_complete(client, experiment, result.key):
            done.present.append(system)
        else:
            _log_result(client, root, experiment, result)
            done.created.append(system)
    if uri is None and not done.skipped:
        _stamp_file(root).parent.mkdir(parents=True, exist_ok=True)
        _stamp_file(root).write_text(_stamp(root))
    return done


def read_result(root: Path, system: str, params: Mapping[str, Any], lock: Mapping[str, Any]) -> Result:
    """Read one system's result files.

    Args:
        root: repository root.
        system: key in ``params["systems"]``.
        params: the content of ``params.yaml``.
        lock: the ``stages`` of ``dvc.lock``.

    Raises:
        UserError: the system was not evaluated, or its files are not those that ``dvc.lock`` describes.
    """
    section = params["systems"][system]
    stage = f"evaluate@{system}"
    folder, models = root / "reports" / "systems" / system, root / "models" / system
    if stage not in lock:
        raise UserError(f"{system} has not been evaluated: run `make repro`")
    for out in lock[stage]["outs"]:
        path = root / out["path"]
        if not path.exists():
            raise UserError(f"{path} is missing: run `make repro`")
        if path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() != out["md5"]:
            raise UserError(f"{path} is not the file that dvc.lock describes: run `make repro`")

    metrics = json.loads((folder / "metrics.json").read_text())
    rows = pd.read_csv(folder / "results.csv", dtype={"split_hash": str})
    history_file = models / "history.parquet"
    configs = sorted(models.glob("fold_*/config.yaml"))
    dataset = section["dataset"]
    return Result(
        system=system,
        family=section["family"],
        dataset=dataset,
        protocol=section["protocol"],
        key=f"{stage}:{entry_hash(lock[stage])}",
        synthetic=params["datasets"].get(dataset, {}).get("source") == SYNTHETIC_SOURCE,
        split_hash=" ".join(sorted(set(rows["split_hash"].dropna()))),
        params=_flat({"seed": params["seed"], **section, **_trained(models, configs)}),
        metrics={_mlflow_name(name): float(v) for name, v in metrics.items() if isinstance(v, int | float)},
        history=pd.read_parquet(history_file) if history_file.is_file() else pd.DataFrame(),
        files=(
            *(folder / name for name in ("metrics.json", "results.csv", "curves.csv") if (folder / name).is_file()),
            *sorted((folder / "pictures").glob("*")),
            *configs,
            *([models / "training.json"] if (models / "training.json").is_file() else []),
        ),
        trained_at=(folder / "metrics.json").stat().st_mtime,
    )


def entry_hash(entry: Mapping[str, Any]) -> str:
    """12 hex digits of a stage's entry in ``dvc.lock``: its command and the hashes of all it read and wrote."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _read_lock(root: Path) -> dict[str, Any]:
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text())
    except FileNotFoundError:
        raise UserError(f"{root / 'dvc.lock'} is missing: nothing has run yet; run `make repro`") from None
    return dict(lock.get("stages") or {})


def _stamp_file(root: Path) -> Path:
    return root / ".cache" / "vultus" / "published"


def _stamp(root: Path) -> str:
    """What must be equal for publishing to be pointless; a deleted database makes it unequal."""
    lock, uri = root / "dvc.lock", tracking_uri(root)
    digest = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "no dvc.lock"
    database = Path(uri.removeprefix("sqlite:///"))
    there = not uri.startswith("sqlite:///") or database.is_file()
    return f"{digest} {uri} {'there' if there else f'gone {time.time_ns()}'}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mapping -> ``{"train.epochs": "12"}``."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)[:_VALUE_LENGTH]
    return flat


def _trained(models: Path, configs: list[Path]) -> dict[str, Any]:
    """What the first fold was trained with, defaults included."""
    trained: dict[str, Any] = {}
    if (models / "training.json").is_file():
        summary = json.loads((models / "training.json").read_text())
        trained |= {name: summary[name] for name in ("train", "parameters", "code") if name in summary}
    if configs:
        trained["config"] = yaml.safe_load(configs[0].read_text())
    return trained


def _experiment(client: MlflowClient, root: Path, family: str) -> str:
    found = client.get_experiment_by_name(family)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    local = str(client.tracking_uri).startswith("sqlite:///")
    location = (root.resolve() / "mlartifacts" / family).as_uri() if local else None
    about = {"mlflow.experimentKind": "custom_model_development"}  # the page of trainings, not that of prompts
    return str(client.create_experiment(family, artifact_location=location, tags=about))


def _find_complete(client: MlflowClient, experiment: str, key: str) -> bool:
    """Whether the parent run is there and whole; what a publisher that was interrupted left behind is deleted."""
    runs = client.search_runs([experiment], filter_string=f"tags.`{KEY_TAG}` = '{key}'")
    if any(run.data.tags.get(COMPLETE_TAG) == "true" for run in runs):
        return True
    for run in runs:
        client.delete_run(run.info.run_id)
    return False


def _log_result(client: MlflowClient, root: Path, experiment: str, result: Result) -> None:
    from mlflow.entities import Metric, Param, RunTag

    ended_ms = int(result.trained_at * 1000)

    def start(name: str, tags: Mapping[str, str], history: pd.DataFrame) -> str:
        began_ms = ended_ms - int(_seconds(history) * 1000)
        tags = {KEY_TAG: result.key, **tags}
        return str(client.create_run(experiment, start_time=began_ms, run_name=name, tags=tags).info.run_id)

    def log(run: str, params: Mapping[str, str], metrics: list[tuple[str, float, int]]) -> None:
        for names in _chunks(list(params), _PARAMS_BATCH):
            client.log_batch(run, params=[Param(name, params[name]) for name in names])
        for chunk in _chunks(metrics, _BATCH):
            client.log_batch(run, metrics=[Metric(name, value, ended_ms, step) for name, value, step in chunk])

    title = f"{result.system} on {result.dataset}" + (" (synthetic)" if result.synthetic else "")
    about = {
        "system": result.system,
        "dataset": result.dataset,
        "protocol": result.protocol,
        "synthetic": str(result.synthetic).lower(),
        "split_hash": result.split_hash,
    }
    if result.synthetic:
        about["mlflow.note.content"] = "Measured on synthetic people: comparable with runs of this data set alone."
    parent = start(title, about, result.history)
    final = [(name, value, 0) for name, value in result.metrics.items() if not math.isnan(value)]
    log(parent, result.params, final + _epoch_metrics(result.history))
    for path in result.files:
        client.log_artifact(parent, str(path), artifact_path=str(path.parent.relative_to(root)))
    for fold, rows in _folds(result.history):
        child = start(f"{result.system}, fold {fold}", {**about, "fold": fold, "mlflow.parentRunId": parent}, rows)
        log(child, {**result.params, "fold": fold}, _epoch_metrics(rows))
        client.set_terminated(child, end_time=ended_ms)
    client.set_terminated(parent, end_time=ended_ms)
    client.log_batch(parent, tags=[RunTag(COMPLETE_TAG, "true")])


def _seconds(history: pd.DataFrame) -> float:
    """Length of a training: its phases, one fold after the other."""
    return float(history.groupby(["fold", "phase"])["seconds"].max().sum()) if len(history) else 0.0


def _folds(history: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "fold" in history:
        for fold in history["fold"].unique():
            yield str(fold), history[history["fold"] == fold]


def _mlflow_name(metric: str) -> str:
    """``WER@general_lm`` as ``WER:general_lm``: MLflow allows no @."""
    return metric.replace("@", ":")


def _epoch_metrics(history: pd.DataFrame) -> list[tuple[str, float, int]]:
    """(``split/name``, value, epoch), averaged over what was measured more than once in an epoch and over folds."""
    if history.empty:
        return []
    phases = history["phase"].nunique() > 1
    rows = history.dropna(subset=["value"])
    means = rows.groupby(["phase", "split", "name", "epoch"], sort=True)["value"].mean().reset_index()
    names = means["split"] + "/" + means["name"]
    if phases:
        names = means["phase"].astype(str) + "/" + names
    names = names.map(_mlflow_name)
    return list(zip(names, means["value"].astype(float), means["epoch"].astype(int), strict=True))


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
