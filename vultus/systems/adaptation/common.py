"""The contract of domain adaptation: what a batch holds, what a prediction is, how it is scored.

A labelled source domain and a target domain without labels, of the same classes; wanted are the classes of the target.
A batch (B items of each domain; x = 3, l, l for pictures, d for given features):

    source    (B, x) float32: RGB normalised with ImageNet's mean and deviation, or standardised features
    label     (B,) int64: classes of ``source``
    target    (B, x) float32, the same of the target; `predict` answers for these
    progress  (B,) float32: share of the training that is done, the same number B times

The protocol is transductive, as in the published tables: all target items are the unlabelled training set and the test
set, and there is one fold a transfer (ordered pair of domains). **Target labels are sealed**: a fold does not hold
them, and only the evaluation opens the seal (`SealedLabels`), so neither training nor selection can read one. Between
epochs the fold tells what can be known without them: confidence, agreement, and the mutual information of items and
answers. Intervals draw people, or items where nobody is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import torch
from torch import Tensor

from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig
from vultus.core.results import ResultRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Evaluation, Family, Fold, Phase, System
from vultus.data import splits
from vultus.data.stores import Store, open_store
from vultus.face.overlay import INK, PAPER, RIGHT, WRONG, grid
from vultus.losses.domain import entropy
from vultus.metrics.bootstrap import interval, resample
from vultus.metrics.calibration import ece, reliability
from vultus.metrics.classification import class_confusion, war
from vultus.metrics.occurrence import group_sums
from vultus.nn.domain_adversarial import NetworkConfig
from vultus.nn.resnet import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment

Array = npt.NDArray[Any]
Domain = Literal["source", "target"]

HEADLINE = ("Accuracy", "ECE")
PROTOCOL = "transfers: labelled source, unlabelled target; all target items are learnt from without labels, then scored"
"""Of all cards of the family."""
TRAIN = TrainConfig(
    epochs=20, steps_per_epoch=500, batch_size=36, optimizer="sgd", learning_rate=0.01, momentum=0.9,
    weight_decay=5e-4, schedule="inverse",
)  # fmt: skip
"""Of all networks of the family, as CDAN's on ResNet-50 are trained."""
NAN = float("nan")

OFFICE31 = ("amazon-webcam", "dslr-webcam", "webcam-dslr", "amazon-dslr", "dslr-amazon", "webcam-amazon")
IMAGECLEF = ("i-p", "p-i", "i-c", "c-i", "c-p", "p-c")
"""The published transfers, in the order of the tables."""


def printed(metric: str, transfers: Sequence[str], percent: Sequence[float]) -> dict[str, float]:
    """A row of a published table as fractions by metric name; the last number is the mean over the transfers."""
    names = (*(f"{metric}/{transfer}" for transfer in transfers), metric)
    return {name: round(value / 100, 4) for name, value in zip(names, percent, strict=True)}


@dataclass(frozen=True)
class DomainConfig(NetworkConfig):
    """What every system of the family can be told about its input; defaults are those of the published pictures."""

    transfers: tuple[str, ...] = ()
    """``SOURCE-TARGET``; empty = every ordered pair of the data set's domains."""
    image_px: int = 224
    """Side of the picture that the network sees (l); the centre of the stored one is tested."""
    crop_area: float = 0.08
    """Smallest share of the stored picture that a training crop shows, 0..1; crops are resized to ``image_px``."""
    crop_aspect: float = 4 / 3
    """Largest ratio of a training crop's sides before it is resized to a square."""
    flip: bool = True
    """Mirror half of the training pictures."""
    ten_crops: bool = False
    """Test on the mean over centre, corners and their mirror images, as some published numbers do."""
    standardise: Literal["none", "source", "per_domain"] = "source"
    """Of given features: whose mean and deviation is removed; ``per_domain`` is an adaptation method in itself."""
    noise: float = 0.05
    """Of given features in training: standard deviation of added Gaussian noise, in units after standardising."""
    feature_dropout: float = 0.1
    """Of given features in training: share that is set to 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.crop_area <= 1:
            raise ValueError(f"crop_area must lie in 0..1, not {self.crop_area}")


@dataclass(frozen=True)
class Prediction:
    """What a system of the family says of B target items; ``metadata`` of each field gives its unit and range."""

    probability: Tensor = field(metadata={"unit": "", "range": (0.0, 1.0), "shape": "B C"})
    """(B, C): the system's answer."""
    teacher_probability: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B C"})
    """(B, C): of a network that taught it."""
    pseudo_label: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B C"})
    """(B, C): 1 at the class that the two would now give the item as its label, 0 elsewhere."""
    student_wins: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B"})
    """(B,): 1 where that label is the student's."""


class SealedLabels:
    """The target's labels, which stay on disk until the evaluation opens them."""

    def __init__(self, path: Path, rows: Array, classes: tuple[str, ...]) -> None:
        self._path, self._rows, self._classes = path, rows, classes
        self._open = False

    @contextmanager
    def opened(self) -> Iterator[SealedLabels]:
        """Lets `read` read; for the evaluation alone."""
        self._open = True
        try:
            yield self
        finally:
            self._open = False

    def read(self) -> Array:
        """(N,) class numbers of the target items.

        Raises:
            PermissionError: the seal is closed.
            UserError: the target has a class that the source has not.
        """
        if not self._open:
            raise PermissionError("target labels are sealed: training and selection must not read them")
        names = pq.read_table(self._path, columns=["label"])["label"].to_numpy()[self._rows]
        strangers = sorted(set(names) - set(self._classes))
        if strangers:
            raise UserError(
                f"the target has the class {strangers[0]!r}, which the source has not: adaptation needs both"
            )
        codes: Array = np.searchsorted(self._classes, names)
        return codes


class DomainFold(Fold):
    """One transfer on a ``pictures`` store."""

    def __init__(self, store: Store, transfer: splits.Transfer, config: DomainConfig, seed: int) -> None:
        self.transfer, self.split, self.config, self.seed = transfer, transfer.split, config, seed
        self.name, self.split_hash = transfer.name, transfer.split.hash
        self.input: Literal["picture", "feature"] = "feature" if config.backbone == "mlp" else "picture"
        if self.input not in store.meta["arrays"]:
            raise UserError(f"{store.folder} holds no {self.input}s, which config.backbone {config.backbone!r} takes")
        self._stored = store[self.input]
        self._pictures = store["picture"] if "picture" in store.meta["arrays"] else None
        self.items = store.rows.drop(columns="label")
        domain = self.items["domain"].to_numpy()
        self.rows: dict[Domain, Array] = {
            "source": np.flatnonzero(domain == transfer.source),
            "target": np.flatnonzero(domain == transfer.target),
        }
        names = store.rows["label"].to_numpy()[self.rows["source"]]
        self.classes = tuple(sorted(set(names)))
        self.source_label: Array = np.searchsorted(self.classes, names)
        self.labels = SealedLabels(store.folder / "rows.parquet", self.rows["target"], self.classes)
        self._check(store.folder)
        self._scale = self._statistics()
        hashes = ",".join(store.clips["content_hash"].astype(str))
        self.fingerprint = hashlib.sha256(f"{hashes};{self.split_hash};{self.name}".encode()).hexdigest()[:16]

    def _check(self, folder: Path) -> None:
        config, shape = self.config, self._stored.shape
        if len(self.classes) != config.classes:
            raise UserError(f"config.classes is {config.classes}, but {folder} has {len(self.classes)} classes")
        if self.input == "feature" and shape[1] != config.features:
            raise UserError(f"config.features is {config.features}, but {folder} holds {shape[1]} features an item")
        if self.input == "picture" and shape[1] < config.image_px:
            raise UserError(
                f"config.image_px is {config.image_px}, but {folder} holds pictures of {shape[1]} px: lower image_px,"
                " or raise the store's size_px"
            )

    def _statistics(self) -> dict[Domain, tuple[Array, Array]]:
        """Mean and deviation (d,) that are removed from the given features of each domain."""
        if self.input == "picture":
            return {}
        unit = np.zeros(self.config.features, np.float32), np.ones(self.config.features, np.float32)
        own: dict[Domain, tuple[Array, Array]] = {}
        for domain, rows in self.rows.items():
            values = np.asarray(self._stored[rows])
            own[domain] = values.mean(axis=0), values.std(axis=0) + np.float32(1e-6)
        return {
            "none": {"source": unit, "target": unit},
            "source": {"source": own["source"], "target": own["source"]},
            "per_domain": own,
        }[self.config.standardise]  # type: ignore[return-value]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold each item of the larger domain once; the smaller one is cycled."""
        return max(1, max(map(len, self.rows.values())) // batch_size)

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """Items of both domains in an order of their own each time round, changed at random."""
        rng = generator(self.seed, "augment", epoch, step)
        source, target = (self._drawn(domain, epoch, step, batch_size) for domain in self.rows)
        return {
            "source": self._training_view("source", self.rows["source"][source], rng),
            "label": torch.from_numpy(self.source_label[source]),
            "target": self._training_view("target", self.rows["target"][target], rng),
        }

    def _drawn(self, domain: Domain, epoch: int, step: int, batch_size: int) -> Array:
        """(B,) positions in ``rows[domain]``."""
        n = len(self.rows[domain])
        places = np.arange(step * batch_size, (step + 1) * batch_size)
        orders = {r: generator(self.seed, "order", domain, epoch, int(r)).permutation(n) for r in set(places // n)}
        return np.array([orders[place // n][place % n] for place in places])

    def _training_view(self, domain: Domain, rows: Array, rng: np.random.Generator) -> Tensor:
        config = self.config
        if self.input == "feature":
            values = self._standardised(domain, rows)
            kept = rng.random(values.shape) >= config.feature_dropout
            noise = rng.standard_normal(values.shape, dtype=np.float32) * np.float32(config.noise)
            return torch.from_numpy((values + noise) * kept)
        side, size = self._stored.shape[1], config.image_px
        views = np.empty((len(rows), size, size, 3), np.uint8)
        for i, row in enumerate(rows):
            area, log_aspect = rng.uniform(config.crop_area, 1), rng.uniform(-1, 1) * np.log(config.crop_aspect)
            sides = side * np.sqrt(area * np.exp([log_aspect, -log_aspect]))
            height, width = np.clip(np.round(sides), 1, side).astype(int)
            top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
            crop = self._stored[row][top : top + height, left : left + width]
            view = cv2.resize(np.asarray(crop), (size, size), interpolation=cv2.INTER_LINEAR)
            views[i] = view[:, ::-1] if config.flip and rng.random() < 0.5 else view
        return normalised(views)

    def _standardised(self, domain: Domain, rows: Array) -> Array:
        mean, deviation = self._scale[domain]
        return np.asarray((self._stored[rows] - mean) / deviation, np.float32)

    def batches(self, domain: Domain, batch_size: int) -> Iterator[Batch]:
        """The items of a domain as they are tested, in the order of the store: ``target`` and their ``row``."""
        rows = self.rows[domain]
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            yield {"target": self.test_view(domain, chosen), "row": torch.from_numpy(chosen)}

    def test_view(self, domain: Domain, rows: Array, place: tuple[float, float] = (0.5, 0.5)) -> Tensor:
        """Features, or crops at a place (share of the free room down and across) of the stored pictures."""
        if self.input == "feature":
            return torch.from_numpy(self._standardised(domain, rows))
        size = self.config.image_px
        top, left = (round(share * (self._stored.shape[1] - size)) for share in place)
        return normalised(np.asarray(self._stored[rows, top : top + size, left : left + size]))

    def pictures(self, rows: Array) -> npt.NDArray[np.uint8] | None:
        """(N, S, S, 3) stored pictures of store rows; None where the data set brings features alone."""
        return None if self._pictures is None else np.asarray(self._pictures[rows])

    def answers(self, system: System, domain: Domain, batch_size: int) -> Prediction:
        """The system's predictions for all items of a domain, on the CPU."""
        device = next(iter(system.state_dict().values())).device
        pieces: list[Prediction] = []
        with torch.inference_mode():
            for batch in self.batches(domain, batch_size):
                pieces.append(self._answer(system, domain, batch, device))
        return Prediction(*(_joined([getattr(p, name) for p in pieces]) for name in Prediction.__dataclass_fields__))

    def _answer(self, system: System, domain: Domain, batch: Batch, device: torch.device) -> Prediction:
        if not self.config.ten_crops or self.input == "feature":
            prediction: Prediction = system.predict({"target": batch["target"].to(device)})
            return prediction
        rows = batch["row"].numpy()
        places = [(0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
        upright = [self.test_view(domain, rows, place).to(device) for place in places]
        views = [view for crop in upright for view in (crop, crop.flip(-1))]
        return mean_prediction([system.predict({"target": view}) for view in views])

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """What can be known without target labels, and the accuracy on the source items that were learnt.

        ``MutualInformation`` is the entropy of the mean answer less the mean entropy of the answers, nats: high where
        the answers are sure and spread over the classes; an unsupervised validator.
        """
        target, source = (self.answers(system, domain, batch_size) for domain in ("target", "source"))
        p = target.probability
        found = source.probability.argmax(dim=1).numpy() == self.source_label
        scores = {
            "Confidence": float(p.amax(dim=1).mean()),
            "MutualInformation": float(entropy(p.mean(dim=0)) - entropy(p).mean()),
            "SourceAccuracy": float(found.mean()),
        }
        if target.teacher_probability is not None:
            agree = target.teacher_probability.argmax(dim=1) == p.argmax(dim=1)
            scores["Agreement"] = float(agree.float().mean())
        if target.student_wins is not None:
            scores["WinShare"] = float(target.student_wins.mean())
        return scores

    def table(self, system: System, batch_size: int) -> pd.DataFrame:
        """Predictions and labels of the target, a row an item; opens the seal, so for the evaluation alone."""
        answer = self.answers(system, "target", batch_size)
        with self.labels.opened() as labels:
            label = labels.read()
        names = np.array(self.classes)
        about = self.items.loc[self.rows["target"], ["clip_id", "frame", "subject"]].reset_index(drop=True)
        confidence, decision = answer.probability.max(dim=1)
        columns: dict[str, Any] = {
            "transfer": self.name, "label": names[label], "decision": names[decision.numpy()],
            "confidence": confidence.numpy(),
        }  # fmt: skip
        if answer.teacher_probability is not None:
            confidence, decision = answer.teacher_probability.max(dim=1)
            columns |= {"teacher_decision": names[decision.numpy()], "teacher_confidence": confidence.numpy()}
        if answer.pseudo_label is not None and answer.student_wins is not None:
            columns |= {
                "pseudo_label": names[answer.pseudo_label.argmax(dim=1).numpy()],
                "student_wins": answer.student_wins.numpy() > 0.5,
            }
        return about.assign(**columns)


def normalised(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """(B, l, l, 3) uint8 RGB -> (B, 3, l, l) float32, less ImageNet's mean, by its deviation."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    image = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).to(torch.float32) / 255
    return (image - mean) / deviation


def mean_prediction(predictions: Sequence[Prediction]) -> Prediction:
    """Several views of the same items as one: probabilities are averaged, pseudo-labels are the first view's."""
    first = predictions[0]
    teachers = [p.teacher_probability for p in predictions if p.teacher_probability is not None]
    return Prediction(
        torch.stack([p.probability for p in predictions]).mean(dim=0),
        torch.stack(teachers).mean(dim=0) if teachers else None,
        first.pseudo_label,
        first.student_wins,
    )


def _joined(pieces: Sequence[Tensor | None]) -> Any:
    given = [piece.float().cpu() for piece in pieces if piece is not None]
    return torch.cat(given) if given else None


class DomainSystem(System):
    """A system of the family: its batches know how far the training is, and backbones learn at a rate of their own."""

    def draw(self, fold: Fold, phase: Phase, epoch: int, step: int) -> Batch:
        """The fold's batch with ``progress``."""
        batch = super().draw(fold, phase, epoch, step)
        train = phase.train
        steps = train.steps_per_epoch or max(1, fold.steps_per_epoch(train.batch_size) // train.accumulate)
        per_epoch = steps * train.accumulate
        done = (epoch * per_epoch + step) / (train.epochs * per_epoch)
        return {**batch, "progress": torch.full((len(batch["label"]),), done)}

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Backbones at ``backbone_rate`` times the rate, all else at the rate."""
        named = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        inside = [p for name, p in named if "backbone." in name]
        outside = [p for name, p in named if "backbone." not in name]
        groups = ((inside, learning_rate * self.config.backbone_rate), (outside, learning_rate))
        return [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters]


class Adaptation(Family):
    """See the module's docstring."""

    name = "adaptation"

    def folds(self, experiment: Experiment) -> list[Fold]:
        """A fold a transfer, in the order of the Config or of the domains' names."""
        if experiment.protocol != "transfers":
            raise UserError(f"systems of adaptation follow the protocol 'transfers', not {experiment.protocol!r}")
        store, config = open_store(experiment.features), experiment.config
        return [
            DomainFold(store, transfer, config, experiment.seed)
            for transfer in splits.transfers(store.rows, config.transfers)
        ]

    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """Every item of the target domain, with its label."""
        assert isinstance(fold, DomainFold)
        return fold.table(system, batch_size)

    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """Accuracy, ECE and, where there is a teacher, what it and the labels that it gave were worth."""
        paper = experiment.card.paper_values.get(experiment.dataset, {})
        facts = {str(name): target_facts(part) for name, part in predictions.groupby("transfer", sort=False)}
        people = {name: len(next(iter(sums.values()))) for name, sums in facts.items()}
        n_people = int(predictions["subject"].fillna(predictions["clip_id"]).nunique())
        rows, replicates = [], {}
        for metric in next(iter(facts.values())):
            formula = {"Accuracy": war, "ECE": lambda sums: ece(sums)[..., 0]}.get(metric, _share)
            parts = [(f"{metric}/{name}", [sums[metric]], index) for index, (name, sums) in enumerate(facts.items())]
            whole = (metric, [sums[metric] for sums in facts.values()], 0)
            for name, sums, index in (whole, *parts):
                value, samples = resample(sums, formula, experiment.seed + index)
                low, high = interval(samples)
                fold = folds[index]
                rows.append(
                    ResultRow(
                        system=experiment.card.key,
                        family=self.name,
                        dataset=experiment.dataset,
                        protocol=experiment.protocol,
                        metric=name,
                        value=float(value),
                        low=float(low),
                        high=float(high),
                        n=n_people if name == metric else people[fold.name],
                        judge="",
                        split_hash="+".join(f.split_hash for f in folds),
                        paper_value=paper.get(name, NAN),
                    )
                )
                replicates[name] = samples
        rows.sort(key=lambda row: "/" in row.metric)
        metrics = {row.metric: row.value for row in rows if "/" not in row.metric}
        shared = [fold.name for fold in folds if isinstance(fold, DomainFold) and fold.split.unit == "clip_id"]
        warnings = (f"people are in both domains, or unnamed, in {', '.join(shared)}",) if shared else ()
        first = ["dataset", "clip_id", "frame", "subject", "fold"]
        ordered = predictions[first + [column for column in predictions if column not in first]]
        return Evaluation(ordered, rows, metrics, replicates, warnings)

    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """Items of both domains with the decisions on the first transfer, and the confusion of each transfer."""
        assert isinstance(fold, DomainFold)
        where = "synthetic people" if experiment.synthetic else experiment.dataset
        captions = {}
        shown = _shown(fold)
        faces = {domain: fold.pictures(rows) for domain, rows in shown.items()}
        if faces["source"] is not None and faces["target"] is not None:
            answer = fold.answers(system, "target", experiment.train.batch_size)
            decision = np.array(fold.classes)[answer.probability.argmax(dim=1).numpy()]
            with fold.labels.opened() as labels:
                truth = np.array(fold.classes)[labels.read()]
            at = np.searchsorted(fold.rows["target"], shown["target"])
            named = fold.classes[: len(shown["source"])]
            texts = [
                [(f"{fold.transfer.source}: {name}"[:_LETTERS], INK) for name in named],
                [(decision[k][:_LETTERS], RIGHT if decision[k] == truth[k] else WRONG) for k in at],
            ]
            tiles = [[_tile(face) for face in rows] for rows in (faces["source"], faces["target"])]
            sheet = grid(tiles, texts, f"{experiment.card.key}: {fold.name}, {where}")
            cv2.imwrite(str(folder / "domains.png"), sheet[..., ::-1])
            captions["domains.png"] = (
                f"Above, items of the labelled domain {fold.transfer.source}, one of each class; below, items of"
                f" {fold.transfer.target}, whose labels were never seen, with the decision (green: right, red: wrong)."
                f" {where.capitalize()}."
            )
        # The other result files of the system lie beside the folder of its pictures.
        predictions = pd.read_parquet(folder.parent / "predictions.parquet")
        cells, names = [], []
        for name, part in predictions.groupby("transfer", sort=False):
            label, decision = (np.searchsorted(fold.classes, part[column]) for column in ("label", "decision"))
            cells.append(_confusion_tile(class_confusion(decision, label, len(fold.classes))[0]))
            names.append((f"{name}  {float((label == decision).mean()):.2f}", INK))
        half = -(-len(cells) // 2)
        blank = np.full_like(cells[0], PAPER[0])
        cells, names = cells + [blank] * (2 * half - len(cells)), names + [("", INK)] * (2 * half - len(names))
        title = f"{experiment.card.key}: confusion, {where}"
        sheet = grid([cells[:half], cells[half:]], [names[:half], names[half:]], title)
        cv2.imwrite(str(folder / "confusion.png"), sheet[..., ::-1])
        captions["confusion.png"] = (
            f"Confusion on the target of each transfer, with its accuracy: a row a class ({', '.join(fold.classes)}), a"
            f" column an answer, dark where often. {where.capitalize()}."
        )
        return captions


_TILE_PX = 112
_LETTERS = 18


def _shown(fold: DomainFold) -> dict[Domain, Array]:
    """Store rows of the sheet: the first source item of each class, and as many target items, evenly spaced."""
    first = [int(np.flatnonzero(fold.source_label == c)[0]) for c in range(len(fold.classes))][:8]
    spaced = np.linspace(0, len(fold.rows["target"]) - 1, len(first)).astype(int)
    return {"source": fold.rows["source"][first], "target": fold.rows["target"][spaced]}


def _tile(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)


def _confusion_tile(counts: Array) -> npt.NDArray[np.uint8]:
    """Confusion counts (C, C), rows brought to sum 1, as a picture: white 0, dark blue 1."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(1, 2 * _TILE_PX // len(counts))
    large = np.kron(share, np.ones((side, side)))[..., None]
    return np.asarray(np.round(np.array(PAPER) * (1 - large) + np.array((20, 40, 110)) * large), np.uint8)


def target_facts(part: pd.DataFrame) -> dict[str, Array]:
    """Sums over people that the metrics of one transfer are made of; see `Adaptation.score`.

    ``Accuracy`` has confusion counts (S, C, C), ``ECE`` the bins of "the answer is right" against its confidence, the
    others (S, 2): how often, of how many.
    """
    subject = pd.factorize(part["subject"].fillna(part["clip_id"]))[0]
    classes = np.array(sorted(set(part["label"]) | set(part["decision"])))
    label, decision = (np.searchsorted(classes, part[column]) for column in ("label", "decision"))
    right = label == decision
    confidence = part["confidence"].to_numpy(np.float64)[:, None].clip(0, 1)
    facts = {
        "Accuracy": class_confusion(decision, label, len(classes), subject),
        "ECE": reliability(confidence, right[:, None].astype(np.float64), subject),
    }

    def share(hit: Any, of: Any = True) -> Array:
        of = np.broadcast_to(np.asarray(of, bool), len(part))
        return group_sums(np.stack([np.asarray(hit, bool) & of, of], axis=1).astype(np.float64), subject)

    if "teacher_decision" in part:
        facts["TeacherAccuracy"] = share(part["teacher_decision"] == part["label"])
        facts["Agreement"] = share(part["teacher_decision"] == part["decision"])
    if "pseudo_label" in part:
        wins = part["student_wins"].to_numpy(bool)
        facts["PseudoLabelAccuracy"] = share(part["pseudo_label"] == part["label"])
        facts["WinShare"] = share(wins)
        facts["AccuracyOfStudentWins"] = share(part["decision"] == part["label"], wins)
        facts["AccuracyOfTeacherWins"] = share(part["teacher_decision"] == part["label"], ~wins)
    return facts


def _share(sums: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


FAMILY = Adaptation()
