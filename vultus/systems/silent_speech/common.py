"""The contract of the silent speech family: what a batch holds, how sentences are recognised, how they are scored.

A batch of the main phase (B frames, D static features, S state classes):

    window  (B, 2 r + 1, D) float32, normalised features of the frame between its neighbours
    state   (B,) int64, class of the frame in the forced alignment

and of the phase ``features`` (auto-encoders):

    tongue  (B, 32, 40) float32 in 0..1        lips  (B, 24, 32) float32 in 0..1

One person speaks, so the lists divide sentences: test sentences and most of their word pairs were never trained on, the
speaker was. WER pools the errors of all test sentences; intervals draw sentences. The scale of the acoustic scores and
the cost of a word are chosen on the validation sentences for each system and each language model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vultus.core.errors import UserError
from vultus.core.results import ResultRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Evaluation, Family, Fold, System
from vultus.data import splits
from vultus.data.parquet import ClipTables
from vultus.data.stores import Store, open_store
from vultus.metrics.bootstrap import interval, resample
from vultus.metrics.wer import COUNTS, word_errors
from vultus.recognition.language_model import NGram, read_text, train_ngram, uniform
from vultus.recognition.lexicon import ENGLISH, SILENCE, Lexicon, Unit, merge, observe, read_dictionary
from vultus.recognition.recogniser import LanguageModel, Recogniser, SpeechConfig, SpeechFold, Utterance
from vultus.recognition.sheets import error_histogram, sentence_sheet, strip_sheet

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment

Array = npt.NDArray[Any]

PROTOCOL = "fixed lists of one speaker's sentences: unseen sentences, seen speaker; WER pooled over the test list"
"""Of all cards of the family."""
HEADLINE = ("WER", "WER@general_lm", "PER", "FrameAccuracy")
NAN = float("nan")


class SessionFold(SpeechFold):
    """The lists of one split, with the words that can be recognised and the texts for language models."""

    def __init__(self, store: Store, tables: ClipTables, split: splits.Split, config: SpeechConfig, seed: int) -> None:
        self.name, self.split, self.split_hash = split.name, split, split.hash
        self.store, self.config, self.seed = store, config, seed
        spoken = {u.session: u for u in _utterances(store, tables)}
        owner = dict(
            tables.clips[[split.unit, "session"]].dropna().drop_duplicates().itertuples(index=False, name=None)
        )
        self.utterances: dict[splits.Part, list[Utterance]] = {}
        for part in splits.PARTS:
            sessions = sorted(
                {owner[name] for name in split.people(part) if name in owner} & set(spoken), key=_numbered
            )
            self.utterances[part] = [spoken[session] for session in sessions]
            if not sessions:
                raise UserError(f"{store.folder}: the {part} list of {split.name} has no sentence")
        has_pictures = "feature" not in store.meta["arrays"]
        self.streams = config.stream_names() if has_pictures else ("feature",)
        first = next(u for u in self.utterances["train"] if u.stop - u.start > 1)
        times = store.rows["time_s"].to_numpy()[first.start : first.stop]
        self.rate_hz = round((len(times) - 1) / float(times[-1] - times[0]), 3)
        self._order: tuple[int, Array] = (-1, np.empty(0, np.int64))
        names = (config.task_text, config.general_text, config.dictionary)
        texts = [path.read_bytes() for path in map(self.text_path, names) if path.is_file()]
        hashes = ",".join(store.clips["content_hash"].astype(str)).encode() + b"".join(texts)
        spoken_words = ";".join(
            f"{u.session} {' '.join(u.words)}" for part in splits.PARTS for u in self.utterances[part]
        )
        self.fingerprint = hashlib.sha256(hashes + f"{spoken_words};{split.hash}".encode()).hexdigest()[:16]

    def text_path(self, name: str) -> Path:
        """A text file of the data set; without a name the package's dictionary."""
        return self.store.folder / "text" / name if name else ENGLISH

    @cached_property
    def lexicon(self) -> Lexicon:
        """Pronunciations heard in the training list, and the dictionary's for all other words."""
        heard = observe((u.word_units, u.phone_units) for u in self.utterances["train"])
        return merge(heard, read_dictionary(self.text_path(self.config.dictionary)))

    def sentences(self, lm: LanguageModel) -> list[tuple[str, ...]]:
        """The text that a language model is estimated from."""
        if lm == "uniform":
            return []
        return read_text(self.text_path(self.config.task_text if lm == "task" else self.config.general_text))

    def language_model(self, lm: LanguageModel) -> NGram:
        """The n-gram model over the words of both texts that can be pronounced; the same words for every model."""
        texts: tuple[LanguageModel, ...] = ("task", "general")
        words = {word for name in texts for sentence in self.sentences(name) for word in sentence}
        vocabulary = words & set(self.lexicon.pronunciations)
        if not vocabulary:
            raise UserError(f"{self.store.folder}: no word of the texts has a pronunciation: add a dictionary")
        if lm == "uniform":
            return uniform(vocabulary)
        return train_ngram(self.sentences(lm), vocabulary, self.config.lm_order)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold each training frame once."""
        frames = sum(u.stop - u.start for u in self.utterances["train"])
        return max(1, round(frames * self.config.frame_rate_hz / self.rate_hz) // batch_size)

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """Pictures of training frames in a new order each epoch; the batches of the phase ``features``."""
        if self._order[0] != epoch:
            rows = np.concatenate([np.arange(u.start, u.stop) for u in self.utterances["train"]])
            self._order = (epoch, generator(self.seed, "pictures", epoch).permutation(rows))
        order = self._order[1]
        chosen = np.sort(order[np.arange(step * batch_size, (step + 1) * batch_size) % len(order)])
        return {name: torch.from_numpy(self.store[name][chosen].astype(np.float32) / 255) for name in self.streams}

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """What the system measures of the validation list in its present phase."""
        assert isinstance(system, Recogniser)
        scores: dict[str, float] = system.validation_scores(self)
        return scores


def _numbered(session: str) -> tuple[str, int]:
    """Sorts ``list-2`` before ``list-10``."""
    head = session.rstrip("0123456789")
    return head, int(session[len(head) :] or "0")


def _utterances(store: Store, tables: ClipTables) -> list[Utterance]:
    """The sessions of the store with their words, and with times from whichever view has units."""
    found = []
    by_session = dict(iter(tables.clips.groupby("session", sort=False)))
    for session, start, stop in store.clips[["clip_id", "start", "stop"]].itertuples(index=False):
        views = by_session[session]
        transcript = next((text for text in views["transcript"] if isinstance(text, str) and text.split()), None)
        if transcript is None:
            raise UserError(
                f"session {session} has no transcript: restore it in the data set, or leave the session out"
            )
        units = next((u for u in (tables.units(clip_id) for clip_id in views["clip_id"]) if u.num_rows), None)
        tiers: dict[str, list[Unit]] = {"word": [], "phone": []}
        for row in [] if units is None else units.to_pylist():
            tiers[row["tier"]].append((row["label"], row["start_s"], row["end_s"]))
        words, phones = (tuple(tiers[name]) for name in ("word", "phone"))
        found.append(
            Utterance(
                session, views["subject"].iloc[0], tuple(transcript.split()), words, phones, int(start), int(stop)
            )
        )
    return found


class SilentSpeech(Family):
    """See the module's docstring."""

    name = "silent_speech"

    def folds(self, experiment: Experiment) -> list[Fold]:
        """The lists of the protocol over the sentences that the store has."""
        tables, store = ClipTables(experiment.tables), open_store(experiment.features)
        made = splits.protocol(experiment.protocol, tables.clips)
        return [SessionFold(store, tables, split, experiment.config, experiment.seed) for split in made]

    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """One row a test sentence: what was said, what was recognised, and the errors in words, phones and frames."""
        assert isinstance(fold, SessionFold)
        assert isinstance(system, Recogniser)
        utterances = fold.utterances["test"]
        recognised = system.recognise(fold, utterances)
        reference = [" ".join(u.words) for u in utterances]
        columns: dict[str, Any] = {
            "clip_id": [u.session for u in utterances],
            "frame": 0,
            "subject": [u.subject for u in utterances],
            "session": [u.session for u in utterances],
            "reference": reference,
        }
        found = {"": [r.words for r in recognised], "general_": [r.general_words for r in recognised]}
        for prefix, words in found.items():
            hypothesis = [" ".join(said) for said in words]
            counts = word_errors(reference, hypothesis)
            columns[f"{prefix}hypothesis"] = hypothesis
            columns |= {f"{prefix}{name}": counts[:, i] for i, name in enumerate(COUNTS)}
        columns["words"] = [len(u.words) for u in utterances]
        spoken = [_spoken_phones(r.aligned) or ("unaligned",) for r in recognised]
        phone_counts = word_errors([" ".join(p) for p in spoken], [" ".join(r.phones) for r in recognised])
        columns["phones"] = [len(p) for p in spoken]
        columns["phone_errors"] = phone_counts[:, 1:].sum(axis=1)
        columns["frames"] = [r.frames for r in recognised]
        columns["frames_right"] = [r.frames_right for r in recognised]
        columns["start_error_ms"] = [
            start_errors_ms(r.aligned, u.phone_units) for r, u in zip(recognised, utterances, strict=True)
        ]
        return pd.DataFrame(columns)

    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """WER with both language models and its parts, PER, frame accuracy, and errors of the alignment."""
        errors = ["substitutions", "deletions", "insertions"]
        sums: dict[str, tuple[list[str], list[str]]] = {"WER": (errors, ["words"])}
        sums["WER@general_lm"] = ([f"general_{name}" for name in errors], ["words"])
        sums["PER"] = (["phone_errors"], ["phones"])
        sums["FrameAccuracy"] = (["frames_right"], ["frames"])
        sums |= {f"WER/{name}": ([name], ["words"]) for name in errors}
        close = predictions.assign(
            close=[int((np.abs(e) <= 50).sum()) for e in predictions["start_error_ms"]],
            starts=[len(e) for e in predictions["start_error_ms"]],
        )
        sums["StartsWithin50ms"] = (["close"], ["starts"])
        paper = experiment.card.paper_values.get(experiment.dataset, {})
        rows, metrics, replicates = [], {}, {}
        for metric, (above, below) in sums.items():
            parts = [
                np.stack([part[above].sum(axis=1), part[below].sum(axis=1)], axis=1).astype(np.float64)
                for _, part in close.groupby("fold", sort=True)
            ]
            value, samples = resample(parts, _ratio, experiment.seed)
            low, high = interval(samples)
            rows.append(
                self._row(experiment, folds, predictions, metric, (float(value), float(low), float(high)), paper)
            )
            if "/" not in metric:
                metrics[metric], replicates[metric] = float(value), samples
        starts = np.abs(np.concatenate([np.asarray(e, float) for e in predictions["start_error_ms"]] or [np.empty(0)]))
        median = float(np.median(starts)) if len(starts) else NAN
        rows.append(self._row(experiment, folds, predictions, "StartErrorMedianMs", (median, NAN, NAN), paper))
        metrics["StartErrorMedianMs"] = median
        first = ["dataset", "clip_id", "frame", "subject", "fold"]
        ordered = predictions[first + [column for column in predictions if column not in first]]
        return Evaluation(ordered, rows, metrics, replicates, _warnings(predictions, folds))

    def _row(
        self,
        experiment: Experiment,
        folds: Sequence[Fold],
        predictions: pd.DataFrame,
        metric: str,
        value: tuple[float, float, float],
        paper: dict[str, float],
    ) -> ResultRow:
        return ResultRow(
            system=experiment.card.key,
            family=self.name,
            dataset=experiment.dataset,
            protocol=experiment.protocol,
            metric=metric,
            value=value[0],
            low=value[1],
            high=value[2],
            n=predictions["session"].nunique(),
            judge="",
            split_hash="+".join(fold.split_hash for fold in folds),
            paper_value=paper.get(metric, NAN),
        )

    def charts(self, evaluation: Evaluation, experiment: Experiment, folder: Path) -> dict[str, str]:
        """How far the alignment misses the exact beginnings of phones, over the whole test list."""
        errors = np.concatenate([np.asarray(e, float) for e in evaluation.predictions["start_error_ms"]])
        if not len(errors):
            return {}
        where = _where(experiment)
        title = f"{experiment.card.key}: beginnings of phones, {where}"
        _write(folder / "alignment.png", error_histogram(errors, title))
        return {
            "alignment.png": "How far the forced alignment puts the beginnings of phones from their exact times, over"
            f" the test list. {where.capitalize()}."
        }

    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """Recognised sentences, and pictures under their aligned phones."""
        assert isinstance(fold, SessionFold)
        assert isinstance(system, Recogniser)
        where = _where(experiment)
        shown = fold.utterances["test"][:12]
        recognised = system.recognise(fold, shown)
        key, captions = experiment.card.key, {}
        pairs = [(u.words, r.words) for u, r in zip(shown, recognised, strict=True)]
        _write(
            folder / "sentences.png", sentence_sheet(pairs, f"{key}: what was said and what was recognised, {where}")
        )
        captions["sentences.png"] = (
            "The first sentences of the test list: above as spoken, below as recognised with the"
            f" {fold.config.lm} language model (red: substituted, inserted; struck: deleted). {where.capitalize()}."
        )
        at = next((i for i, r in enumerate(recognised) if r.aligned), None)
        if at is not None and "feature" not in fold.streams:
            one, rows = shown[at], slice(shown[at].start, shown[at].stop)
            times = fold.store.rows["time_s"].to_numpy()[rows]
            streams = {name: np.asarray(fold.store[name][rows]) for name in ("tongue", "lips")}
            sheet = strip_sheet(
                streams, times, recognised[at].aligned, one.phone_units, f"{key}: {' '.join(one.words)}"
            )
            _write(folder / "strip.png", sheet)
            captions["strip.png"] = (
                "Ultrasound of the tongue and lips in one test sentence, every sixth frame, under the phones that the"
                f" forced alignment puts there (above) and the exact ones (below). {where.capitalize()}."
            )
        return captions


def _where(experiment: Experiment) -> str:
    return f"a synthetic speaker ({experiment.dataset})" if experiment.synthetic else experiment.dataset


def _write(path: Path, sheet: Array) -> None:
    cv2.imwrite(str(path), sheet[..., ::-1])


def _ratio(sums: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _spoken_phones(units: Sequence[Unit]) -> tuple[str, ...]:
    return tuple(label for label, _, _ in units if label != SILENCE)


def start_errors_ms(aligned: Sequence[Unit], truth: Sequence[Unit]) -> Array:
    """(n,) aligned minus exact beginnings of phones; empty unless both name the same phones in the same order."""
    ours, exact = ([unit for unit in units if unit[0] != SILENCE] for units in (aligned, truth))
    if not ours or [u[0] for u in ours] != [u[0] for u in exact]:
        return np.empty(0)
    return 1000 * np.array([a[1] - b[1] for a, b in zip(ours, exact, strict=True)])


def _warnings(predictions: pd.DataFrame, folds: Sequence[Fold]) -> tuple[str, ...]:
    warnings = []
    for fold in folds:
        assert isinstance(fold, SessionFold)
        said = {word for u in fold.utterances["test"] for word in u.words}
        unknown = sorted(said - set(fold.language_model("task").vocabulary))
        if unknown:
            warnings.append(f"{len(unknown)} words of the test list cannot be recognised, {unknown[0]!r} among them")
    unaligned = int((predictions["frames"] == 0).sum())
    if unaligned:
        warnings.append(f"{unaligned} test sentences have more states than frames and no alignment")
    return tuple(warnings)


FAMILY = SilentSpeech()
