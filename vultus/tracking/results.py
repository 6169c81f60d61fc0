"""From the result files to the runs that MLflow should hold; knows nothing of MLflow.

A parent run is a system on a protocol and carries the final metrics under the same names for every system of its
family; its children are the folds, with what was measured after each epoch. The claims of a system are a second parent,
its children the arms, one run for each seed.

A run's key is a stage with the hash of its entry in ``dvc.lock``: the same files have the same key for ever.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from vultus.core.errors import UserError
from vultus.core.history import HistoryRow
from vultus.core.results import SYNTHETIC_SOURCE

SYNTHETIC_NOTE = "Measured on synthetic people: comparable with runs of this data set alone."
SMALLER_IS_BETTER = frozenset({"WER", "PER", "NME", "LPIPS", "LMD", "AUE", "EFID", "ECE", "CrossEntropy"})
"""Validation metrics that select by the smaller value, where the training settings do not say which way is better."""
_VALUE_LENGTH = 6000
"""MLflow's limit of characters in a parameter."""


@dataclass(frozen=True)
class Point:
    """A number of a run; ``step`` is the epoch, 0 for final metrics."""

    name: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class Data:
    """Data that a run read, as ``dvc.lock`` names it."""

    name: str
    """``world/crops``."""
    path: str
    md5: str
    use: str
    """``training`` or ``testing``."""


@dataclass(frozen=True)
class Validation:
    """What the selected weights reached on the validation people, averaged over folds."""

    metric: str
    value: float
    higher_is_better: bool

    def beats(self, other: Validation) -> bool:
        """Whether this is the better one; False where the two measured different things."""
        if (self.metric, self.higher_is_better) != (other.metric, other.higher_is_better):
            return False
        return self.value > other.value if self.higher_is_better else self.value < other.value


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow should hold it.

    ``began_at`` and ``ended_at`` are seconds since 1970; ``files`` are logged as artifacts, each under its path in the
    repository; ``live`` is the `fingerprint` under which the run was followed while it trained.
    """

    key: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    points: tuple[Point, ...]
    began_at: float
    ended_at: float
    files: tuple[Path, ...] = ()
    data: tuple[Data, ...] = ()
    live: str = ""
    children: tuple[TrackedRun, ...] = ()


@dataclass(frozen=True)
class Result:
    """What the stages wrote about one system: its run, and what its model is registered with."""

    system: str
    family: str
    run: TrackedRun
    split_hash: str
    validation: Validation | None
    """None where the training selects nothing on validation people."""


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
    _check_files(root, stage, lock)
    summary = json.loads((models / "training.json").read_text()) if (models / "training.json").is_file() else {}
    history_file = models / "history.parquet"
    history = pd.read_parquet(history_file) if history_file.is_file() else pd.DataFrame()
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = pd.read_csv(folder / "results.csv", dtype={"split_hash": str, "judge": str})
    configs = sorted(models.glob("fold_*/config.yaml"))

    synthetic = params["datasets"].get(section["dataset"], {}).get("source") == SYNTHETIC_SOURCE
    split_hash = " ".join(sorted(set(rows["split_hash"].dropna())))
    tags = {
        "system": system,
        "dataset": section["dataset"],
        "protocol": section["protocol"],
        "synthetic": str(synthetic).lower(),
        "split_hash": split_hash,
        "judge": "; ".join(sorted(set(rows["judge"].dropna()))) or "none",
        **({"code": summary["code"]} if "code" in summary else {}),
        **_provenance(root),
        "mlflow.source.name": str(lock[stage].get("cmd", "")),
        "mlflow.source.type": "LOCAL",
        **({"mlflow.note.content": SYNTHETIC_NOTE} if synthetic else {}),
    }
    trained = {name: summary[name] for name in ("train", "parameters") if name in summary}
    config = {"config": yaml.safe_load(configs[0].read_text())} if configs else {}
    settings = flat({"seed": params["seed"], **section, **trained, **config})
    ended_at = (folder / "metrics.json").stat().st_mtime
    key = f"{stage}:{entry_hash(lock[stage])}"
    name = f"{system} on {section['dataset']}" + (" (synthetic)" if synthetic else "")

    def fold_run(fold: str, own: pd.DataFrame) -> TrackedRun:
        return TrackedRun(
            key=f"{key}/{fold}",
            name=f"{system}, fold {fold}",
            tags={**tags, "fold": fold},
            params={**settings, "fold": fold},
            points=epoch_points(own),
            began_at=ended_at - _seconds(own),
            ended_at=ended_at,
            live=fingerprint(_records(own)[0]),
        )

    run = TrackedRun(
        key=key,
        name=name,
        tags=tags,
        params=settings,
        points=(*_final_points(metrics), *epoch_points(history)),
        began_at=ended_at - _seconds(history),
        ended_at=ended_at,
        files=(
            *(folder / name for name in ("metrics.json", "results.csv", "curves.csv") if (folder / name).is_file()),
            *sorted((folder / "pictures").glob("*")),
            *configs,
            *([models / "training.json"] if summary else []),
        ),
        data=(*_data(lock.get(f"train@{system}", {}), "training"), *_data(lock[stage], "testing")),
        children=tuple(fold_run(fold, own) for fold, own in _folds(history)),
    )
    return Result(system, section["family"], run, split_hash, _validation(summary))


def read_claims(root: Path, lock: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, TrackedRun]]:
    """The family and the run of every system whose claims were measured; an arm with a seed is a child.

    Args:
        root: repository root.
        lock: the ``stages`` of ``claims/dvc.lock``.
        params: the content of ``claims/params.yaml``.

    Raises:
        UserError: a file is not the one that the lock describes.
    """
    for stage, entry in lock.items():
        name, _, system = stage.partition("@")
        if name != "claim":
            continue
        path = root / "reports" / "claims" / system / "replicates.parquet"
        if not path.is_file():
            raise UserError(f"{path} is missing: run `make claims`")
        section = params["systems"][system]
        table = pd.read_parquet(path)
        values = table[table["replicate"] == -1]
        at, key = path.stat().st_mtime, f"{stage}:{entry_hash(entry)}"
        tags = {"system": system, "dataset": section["dataset"], "protocol": section["protocol"], **_provenance(root)}
        children = tuple(
            TrackedRun(
                key=f"{key}/{arm}/{seed}",
                name=f"{arm}, seed {seed}",
                tags={**tags, "arm": str(arm), "seed": str(seed)},
                params={"arm": str(arm), "seed": str(seed)},
                points=tuple(Point(mlflow_name(m), float(v)) for m, v in zip(own["metric"], own["value"], strict=True)),
                began_at=at,
                ended_at=at,
            )
            for (arm, seed), own in values.groupby(["arm", "seed"], sort=True)
        )
        yield (
            section["family"],
            TrackedRun(key, f"{system}, claims", tags, {}, (), at, at, files=(path,), children=children),
        )


def read_lock(path: Path) -> dict[str, Any]:
    """The ``stages`` of a lock file of DVC.

    Raises:
        UserError: there is none.
    """
    try:
        lock = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: nothing has run yet; run `make repro`") from None
    return dict(lock.get("stages") or {})


def entry_hash(entry: Mapping[str, Any]) -> str:
    """12 hex digits of a stage's entry in ``dvc.lock``: its command and the hashes of all it read and wrote."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()[:12]


def fingerprint(row: Mapping[str, Any]) -> str:
    """12 hex digits of the first row of a fold's history: by them a run that was followed live is found again.

    The row holds its measured value and the clock's seconds to the millisecond, in ``history.jsonl`` as in
    ``history.parquet``.
    """
    values = [str(row["fold"]), str(row["phase"]), int(row["epoch"]), int(row["step"]), str(row["split"])]
    values += [str(row["name"]), float(row["value"]), float(row["seconds"])]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def point(row: HistoryRow, only_phase: bool = False) -> Point:
    """``validation/F1`` at its epoch; one of several phases stands before it: ``generator/train/total``.

    The phase of the shared loop, ``train``, is the main one and never named.
    """
    phase = "" if only_phase or row.phase == "train" else f"{row.phase}/"
    return Point(mlflow_name(f"{phase}{row.split}/{row.name}"), row.value, row.epoch)


def epoch_points(history: pd.DataFrame) -> tuple[Point, ...]:
    """The `point` of each row, averaged over what was measured more than once in an epoch and over folds."""
    if history.empty:
        return ()
    alone = history["phase"].nunique() == 1
    points = [point(HistoryRow(**row), alone) for row in _records(history.dropna(subset=["value"]))]
    table = pd.DataFrame(points, columns=list(Point.__dataclass_fields__))
    means = table.groupby(["name", "step"], sort=True)["value"].mean().reset_index()
    return tuple(Point(row["name"], float(row["value"]), int(row["step"])) for row in _records(means))


def mlflow_name(metric: str) -> str:
    """``WER@general_lm`` as ``WER:general_lm``: MLflow allows no @."""
    return metric.replace("@", ":")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow's parameters: ``{"train.epochs": "12"}``."""
    settings: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            settings |= flat(value, f"{prefix}{name}.")
        else:
            settings[f"{prefix}{name}"] = str(value)[:_VALUE_LENGTH]
    return settings


def _check_files(root: Path, stage: str, lock: Mapping[str, Any]) -> None:
    if stage not in lock:
        raise UserError(f"{stage.partition('@')[2]} has not been evaluated: run `make repro`")
    for out in lock[stage]["outs"]:
        path = root / out["path"]
        if not path.exists():
            raise UserError(f"{path} is missing: run `make repro`")
        if path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() != out["md5"]:
            raise UserError(f"{path} is not the file that dvc.lock describes: run `make repro`")


def _provenance(root: Path) -> dict[str, str]:
    """The commit, marked when tracked files differ from it, and the hash of ``dvc.lock``."""
    lock = hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()[:12]
    describe = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    said = subprocess.run(describe, cwd=root, capture_output=True, text=True)
    commit = said.stdout.strip() if said.returncode == 0 else "unknown"
    return {"dvc_lock": lock, "git_commit": commit, "mlflow.source.git.commit": commit.removesuffix("-dirty")}


def _data(entry: Mapping[str, Any], use: str) -> tuple[Data, ...]:
    """Data sets among a stage's dependencies: ``data/features/world/crops`` is ``world/crops``."""
    paths = [(str(dep["path"]), str(dep["md5"])) for dep in entry.get("deps", ()) if "md5" in dep]
    return tuple(Data("/".join(path.split("/")[2:]), path, md5, use) for path, md5 in paths if path.startswith("data/"))


def _validation(summary: Mapping[str, Any]) -> Validation | None:
    """Of the last phase of each fold."""
    last = [list(fold["phases"].values())[-1] for fold in summary.get("folds", ()) if fold["phases"]]
    if not last or any(phase.get("value") is None for phase in last):
        return None
    metric, train = str(last[0]["metric"]), summary.get("train", {})
    goal = train.get("select_goal") if train.get("select") == metric else None
    higher = goal == "max" if goal else metric not in SMALLER_IS_BETTER
    return Validation(metric, sum(float(phase["value"]) for phase in last) / len(last), higher)


def _final_points(metrics: Mapping[str, Any]) -> tuple[Point, ...]:
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
    return tuple(Point(mlflow_name(name), value) for name, value in numbers.items() if not math.isnan(value))


def _seconds(history: pd.DataFrame) -> float:
    """Length of a training: its phases, one fold after the other."""
    return float(history.groupby(["fold", "phase"])["seconds"].max().sum()) if len(history) else 0.0


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _folds(history: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "fold" in history:
        for fold in history["fold"].unique():
            yield str(fold), history[history["fold"] == fold]
