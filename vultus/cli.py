"""The ``vultus`` command. Heavy imports stand inside the commands: asking for help costs no torch and no MLflow."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.core.console import run_stage, wrote

if TYPE_CHECKING:
    from vultus.tracking.publisher import Published

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

ROOT = Path()
"""The commands work on the repository they are started in, as DVC does."""


class FaceFinder(StrEnum):
    """The face detectors of ``vultus.face``."""

    auto = "auto"
    mediapipe = "mediapipe"
    trained = "trained"


@app.callback()
def _group() -> None:
    """23 published face-and-speech systems as one reproducible pipeline."""


@app.command()
def publish(
    if_changed: Annotated[
        bool, typer.Option("--if-changed", help="Do nothing when dvc.lock is what was last published.")
    ] = False,
    sweep: Annotated[str, typer.Option(help="Name of the sweep whose run gets the results as a child.")] = "",
    point: Annotated[str, typer.Option(help="With --sweep: what was changed here, as JSON of key to value.")] = "{}",
) -> None:
    """Bring the result files into MLflow (mlflow.db, or MLFLOW_TRACKING_URI); publishing twice makes one run."""
    run_stage(lambda: _publish_point(sweep, point) if sweep else _publish(if_changed))


def _publish(if_changed: bool) -> None:
    from vultus.tracking import publisher

    if if_changed and publisher.is_current(ROOT):
        return
    done = publisher.publish(ROOT)
    for system, reason in done.skipped.items():
        typer.echo(f"{system}: not published: {reason}", err=True)
    for system, reason in done.unserved.items():
        typer.echo(f"{system}: no model yet: {reason}", err=True)
    for sentence in done.models:
        typer.echo(sentence)
    _count(done)


def _publish_point(sweep: str, point: str) -> None:
    from vultus.tracking import publisher

    _count(publisher.publish_point(ROOT, sweep, json.loads(point)))


def _count(done: Published) -> None:
    from vultus.tracking import tracking_uri

    counts = f"{len(done.created)} new runs, {len(done.completed)} completed, {len(done.present)} were there"
    typer.echo(f"{tracking_uri(ROOT)}: {counts}")


@app.command()
def follow(
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 5.0,
) -> None:
    """Show trainings in MLflow while they run, until Ctrl-C; `make ui` starts this too."""
    run_stage(lambda: _follow(every))


def _follow(every: float) -> None:
    from vultus.tracking import follower

    follower.follow(ROOT, every, lambda said: typer.echo(said, err=True))


@app.command()
def systems() -> None:
    """List the systems and baselines that this version has."""
    from vultus.core import registry

    for family in registry.families():
        for key in registry.keys(family):
            card = registry.get(key)
            source = f"{card.venue} {card.year}" if card.role == "system" else "baseline"
            typer.echo(f"{family:15} {key:18} {source:22} {card.title}")


@app.command()
def data(dataset: Annotated[str, typer.Argument(help="Key of the data set in params.yaml.")]) -> None:
    """Say what a data set holds after ingest and validation."""
    run_stage(lambda: _data(dataset))


def _data(dataset: str) -> None:
    from vultus.core.config import load_params, subsection
    from vultus.report.collect import read_dataset

    subsection(load_params(), "datasets", dataset)
    for name, value in read_dataset(ROOT, dataset).statistics:
        typer.echo(f"{name:28} {value}")


@app.command()
def detect(
    inputs: Annotated[list[Path], typer.Argument(help="Videos, pictures, or folders of numbered pictures.")],
    system: Annotated[str, typer.Option(help="Key of a trained action unit system.")],
    out: Annotated[Path, typer.Option(help="The table, .csv.")],
    draw: Annotated[Path | None, typer.Option(help="An annotated film, .mp4.")] = None,
    detector: Annotated[
        FaceFinder, typer.Option(help="Who finds the faces; auto: mediapipe where it is installed.")
    ] = FaceFinder.auto,
    focal_px: Annotated[float | None, typer.Option(help="Focal length of the camera; assumed if not given.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Faces that are read at once.")] = 16,
    params: Annotated[Path, typer.Option(help="The params file that the system was trained by.")] = Path("params.yaml"),
) -> None:
    """Write the action units, landmarks and head pose of every face into a table with OpenFace's columns."""
    run_stage(lambda: _detect(inputs, system, out, draw, detector.value, focal_px, batch, params))


def _detect(
    inputs: list[Path],
    system: str,
    out: Path,
    draw: Path | None,
    detector: str,
    focal_px: float | None,
    batch: int,
    params: Path,
) -> None:
    from vultus.detect import check_inputs, detect
    from vultus.detect.reader import AuReader
    from vultus.face.locate import DETECTOR_FOLDER, choose_detector, open_detector

    check_inputs(inputs)
    reader = AuReader.open(system, params)
    finder = open_detector(choose_detector(detector) or detector, DETECTOR_FOLDER)
    done = detect(inputs, reader, finder, out, film=draw, focal_px=focal_px, batch_size=batch)
    wrote(out, f"{done.faces} faces in {done.frames} frames, {done.without_face} without a face; by {reader.about}")
