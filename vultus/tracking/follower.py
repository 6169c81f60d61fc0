"""Trainings in MLflow while they run, from outside: the training does not know that it is watched.

A training writes ``history.jsonl`` beside its resume files, whether anybody reads it or not. The follower, a process of
its own, reads the new rows every few seconds and sends them. A server that is slow, away or dead delays the follower
alone; the rows wait in the file, and what it could not send before a training ended is filled in by `publish`, which
finds the followed run by the first row of its history and makes it the run of the fold.

A fit of a system's own that leaves no resume file cannot be told apart by its folder and is not shown before it is
published.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.history import HistoryRow
from vultus.tracking import tracking_uri
from vultus.tracking.publisher import LIVE_TAG, experiment_of
from vultus.tracking.results import Point, fingerprint, flat, point

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHECKPOINTS = Path(".cache/vultus/checkpoints")
TRAINING_TAG = "vultus.training"
"""Name of the folder of resume files: a training that was killed goes on under it."""
_PATIENCE_S = 60.0
"""Longest pause after a server that did not answer."""


@dataclass
class Training:
    """A training as far as it was sent."""

    run_id: str = ""
    """Empty until the run is made or found again."""
    sent: set[tuple[str, int]] = field(default_factory=set)
    """Name and step of the points that the server has."""
    first: str = ""
    """`fingerprint` that the run is tagged with."""
    size: int = -1
    """Bytes of ``history.jsonl`` when everything in it was sent."""


class Follower:
    """Mirrors the trainings of a repository.

    Args:
        root: the repository.
        client: of the tracking server.
    """

    def __init__(self, root: Path, client: MlflowClient) -> None:
        self.folder = root / CHECKPOINTS
        self.client = client
        self.trainings: dict[str, Training] = {}

    def look(self) -> int:
        """Send what is new in all trainings; returns the number of points sent.

        Raises:
            Exception: whatever MLflow raises when the server does not answer. Nothing is lost: the training is asked
                for anew at the next look, and the server for what it has of it.
        """
        count, here = 0, set()
        for path in sorted(self.folder.glob("*/history.jsonl")):
            name = path.parent.name
            here.add(name)
            training = self.trainings.pop(name, Training())
            count += self._send(path, training)
            self.trainings[name] = training
        for name in set(self.trainings) - here:
            if self.trainings[name].run_id:
                self.client.set_terminated(self.trainings[name].run_id, "FINISHED")
            del self.trainings[name]
        return count

    def _send(self, path: Path, training: Training) -> int:
        """Send the rows of a file that the server lacks."""
        from mlflow.entities import Metric

        size = path.stat().st_size
        if size == training.size:
            return 0
        rows = read_rows(path)
        if not rows:
            return 0
        about = read_about(path.parent)
        if about is None:
            return 0
        first = fingerprint(vars(rows[0]))
        if not training.run_id:
            self._open(path.parent.name, about, rows[0], training)
        if training.first != first:  # new, or killed before its first resume file and begun again
            self.client.set_tag(training.run_id, LIVE_TAG, first)
            training.first = first
        new = {(p.name, p.step): p for p in map(point, rows) if (p.name, p.step) not in training.sent}
        if new:
            now_ms = int(time.time() * 1000)
            metrics = [Metric(p.name, p.value, now_ms, p.step) for p in _in_order(new.values())]
            for start in range(0, len(metrics), 1000):
                self.client.log_batch(training.run_id, metrics=metrics[start : start + 1000])
            training.sent |= set(new)
        training.size = size
        return len(new)

    def _open(self, name: str, about: dict[str, Any], first: HistoryRow, training: Training) -> None:
        """Find the training's run, or make it."""
        from mlflow.entities import Param

        system = str(about["system"])
        family = registry.family_of(system) if system in registry.keys() else "judges"  # noqa: SIM118  not a dict
        experiment = experiment_of(self.client, family)
        runs = self.client.search_runs([experiment], f"tags.`{TRAINING_TAG}` = '{name}'")
        if runs:
            run = runs[0]
            training.run_id, training.first = run.info.run_id, run.data.tags.get(LIVE_TAG, "")
            for metric in run.data.metrics:
                history = self.client.get_metric_history(training.run_id, metric)
                training.sent |= {(metric, one.step) for one in history}
            return
        tags = {TRAINING_TAG: name, "system": system, "fold": first.fold}
        title = f"{system}, fold {first.fold}, in training"
        run = self.client.create_run(experiment, tags=tags, run_name=title)
        settings = flat({key: about[key] for key in ("seed", "train", "config") if key in about})
        params = [Param(key, value) for key, value in settings.items()]
        for start in range(0, len(params), 100):
            self.client.log_batch(run.info.run_id, params=params[start : start + 100])
        training.run_id = run.info.run_id


def follow(root: Path, every_s: float, say: Callable[[str], None]) -> None:
    """Look at the trainings again and again until the process is ended.

    Args:
        root: the repository.
        every_s: pause between two looks; longer while the server does not answer.
        say: told when the server stops answering, and when it answers again.

    Raises:
        UserError: another follower works here.
    """
    from mlflow import MlflowClient

    os.nice(10)  # a training comes first
    uri, pause_s = tracking_uri(root), every_s
    with _alone(root):
        follower = Follower(root, MlflowClient(uri))
        while True:
            try:
                follower.look()
            except UserError:
                raise
            except Exception as error:
                if pause_s == every_s:
                    say(f"{uri} does not take the rows, they wait in the files: {_short(error)}")
                pause_s = min(2 * pause_s, _PATIENCE_S)
            else:
                if pause_s != every_s:
                    say(f"{uri} answers again")
                pause_s = every_s
            time.sleep(pause_s)


def read_rows(path: Path) -> list[HistoryRow]:
    """The whole lines of a ``history.jsonl``; one that is being written is left for the next look."""
    try:
        text = path.read_text()
    except FileNotFoundError:  # the training has ended this moment
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [HistoryRow(**json.loads(line)) for line in lines]


def read_about(folder: Path) -> dict[str, Any] | None:
    """System, settings and code version from the header of a resume file; None while there is none."""
    import safetensors

    for path in folder.glob("*.safetensors"):
        try:
            with safetensors.safe_open(path, framework="np") as file:
                values: dict[str, Any] = json.loads(file.metadata()["values"])
        except (FileNotFoundError, safetensors.SafetensorError):
            continue
        if "system" in values:
            return values
    return None


def _in_order(points: Any) -> Iterator[Point]:
    yield from sorted(points, key=lambda p: (p.step, p.name))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock of the repository's only follower."""
    path = root / ".cache" / "vultus" / "follower.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"the trainings of {root.resolve()} are followed already, by `make ui` perhaps") from None
        yield


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
