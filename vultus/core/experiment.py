"""From a section of ``params.yaml`` to the result files: what the stages ``train`` and ``evaluate`` call."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from vultus.core import registry
from vultus.core.config import load_params, section, subsection
from vultus.core.errors import UserError
from vultus.core.folders import replaced_folder
from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.registry import Card
from vultus.core.results import SYNTHETIC_SOURCE, write_curves, write_metrics, write_rows
from vultus.core.seeds import seed_everything
from vultus.core.system import Evaluation, Fold, System

CHECKPOINTS = Path(".cache/vultus/checkpoints")
TRAINED = Path(".cache/vultus/trained")


@dataclass(frozen=True)
class SystemSection:
    """A section of ``systems`` in ``params.yaml``."""

    family: str
    dataset: str
    features: str
    """Folder of ``data/features/<dataset>/`` that the system reads."""
    protocol: str
    config: dict[str, Any] = field(default_factory=dict)
    """Overrides of the system's Config."""
    train: dict[str, Any] = field(default_factory=dict)
    """Overrides of the card's TrainConfig."""


@dataclass(frozen=True)
class Experiment:
    """A system with its configuration on a data set under a protocol."""

    card: Card
    config: Any
    train: TrainConfig
    dataset: str
    protocol: str
    tables: Path
    """Folder with the valid tables of the data set."""
    features: Path
    """Feature store that the system reads."""
    media: Path
    """Root folder of the data set, from which the clips' ``video`` and ``audio`` count; for pictures alone."""
    synthetic: bool
    """Whether the people of the data set are made, not filmed."""
    seed: int
    code: str
    """`code_version` of the card."""

    def build(self) -> System:
        """A fresh system with weights drawn from the seed."""
        seed_everything(self.seed)
        return self.card.system(self.config)

    def run_key(self, fold: Fold) -> str:
        """Hash of everything that the training of a fold depends on; its resume files lie under this name."""
        facts = {
            "system": self.card.key,
            "config": asdict(self.config),
            "train": asdict(self.train),
            "seed": self.seed,
            "fold": fold.name,
            "data": fold.fingerprint,
            "code": self.code,
            "torch": torch.__version__,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def load_experiment(key: str, params: Path | str = "params.yaml", seed: int | None = None) -> Experiment:
    """The experiment that a params file describes for a system.

    Args:
        key: of the system.
        params: the file.
        seed: in place of the file's.

    Raises:
        UserError: the section is missing or has an unknown key, or the file's family is another.
    """
    values = load_params(params)
    settings = section(SystemSection, subsection(values, "systems", key), f"systems.{key}")
    card = registry.get(key)
    if settings.family != card.family:
        raise UserError(f"params.yaml: systems.{key}.family is {settings.family!r}, but {key} is of {card.family!r}")
    train = section(TrainConfig, {**asdict(card.train), **settings.train}, f"systems.{key}.train")
    dataset = values.get("datasets", {}).get(settings.dataset, {})
    return Experiment(
        card=card,
        config=section(card.config, settings.config, f"systems.{key}.config"),
        train=train,
        dataset=settings.dataset,
        protocol=settings.protocol,
        tables=Path("data/tables") / settings.dataset / "valid",
        features=Path("data/features") / settings.dataset / settings.features,
        media=Path(dataset.get("root", "")),
        synthetic=dataset.get("source") == SYNTHETIC_SOURCE,
        seed=int(values["seed"]) if seed is None else seed,
        code=code_version(card),
    )


def trained(experiment: Experiment, store: Path = TRAINED) -> Path:
    """The folder that `train` writes, kept under a hash of all that it depends on: trained at the first call alone.

    The dependencies of a stage are folders, so that DVC starts it again after changes that do not touch its training.
    """
    folds = registry.family(experiment.card.family).folds(experiment)
    keys = json.dumps([experiment.run_key(fold) for fold in folds])
    folder = store / f"{experiment.card.key}-{hashlib.sha256(keys.encode()).hexdigest()[:16]}"
    if not folder.exists():
        store.mkdir(parents=True, exist_ok=True)
        train(experiment, folder)
    return folder


def train(experiment: Experiment, folder: Path, checkpoints: Path = CHECKPOINTS) -> None:
    """Train every fold and write ``folder``.

    Args:
        experiment: what to train.
        folder: replaced as a whole when all folds are done.
        checkpoints: where resume files are kept until then.
    """
    folds = registry.family(experiment.card.family).folds(experiment)
    about = {"config": asdict(experiment.config), "system": experiment.card.key, "code": experiment.code}
    histories: list[pd.DataFrame] = []
    summary: dict[str, Any] = {
        "system": experiment.card.key,
        "seed": experiment.seed,
        **_versions(experiment),
        "folds": [],
    }
    resume_folders: list[Path] = []
    with replaced_folder(folder) as out:
        for index, fold in enumerate(folds):
            resume = checkpoints / experiment.run_key(fold)
            resume.mkdir(parents=True, exist_ok=True)
            resume_folders.append(resume)
            history = History(resume / "history.jsonl")
            history.restore([])
            run = Run(fold, experiment.train, experiment.seed, resume, history, about)
            system = experiment.build()
            system.fit(run)
            target = out / f"fold_{index}"
            target.mkdir()
            system.save(target)
            (target / "config.yaml").write_text(yaml.safe_dump(_plain(asdict(experiment.config)), sort_keys=False))
            histories.append(history.frame())
            summary["parameters"] = sum(parameter.numel() for parameter in system.parameters())
            summary["folds"].append({"name": fold.name, "split_hash": fold.split_hash, "phases": run.selected})
        pd.concat(histories, ignore_index=True).to_parquet(out / "history.parquet", index=False)
        (out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
    for resume in resume_folders:
        shutil.rmtree(resume)


def describe_training(models: Path) -> str:
    """What was trained and which epochs were selected, in one line: the closing line of the stage."""
    summary = _read_summary(models / "training.json")
    phases = [phase for entry in summary["folds"] for phase in entry["phases"].values()]
    chosen = ", ".join(f"epoch {p['epoch'] + 1} ({p['metric']} {p['value'] or float('nan'):.3f})" for p in phases)
    return f"{summary['system']}, {summary['parameters']:,} parameters, selected {chosen or 'by its own fit'}"


def assess(experiment: Experiment, models: Path) -> tuple[Evaluation, list[System], list[Fold]]:
    """Score the trained folds on their test people; writes nothing.

    Args:
        experiment: as it was trained.
        models: what `train` wrote.

    Raises:
        UserError: there are no weights, or they belong to another split.
    """
    family = registry.family(experiment.card.family)
    folds = family.folds(experiment)
    summary = _read_summary(models / "training.json")
    trained = [entry["split_hash"] for entry in summary["folds"]]
    if trained != [fold.split_hash for fold in folds]:
        raise UserError(f"{models} was trained on another split than {experiment.protocol!r} gives now: train again")
    systems = [load_system(experiment, models / f"fold_{index}") for index in range(len(folds))]
    tables = [
        family.predict(system, fold, experiment.train.batch_size).assign(dataset=experiment.dataset, fold=index)
        for index, (system, fold) in enumerate(zip(systems, folds, strict=True))
    ]
    return family.score(pd.concat(tables, ignore_index=True), folds, experiment), systems, folds


def evaluate(experiment: Experiment, models: Path, folder: Path) -> str:
    """Score a trained system and write ``folder`` (``reports/systems/S``); returns the closing line of the stage.

    Args:
        experiment: as it was trained.
        models: what `train` wrote.
        folder: replaced as a whole.

    Raises:
        UserError: see `assess`.
    """
    evaluation, systems, folds = assess(experiment, models)
    family = registry.family(experiment.card.family)
    with replaced_folder(folder) as out:
        write_metrics(out / "metrics.json", evaluation.metrics)
        write_rows(out / "results.csv", evaluation.rows)
        evaluation.predictions.to_parquet(out / "predictions.parquet", index=False)
        write_curves(out / "curves.csv", pd.read_parquet(models / "history.parquet"))
        (out / "pictures").mkdir()
        captions = family.charts(evaluation, experiment, out / "pictures")
        captions |= family.pictures(systems[0], folds[0], experiment, out / "pictures")
        (out / "pictures" / "captions.json").write_text(json.dumps(captions, indent=2, ensure_ascii=False) + "\n")
    shown = ", ".join(f"{name} {evaluation.metrics[name]:.3f}" for name in experiment.card.headline)
    return "; ".join([f"{experiment.card.key} on {experiment.dataset}, unseen people: {shown}", *evaluation.warnings])


def load_system(experiment: Experiment, folder: Path) -> System:
    """A trained system in evaluation mode on the best device there is.

    Raises:
        UserError: no weights, weights of another configuration, or another configuration file.
    """
    path = folder / "config.yaml"
    if not path.exists():
        raise UserError(f"{path} is missing: run the train stage of {experiment.card.key} first")
    if yaml.safe_load(path.read_text()) != _plain(asdict(experiment.config)):
        raise UserError(f"{path} differs from params.yaml: train {experiment.card.key} again")
    system = experiment.card.system(experiment.config)
    system.load(folder)
    return system.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def code_version(card: Card) -> str:
    """Hash of the source that a training runs: a function of `source_files`."""
    digest = hashlib.sha256()
    for path in source_files(card):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def source_files(card: Card) -> list[Path]:
    """Files of vultus that are loaded once the system and its family's contract are, sorted; other systems are not.

    In the process of a stage these lie within the dependencies that ``dvc.yaml`` names for it.
    """
    registry.family(card.family)
    own = tuple(f"vultus.systems.{card.family}.{name}." for name in (card.key, "common"))
    return sorted(
        Path(module.__file__)
        for name, module in list(sys.modules.items())
        if (f"{name}.".startswith(own) or (name.startswith("vultus.") and not name.startswith("vultus.systems.")))
        and module.__file__
    )


def _versions(experiment: Experiment) -> dict[str, Any]:
    return {
        "code": experiment.code,
        "versions": {"vultus": version("vultus"), "torch": torch.__version__, "numpy": np.__version__},
        "train": asdict(experiment.train),
    }


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    return json.loads(json.dumps(value))


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the train stage of this system first") from None
    return summary


def with_changes(experiment: Experiment, **changes: Any) -> Experiment:
    """The same experiment with other values in its Config: a variant of a claim."""
    return dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, **changes))
