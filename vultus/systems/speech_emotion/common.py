"""The contract of the speech emotion family: what a batch holds, what a prediction is, how it is scored.

An item is an utterance, described by one vector. A batch (B utterances, D values, C emotions):

    features (B, D) float32, as the system's Config computes them from the tracks of the ``audio`` store
    label    (B,) int64, index into ``Config.emotions``
    row      (B,) int64, row of the table of utterances

The usual protocol is ``loso``: each speaker is tested by a system that has not heard that voice; standardisation and
every choice see the other speakers alone. Confusions of all folds are added up before recalls are computed, since a
fold may lack an emotion. Utterances of one speaker are alike, so the intervals draw speakers.

A system is a feature set and one of four classifiers (`vultus.nn.vector_classifiers`), which are the same for all: a
comparison of two systems is one of their features.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from vultus.audio.emotion_sheets import ShownUtterance, confusion_sheet, utterance_sheet
from vultus.audio.local_dynamics import is_voiced_enough
from vultus.audio.prosody import Tracks, voiced_runs
from vultus.core.errors import UserError
from vultus.core.history import HistoryRow
from vultus.core.results import ResultRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Evaluation, Family, Fold, System
from vultus.data import splits
from vultus.data.parquet import read_frame
from vultus.data.stores import Store, open_store
from vultus.data.tables import EMOTIONS
from vultus.metrics.bootstrap import interval, resample
from vultus.metrics.classification import class_confusion, class_f1, recall, uar, war
from vultus.metrics.occurrence import macro
from vultus.nn.vector_classifiers import (
    ExtremeLearningMachine,
    Perceptron,
    SolvedClassifier,
    SupportVectorMachine,
    VectorClassifier,
)

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment
    from vultus.core.loop import Run

Array = npt.NDArray[Any]

EMODB_EMOTIONS = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")
"""The seven emotions of the Berlin database."""
PROTOCOL = "leave one speaker out; confusions of all folds are added up"
"""Of all cards of the family."""
HEADLINE = ("UAR", "WAR")
N_CEPSTRA = 13


@dataclass(frozen=True)
class EmotionConfig(ABC):
    """What every system of the family can be told about its labels and its classifier."""

    emotions: tuple[str, ...] = EMODB_EMOTIONS
    """Classes, in the order of the outputs; utterances of other emotions are left out."""
    classifier: Literal["svm_rbf", "svm_linear", "elm", "mlp"] = "svm_rbf"
    """Support vector machines, extreme learning machine, or a perceptron trained by the loop."""
    c_values: tuple[float, ...] = (1.0,)
    """Candidates for C of svm and (as inverse ridge) elm; several are compared by leaving out training speakers."""
    balanced: bool = False
    """Weigh emotions by the inverse of their share: raises UAR, lowers WAR."""
    elm_units: int = 1000
    """Hidden units of elm."""
    mlp_units: int = 128
    """Hidden units of mlp."""
    dropout: float = 0.3
    """Of the hidden units of mlp."""

    def __post_init__(self) -> None:
        unknown = [emotion for emotion in self.emotions if emotion not in EMOTIONS]
        if unknown:
            raise ValueError(f"emotions has {unknown[0]!r}; known: {', '.join(EMOTIONS)}")
        if len(set(self.emotions)) < max(2, len(self.emotions)):
            raise ValueError("emotions must name at least two emotions, each once")
        if not self.c_values or min(self.c_values) <= 0:
            raise ValueError("c_values must hold at least one number above 0")

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the D values."""

    @abstractmethod
    def describe(self, tracks: Tracks, speaker_f0_hz: float, rng: np.random.Generator) -> Array:
        """The vector of an utterance.

        Args:
            tracks: without silence at the ends.
            speaker_f0_hz: median pitch of all that the speaker says in the data set; labels are not used.
            rng: of this utterance alone.

        Returns:
            (D,) float32.
        """


@dataclass(frozen=True)
class Prediction:
    """What a system of the family says of B utterances."""

    scores: Tensor = field(metadata={"unit": "", "range": None, "shape": "B C"})
    """(B, C): the largest is the decision; scores of one utterance compare with each other only."""


@dataclass(frozen=True)
class Utterances:
    """All utterances of a data set that have one of the emotions asked for: N rows."""

    about: pd.DataFrame
    """clip_id, subject, sex (null where unknown), emotion, voiced_ok."""
    features: Array
    """(N, D) float32."""
    label: Array
    """(N,) int64."""
    columns: tuple[str, ...]
    left_out: int
    """Clips with sound but without one of the emotions."""
    fingerprint: str
    """Hash of sounds and labels."""


def describe_utterances(store: Store, clips: pd.DataFrame, config: EmotionConfig, seed: int) -> Utterances:
    """Compute the vectors of all utterances.

    Args:
        store: an ``audio`` store.
        clips: table of clips with clip_id, subject, emotion.
        config: which features and emotions.
        seed: of features that draw.

    Raises:
        UserError: no utterance has one of the emotions.
    """
    heard = store.clips[["clip_id", "content_hash"]].merge(clips, on="clip_id", suffixes=("", "_of_clip"))
    known = heard[heard["emotion"].isin(config.emotions)].reset_index(drop=True)
    if known.empty:
        raise UserError(
            f"{store.folder}: no clip has one of the emotions {', '.join(config.emotions)};"
            " set config.emotions to those of the data set"
        )
    tracks = [spoken_tracks(store, clip_id) for clip_id in known["clip_id"]]
    runs = [voiced_runs(track.f0_hz) for track in tracks]
    voices = pd.Series([run.f0_hz for run in runs]).groupby(known["subject"].to_numpy(), dropna=False)
    medians = {subject: _median(np.concatenate(list(parts))) for subject, parts in voices}
    features = [
        config.describe(track, medians[subject], generator(seed, "utterance", clip_id))
        for track, subject, clip_id in zip(tracks, known["subject"], known["clip_id"], strict=True)
    ]
    facts = ",".join(f"{row.content_hash}:{row.emotion}:{row.subject}" for row in known.itertuples())
    return Utterances(
        about=pd.DataFrame(
            {
                "clip_id": known["clip_id"],
                "subject": known["subject"],
                "sex": known["sex"] if "sex" in known else pd.Series([None] * len(known), dtype="object"),
                "emotion": known["emotion"],
                "voiced_ok": [is_voiced_enough(run) for run in runs],
            }
        ),
        features=np.stack(features),
        label=known["emotion"].map(config.emotions.index).to_numpy(np.int64),
        columns=config.columns(),
        left_out=len(heard) - len(known),
        fingerprint=hashlib.sha256(facts.encode()).hexdigest()[:16],
    )


def spoken_tracks(store: Store, clip_id: str) -> Tracks:
    """The tracks of a clip from an ``audio`` store, without silence at its ends."""
    rows = store.clip(clip_id)
    names = ("f0_hz", "voicing", "energy_db", "zero_crossings")
    tracks = {name: np.asarray(store[name][rows], np.float64) for name in names}
    return Tracks(**tracks, mfcc=np.asarray(store["mfcc"][rows][:, :N_CEPSTRA], np.float64)).without_silence()


class EmotionFold(Fold):
    """One fold: utterances of the people of a split."""

    def __init__(self, store: Store, utterances: Utterances, split: splits.Split, config: EmotionConfig, seed: int):
        split.check_disjoint()
        self.name, self.split, self.split_hash = split.name, split, split.hash
        self.store, self.utterances, self.config, self.seed = store, utterances, config, seed
        unit = utterances.about[split.unit]
        self.rows = {part: np.flatnonzero(split.mask(unit, part)) for part in splits.PARTS}
        for part, rows in self.rows.items():
            if not len(rows):
                raise UserError(f"{store.folder}: the {part} people of {split.name} have no utterance with an emotion")
        self._order: tuple[int, Array] = (-1, np.empty(0, np.int64))  # the epoch's order, drawn once
        self.fingerprint = f"{utterances.fingerprint}-{split.hash}-{split.name}"

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold each training utterance once; an incomplete last one is left out."""
        return max(1, len(self.rows["train"]) // batch_size)

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """Utterances of the training people in a new order each epoch."""
        if self._order[0] != epoch:
            self._order = (epoch, generator(self.seed, "order", epoch).permutation(self.rows["train"]))
        order = self._order[1]
        return self.batch(order[np.arange(step * batch_size, (step + 1) * batch_size) % len(order)])

    def batch(self, rows: Array) -> Batch:
        """The batch of rows (B,) of the table of utterances."""
        return {
            "features": torch.from_numpy(self.utterances.features[rows]),
            "label": torch.from_numpy(self.utterances.label[rows]),
            "row": torch.from_numpy(rows),
        }

    def vectors(self, *parts: splits.Part) -> tuple[Array, Array, Array]:
        """Features (N, D), labels (N,) and groups (N,) of parts: speakers, or clips where clips are split."""
        rows = np.concatenate([self.rows[part] for part in parts])
        group = self.utterances.about[self.split.unit].to_numpy()[rows]
        return self.utterances.features[rows], self.utterances.label[rows], group

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """UAR and WAR on the validation people."""
        table = self.table(system, "validation")
        return score_decisions(table, self.config.emotions)

    def table(self, system: System, part: splits.Part) -> pd.DataFrame:
        """Scores, decision and truth of a part's utterances, one row an utterance."""
        rows = self.rows[part]
        device = next(iter(system.state_dict().values())).device
        with torch.inference_mode():
            prediction = system.predict({name: value.to(device) for name, value in self.batch(rows).items()})
        scores, emotions = prediction.scores.float().cpu().numpy(), self.config.emotions
        about = self.utterances.about.iloc[rows].reset_index(drop=True)
        decided = pd.Series([emotions[i] for i in scores.argmax(axis=1)], name="decision", dtype="object")
        named = pd.DataFrame(scores, columns=[f"score_{emotion}" for emotion in emotions])
        return pd.concat([about.assign(frame=0), decided, named], axis=1)


class VectorSystem(System):
    """Standardise the vector by the training speakers, and classify it."""

    mean: Tensor
    scale: Tensor
    class_weight: Tensor

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__(config)
        size, n_classes = len(config.columns()), len(config.emotions)
        self.classifier = _classifier(config, size, n_classes)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("class_weight", torch.ones(n_classes))

    def prepare(self, fold: Fold) -> None:
        """Mean, deviation and class weights of the training people."""
        assert isinstance(fold, EmotionFold)
        features, label, _ = fold.vectors("train")
        standardised = self._measure(features, label)
        if isinstance(self.classifier, SolvedClassifier):
            self.classifier.place(standardised)

    def fit(self, run: Run) -> None:
        """The loop for mlp; else choose C on training people, validate, then learn from the validation people too."""
        if not isinstance(self.classifier, SolvedClassifier):
            super().fit(run)
            return
        assert isinstance(run.fold, EmotionFold)
        started = time.perf_counter()
        c = self._choose_c(*run.fold.vectors("train"))
        self._solve(*run.fold.vectors("train")[:2], c)
        scores = run.fold.validate(self.eval(), run.train.batch_size)
        self._solve(*run.fold.vectors("train", "validation")[:2], c)
        seconds = round(time.perf_counter() - started, 3)
        for name, value in scores.items():
            run.history.append(HistoryRow(run.fold.name, "solve", 0, 1, "validation", name, value, seconds))
        run.selected["solve"] = {
            "epoch": 0, "metric": "UAR", "value": scores["UAR"], "steps": 1, "seconds": seconds, "chosen": {"C": c},
        }  # fmt: skip

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The classifier's, on the standardised vectors."""
        return self.classifier.losses(self._standardised(batch["features"]), batch["label"], self.class_weight)

    def predict(self, batch: Batch) -> Prediction:
        """One score an emotion."""
        return Prediction(scores=self.classifier(self._standardised(batch["features"])))

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def _measure(self, features: Array, label: Array) -> Array:
        """Set mean, scale and class weights from these people; returns their vectors, standardised."""
        deviation = features.std(axis=0)
        self.mean.copy_(torch.from_numpy(features.mean(axis=0)))
        # A value that never varies says nothing, and must not blow up where it does for the first time.
        self.scale.copy_(torch.from_numpy(np.where(deviation > 1e-6, deviation, 1.0)))
        if self.config.balanced:
            counts = np.bincount(label, minlength=len(self.config.emotions))
            present = (counts > 0).sum()
            self.class_weight.copy_(torch.from_numpy(len(label) / (present * np.maximum(counts, 1))))
        return self._standardised(torch.from_numpy(features)).numpy()

    def _solve(self, features: Array, label: Array, c: float) -> None:
        assert isinstance(self.classifier, SolvedClassifier)
        self.classifier.solve(self._measure(features, label), label, self.class_weight.numpy(), c)

    def _choose_c(self, features: Array, label: Array, group: Array) -> float:
        """The C with the best UAR when groups of training speakers are left out in turn, at most eight of them."""
        candidates: tuple[float, ...] = self.config.c_values
        if len(candidates) == 1:
            return candidates[0]
        folds = pd.factorize(group, sort=True)[0] % 8
        reached = []
        for c in candidates:
            decision = np.empty_like(label)
            for held_out in np.unique(folds):
                test = folds == held_out
                self._solve(features[~test], label[~test], c)
                with torch.no_grad():
                    scores = self.classifier(self._standardised(torch.from_numpy(features[test])))
                decision[test] = scores.argmax(1).numpy()
            reached.append(float(uar(class_confusion(decision, label, len(self.config.emotions))[0])))
        return candidates[int(np.argmax(reached))]


def _classifier(config: EmotionConfig, size: int, n_classes: int) -> VectorClassifier:
    if config.classifier == "elm":
        return ExtremeLearningMachine(size, n_classes, config.elm_units)
    if config.classifier == "mlp":
        return Perceptron(size, n_classes, config.mlp_units, config.dropout)
    return SupportVectorMachine(size, n_classes, "rbf" if config.classifier == "svm_rbf" else "linear")


def count_confusions(table: pd.DataFrame, emotions: Sequence[str]) -> Array:
    """Confusions by subject, in the order of the sorted names: (S, C, C), rows are the truth."""
    decision, target = (table[name].map(emotions.index).to_numpy(np.int64) for name in ("decision", "emotion"))
    return class_confusion(decision, target, len(emotions), pd.factorize(table["subject"], sort=True)[0])


def score_decisions(table: pd.DataFrame, emotions: Sequence[str]) -> dict[str, float]:
    """UAR and WAR of a table of predictions."""
    counts = count_confusions(table, emotions).sum(axis=0)
    return {"UAR": float(uar(counts)), "WAR": float(war(counts))}


class SpeechEmotion(Family):
    """See the module's docstring."""

    name = "speech_emotion"

    def folds(self, experiment: Experiment) -> list[Fold]:
        """The folds of the protocol over the people whose utterances have an emotion."""
        clips, store = read_frame(experiment.tables / "clips.parquet"), open_store(experiment.features)
        utterances = describe_utterances(store, clips, experiment.config, experiment.seed)
        heard = clips[clips["clip_id"].isin(utterances.about["clip_id"])]
        return [
            EmotionFold(store, utterances, split, experiment.config, experiment.seed)
            for split in splits.protocol(experiment.protocol, heard)
        ]

    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """Every utterance of the test people."""
        assert isinstance(fold, EmotionFold)
        return fold.table(system, "test")

    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """UAR, WAR, F1; recall and F1 of each emotion; UAR and WAR of women and men where the sex is known."""
        emotions = experiment.config.emotions
        paper = experiment.card.paper_values.get(experiment.dataset, {})
        split_hash = "+".join(fold.split_hash for fold in folds)
        rows: list[ResultRow] = []
        replicates: dict[str, Array] = {}

        def add(names: Sequence[str], table: pd.DataFrame, formula: Any) -> None:
            value, samples = resample([count_confusions(table, emotions)], formula, experiment.seed)
            low, high = interval(samples)
            for i, metric in enumerate(names):
                replicates[metric] = samples.reshape(len(samples), -1)[:, i]
                rows.append(
                    ResultRow(
                        system=experiment.card.key,
                        family=self.name,
                        dataset=experiment.dataset,
                        protocol=experiment.protocol,
                        metric=metric,
                        value=float(value.flat[i]),
                        low=float(low.flat[i]),
                        high=float(high.flat[i]),
                        n=table["subject"].nunique(),
                        judge="",
                        split_hash=split_hash,
                        paper_value=paper.get(metric, float("nan")),
                    )
                )

        add(["UAR"], predictions, uar)
        add(["WAR"], predictions, war)
        add(["F1"], predictions, lambda counts: macro(class_f1(counts)))
        add([f"Recall/{emotion}" for emotion in emotions], predictions, recall)
        add([f"F1/{emotion}" for emotion in emotions], predictions, class_f1)
        for sex, part in predictions.groupby("sex"):
            add([f"UAR/{sex}"], part, uar)
            add([f"WAR/{sex}"], part, war)
        metrics = {row.metric: row.value for row in rows if "/" not in row.metric}
        first = ["dataset", "clip_id", "frame", "subject", "fold"]
        ordered = predictions[first + [column for column in predictions if column not in first]]
        return Evaluation(ordered, rows, metrics, replicates, _warnings(predictions, folds))

    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """One utterance of each emotion by one test speaker: spectrogram, pitch, and the histograms that are seen."""
        assert isinstance(fold, EmotionFold)
        table = fold.table(system, "test").assign(row=fold.rows["test"])
        one = table[table["subject"] == table["subject"].iloc[0]].sort_values("clip_id").groupby("emotion").head(1)
        one = one.sort_values("emotion", key=lambda names: names.map(experiment.config.emotions.index))
        shown = []
        for item in one.to_dict("records"):
            rows = fold.store.clip(item["clip_id"])
            vector = fold.utterances.features[item["row"]]
            shown.append(
                ShownUtterance(
                    title=f"{item['emotion']}, taken for {item['decision']}",
                    is_right=item["emotion"] == item["decision"],
                    log_mel=np.asarray(fold.store["log_mel"][rows]),
                    f0_hz=np.asarray(fold.store["f0_hz"][rows]),
                    histograms=_histograms(vector, fold.utterances.columns),
                )
            )
        where = _where(experiment)
        title = f"{experiment.card.key}: {one['subject'].iloc[0]}, an unheard voice, {where}"
        utterance_sheet(folder / "utterances.png", shown, title)
        seen = "; beside it the histograms that the system sees (grey: open-ended bins)" if shown[0].histograms else ""
        return {
            "utterances.png": "One utterance of each emotion by a speaker whom the system has not heard: log-mel"
            f" spectrogram (0 to 8 kHz) with the pitch over it (white, 50 to 450 Hz){seen}. {where.capitalize()}."
        }

    def charts(self, evaluation: Evaluation, experiment: Experiment, folder: Path) -> dict[str, str]:
        """The confusions of all folds."""
        counts = count_confusions(evaluation.predictions, experiment.config.emotions).sum(axis=0)
        where = _where(experiment)
        confusion_sheet(
            folder / "confusion.png", counts, experiment.config.emotions, f"{experiment.card.key}: confusions, {where}"
        )
        return {
            "confusion.png": "Confusions of all folds: a row is what was acted, a column what was heard; percent of the"
            f" row, in brackets the utterances. {where.capitalize()}."
        }


def _histograms(vector: Array, columns: Sequence[str]) -> dict[str, Array]:
    """Block -> its bins, from the columns that are numbered (``ldp_00``)."""
    blocks: dict[str, list[float]] = {}
    for name, value in zip(columns, vector.tolist(), strict=True):
        block, _, number = name.rpartition("_")
        if number.isdecimal() and len(number) == 2:
            blocks.setdefault(block, []).append(value)
    return {block: np.array(values) for block, values in blocks.items()}


def _where(experiment: Experiment) -> str:
    return f"synthetic speech ({experiment.dataset})" if experiment.synthetic else experiment.dataset


def _warnings(predictions: pd.DataFrame, folds: Sequence[Fold]) -> tuple[str, ...]:
    fold = folds[0]
    assert isinstance(fold, EmotionFold)
    warnings = []
    if fold.split.unit == "clip_id":
        warnings.append("speakers are in training and test: these are no numbers of unseen people")
    mute = int((~predictions["voiced_ok"]).sum())
    if mute:
        warnings.append(f"{mute} of {len(predictions)} utterances have too little voice to describe its dynamics")
    if fold.utterances.left_out:
        warnings.append(f"{fold.utterances.left_out} clips have none of the emotions and were left out")
    return tuple(warnings)


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else 150.0


FAMILY = SpeechEmotion()
