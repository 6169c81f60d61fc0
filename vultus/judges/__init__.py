"""Judges: networks that only score, each taught on people whom no system ever sees, each with an acceptance test.

A judge is a file of this package with a `JudgeCard` named ``CARD``; code that several share lies in files without one.
It is a `System` with three further methods: `Judge.teach` draws a batch, `Judge.validation` selects the epoch, and
`Judge.acceptance` measures, on people kept apart for it, whether the judge may be believed. `train_judge` is what the
stage ``judge`` calls; `load` is how whoever scores gets a judge. A judge that fails its test is written all the same,
and says so in its label, which stands beside each number that it measured.

Legend: S side of the stored faces, A action units.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
import shutil
import sys
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import yaml

from vultus.core.config import section, subsection
from vultus.core.errors import UserError
from vultus.core.folders import replaced_folder
from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.seeds import generator, seed_everything
from vultus.core.system import Batch, Fold, Phase, System
from vultus.data import splits
from vultus.data.parquet import read_frame
from vultus.data.stores import Store, open_store

DATASET = "judging"
"""The data set that judges learn from: the judge people and nobody else."""
FOLDER = Path("models/judges")
TABLES = Path("data/tables") / DATASET / "valid"
FACES = Path("data/features") / DATASET / "faces"
CHECKPOINTS = Path(".cache/vultus/checkpoints")
TAUGHT = Path(".cache/vultus/taught")
_CARD_LINE = re.compile(r"^CARD\b", re.MULTILINE)


@dataclass(frozen=True)
class AcceptanceTest:
    """One measurement on people who did not teach the judge, and what it must reach."""

    name: str
    value: float
    bound: float
    direction: Literal["at least", "at most"]

    @property
    def passed(self) -> bool:
        """Whether the value reaches the bound; NaN never does."""
        return self.value >= self.bound if self.direction == "at least" else self.value <= self.bound


class JudgeFold(Fold):
    """The judge people's clips in the store ``faces``, split into those that teach and those on whom is tested.

    Attributes:
        split: ``train`` teaches, ``validation`` selects the epoch, ``test`` is for the acceptance test alone.
        store: the faces (``docs/architecture.md`` 5).
        units: when which word and phone is said, rows of the valid units table.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        store: Store,
        seed: int,
        kinds: tuple[str, ...] = (),
        units: pd.DataFrame | None = None,
    ) -> None:
        """Take the clips of some kinds that have faces.

        Args:
            clips: the valid table of clips.
            store: their faces.
            seed: of the batches.
            kinds: which clips (column ``kind``); empty takes all.
            units: the valid table of units; None knows none.

        Raises:
            UserError: too few people have such clips.
        """
        spans = store.clips[["clip_id", "start", "stop"]].astype({"start": int, "stop": int})
        known = clips.merge(spans, on="clip_id", how="inner")
        known = known[known["stop"] > known["start"]]
        self.table = (known[known["kind"].isin(kinds)] if kinds else known).reset_index(drop=True)
        self.units = pd.DataFrame({"clip_id": []}) if units is None else units
        (self.split,) = splits.protocol("judging", self.table)
        self.name, self.split_hash, self.store, self.seed = self.split.name, self.split.hash, store, seed
        said = self.units[self.units["clip_id"].isin(self.table["clip_id"])]
        facts = (store.clips["content_hash"].to_csv(), self.table.to_csv(), said.to_csv(), self.split_hash)
        self.fingerprint = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def clips(self, part: splits.Part) -> pd.DataFrame:
        """Rows of the table of clips of a part's people, with ``start`` and ``stop``: their rows of the store."""
        return self.table[self.split.mask(self.table["subject"], part)].reset_index(drop=True)

    def rows(self, part: splits.Part) -> npt.NDArray[np.int64]:
        """Rows of the store that belong to a part's people, in order."""
        return self._rows[part]

    @cached_property
    def _rows(self) -> dict[splits.Part, npt.NDArray[np.int64]]:
        spans = {part: self.clips(part)[["start", "stop"]].to_numpy(np.int64) for part in splits.PARTS}
        empty = np.empty(0, np.int64)
        return {part: np.concatenate([empty, *(np.arange(a, b) for a, b in at)]) for part, at in spans.items()}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold each teaching frame once."""
        return max(1, len(self.rows("train")) // batch_size)

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """Not used: a judge draws its own batches, in `Judge.teach`."""
        raise NotImplementedError("a judge draws its own batches")

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """What the judge measures on the people that select the epoch."""
        if not isinstance(system, Judge):
            raise TypeError(f"{type(system).__name__} is no judge")
        return system.validation(self)


class Judge(System):
    """A network that scores.

    Subclasses take their Config alone, as systems do, and answer a question of their own (``docs/architecture.md`` 7).
    """

    label: str = "not trained"
    """Name, where its weights come from, and the start of their hash; set by `load`."""

    @abstractmethod
    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        """A batch of the teaching people (part ``train``), drawn with ``rng`` alone."""

    @abstractmethod
    def validation(self, fold: JudgeFold) -> dict[str, float]:
        """Metrics on the part ``validation``; one of them selects the epoch."""

    @abstractmethod
    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        """Measurements on the part ``test``, which nothing else sees."""

    def load_published(self, path: Path) -> None:
        """Take the weights that a paper's authors published.

        Raises:
            UserError: this judge has no published counterpart.
        """
        raise UserError(f"{path}: {type(self).__name__} takes no published weights; set its weights to null")

    def draw(self, fold: Fold, phase: Phase, epoch: int, step: int) -> Batch:
        """A batch of `teach`, with random numbers that are a function of (seed, phase, epoch, step)."""
        if not isinstance(fold, JudgeFold):
            raise TypeError(f"a judge learns from a JudgeFold, not from {type(fold).__name__}")
        return self.teach(fold, generator(fold.seed, "teach", phase.name, epoch, step), phase.train.batch_size)


@dataclass(frozen=True)
class JudgeCard:
    """What a judge is, beside its code."""

    key: str
    """File name, stage suffix and the name by which it is loaded."""
    judge: type[Judge]
    config: type
    train: TrainConfig
    question: str
    """What it is asked, in one sentence."""
    kinds: tuple[str, ...] = ()
    """Clips that it learns from (column ``kind``); empty takes all of the data set."""
    identifier: str = ""
    """arXiv number or DOI of what it follows."""
    reconstructed: tuple[str, ...] = ()
    """One sentence for each part that differs from what it follows, and why."""


@dataclass(frozen=True)
class JudgeSection:
    """A section of ``judges`` in ``params.yaml``."""

    weights: str | None = None
    """A file with published weights; null teaches the judge on the judge people."""
    config: dict[str, Any] = field(default_factory=dict)
    """Overrides of the judge's Config."""
    train: dict[str, Any] = field(default_factory=dict)
    """Overrides of the card's TrainConfig."""


def keys() -> tuple[str, ...]:
    """Names of all judges, sorted, read from the files; none is imported."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(path.stem for path in files if path.stem != "__init__" and _CARD_LINE.search(path.read_text())))


def get(name: str) -> JudgeCard:
    """The card of a judge; imports its file.

    Raises:
        UserError: no such judge; lists those that exist.
    """
    if name not in keys():
        raise UserError(f"there is no judge {name!r}; there is: {', '.join(keys()) or 'none'}")
    card: JudgeCard = importlib.import_module(f"vultus.judges.{name}").CARD
    return card


def train_judge(name: str, params: Mapping[str, Any]) -> str:
    """Teach a judge, or take its published weights; test it; write ``models/judges/<name>``.

    What it ended with is kept under a hash of all that it depends on, so that no judge is taught twice.

    Args:
        name: one of `keys`.
        params: the params file: ``seed`` and ``judges.<name>``.

    Returns:
        The closing line of the stage.

    Raises:
        UserError: an unknown judge, a wrong setting, too few people, or weights that do not fit.
    """
    card, where = get(name), f"judges.{name}"
    settings = section(JudgeSection, subsection(params, "judges", name), where)
    config: Any = section(card.config, settings.config, f"{where}.config")
    train = section(TrainConfig, {**asdict(card.train), **settings.train}, f"{where}.train")
    clips, units = read_frame(TABLES / "clips.parquet"), read_frame(TABLES / "units.parquet")
    fold = JudgeFold(clips, open_store(FACES), int(params["seed"]), card.kinds, units)
    facts = {"judge": name, "config": asdict(config), "train": asdict(train), "seed": fold.seed}
    facts |= {"data": fold.fingerprint, "code": _code_version(name), "torch": torch.__version__}
    facts |= {"weights": _file_hash(settings.weights)}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    taught = TAUGHT / f"{name}-{key}"
    if not taught.exists():
        _teach(card, config, train, fold, settings.weights, CHECKPOINTS / key, taught)
    with replaced_folder(FOLDER / name) as out:
        shutil.copytree(taught, out, dirs_exist_ok=True)
    about = json.loads((FOLDER / name / "acceptance.json").read_text())
    values = {test["name"]: math.nan if test["value"] is None else test["value"] for test in about["tests"]}
    bounds = {test["name"]: f"{test['direction']} {test['bound']:g}" for test in about["tests"]}
    measured = "; ".join(f"{test} {value:.3f} ({bounds[test]})" for test, value in values.items())
    if about["accepted"]:
        return f"{_label(about)}, accepted: {measured}"
    return f"NOT ACCEPTED: {_label(about)}; its numbers are marked in the report. {measured}"


def _teach(
    card: JudgeCard,
    config: Any,
    train: TrainConfig,
    fold: JudgeFold,
    weights: str | None,
    resume: Path,
    folder: Path,
) -> None:
    seed_everything(fold.seed)
    judge, history = card.judge(config), History()
    if weights is None:
        resume.mkdir(parents=True, exist_ok=True)
        history = History(resume / "history.jsonl")
        history.restore([])
        judge.fit(Run(fold, train, fold.seed, resume, history, {"system": card.key, "config": asdict(config)}))
    else:
        judge.load_published(Path(weights))
    judge.eval()
    with torch.no_grad():
        tests = judge.acceptance(fold)
    with replaced_folder(folder) as out:
        judge.save(out)
        (out / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(asdict(config))), sort_keys=False))
        history.frame().to_parquet(out / "history.parquet", index=False)
        about = {
            "name": card.key,
            "origin": "embedded" if weights is None else "published",
            "hash": _file_hash(str(out / "weights.safetensors")),
            "accepted": all(test.passed for test in tests),
            "tests": [
                {**asdict(test), "value": test.value if math.isfinite(test.value) else None, "passed": test.passed}
                for test in tests
            ],
            "split_hash": fold.split_hash,
            "people": {part: len(fold.split.people(part)) for part in splits.PARTS},
            "parameters": sum(parameter.numel() for parameter in judge.parameters()),
            "seed": fold.seed,
            "versions": {"vultus": version("vultus"), "torch": torch.__version__, "numpy": np.__version__},
        }
        (out / "acceptance.json").write_text(json.dumps(about, indent=2) + "\n")
    shutil.rmtree(resume, ignore_errors=True)


def _file_hash(path: str | None) -> str | None:
    """Of a file's content; None where there is no such file, of which `Judge.load_published` says more."""
    if path is None or not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def load(name: str, folder: Path = FOLDER) -> Judge:
    """A trained judge in evaluation mode, with its `Judge.label`.

    Raises:
        UserError: it has not been trained, or its file has changed since.
    """
    at = folder / name
    try:
        about = json.loads((at / "acceptance.json").read_text())
        values = yaml.safe_load((at / "config.yaml").read_text())
    except FileNotFoundError:
        raise UserError(f"{at} holds no judge: run its stage first (dvc repro judge@{name})") from None
    card = get(name)
    judge = card.judge(section(card.config, values, f"{at}/config.yaml"))
    judge.load(at)
    judge.label = _label(about)
    return judge.eval()


def _label(about: Mapping[str, Any]) -> str:
    mark = "" if about["accepted"] else " (not accepted)"
    return f"{about['name']} {about['origin']} {about['hash'][:8]}{mark}"


def _code_version(name: str) -> str:
    """Hash of the source that teaching runs: all of vultus that is loaded, but systems and other judges."""
    others = {f"vultus.judges.{key}" for key in keys() if key != name}
    files = sorted(
        module.__file__
        for key, module in list(sys.modules.items())
        if key.startswith("vultus.") and not key.startswith("vultus.systems.") and key not in others and module.__file__
    )
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:12]
