"""A recogniser of sentences by hidden Markov models: its settings, the sentences it is given, the machine itself.

The machine is hybrid: Gaussian mixtures align the frames of the training sentences from their transcripts alone, and
whatever a system trains on these states scores the frames for the search.
"""

from __future__ import annotations

import dataclasses
import math
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.core.history import HistoryRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Fold, Phase, System
from vultus.data.splits import Part
from vultus.data.stores import Store
from vultus.nn.autoencoders import ConvolutionalAutoencoder, DenseAutoencoder, speckled
from vultus.recognition.features import DELTA_REACH, block_dct, resample_frames, windows
from vultus.recognition.gmm import GaussianMixtures
from vultus.recognition.hmm import NoPath, Topology, align, classes_of_units, segments, sentence_network
from vultus.recognition.language_model import NGram
from vultus.recognition.lexicon import N_STATES, PHONES, Lexicon, Unit
from vultus.recognition.search import Search, Weighting, phones_of_states
from vultus.recognition.training import Alignment, MixtureConfig, n_projected, start_mixtures, train_mixtures

if TYPE_CHECKING:
    from vultus.core.loop import Run, TrainConfig

Array = npt.NDArray[Any]
LanguageModel = Literal["uniform", "general", "task"]


@dataclass(frozen=True)
class SpeechConfig:
    """What every system of the family can be told about its input, its words and the search."""

    features: Literal["dct", "dae", "dcae"] = "dct"
    """Of each stream: DCT corner, denoising auto-encoder, or convolutional denoising auto-encoder."""
    dim: Literal[5, 10, 20, 30] = 30
    """Features of each stream."""
    streams: Literal["both", "tongue", "lips"] = "both"
    tongue_px: tuple[int, int] = (32, 40)
    """Height and width of the stored pictures; auto-encoders are built for them."""
    lips_px: tuple[int, int] = (24, 32)
    normalise: Literal["global", "utterance"] = "global"
    """``utterance`` takes each sentence's own mean away before the global z-score."""
    frame_rate_hz: Literal[60, 100] = 60
    """Of the features; 100 interpolates, so that short phones find their three frames."""
    topology: Topology = "3-state"
    alignment: Alignment = "lda"
    """What the states of the training frames come from: known phone times, equal lengths, or Gaussians on deltas or
    LDA features."""
    mono_passes: int = 8
    lda_passes: int = 6
    gaussians: int = 8
    """Of a state at most."""
    lda_dim: int = 40
    dae_hidden: tuple[int, ...] = (1000, 500, 250)
    """Units of the encoder's layers, mirrored in the decoder."""
    dae_epochs: int = 20
    dae_speckle: float = 0.3
    """Multiplicative noise on the auto-encoder's input, standard deviation."""
    lm: LanguageModel = "task"
    """Language model of the headline WER; ``WER@general_lm`` is measured with the general one beside it."""
    lm_order: Literal[1, 2, 3] = 2
    task_text: str = "domain_b.txt"
    """Sentences in the test list's domain, without those that are spoken; a file of the store's ``text/``."""
    general_text: str = "domain_a.txt"
    """Sentences of another domain."""
    dictionary: str = "lexicon.txt"
    """Pronunciations of words that the training list never says; empty for the few words of `lexicon.ENGLISH`."""
    beam: float = 14.0
    max_active: int = 3000
    acoustic_scales: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.6)
    """Candidates for the factor on log-likelihoods."""
    word_costs: tuple[float, ...] = (0.0,)
    """Candidates for the cost of a word."""

    def stream_names(self) -> tuple[str, ...]:
        """The streams that are looked at, by the names of the store's arrays."""
        return ("tongue", "lips") if self.streams == "both" else (self.streams,)


@dataclass(frozen=True)
class Prediction:
    """What a system says of B frames."""

    log_likelihood: Tensor = field(metadata={"unit": "nat", "range": None, "shape": "B S"})
    """(B, S): log p(frame | state) up to a constant of the frame."""
    posterior: Tensor = field(metadata={"unit": "", "range": (0.0, 1.0), "shape": "B S"})
    """(B, S): P(state | frame)."""


@dataclass(frozen=True)
class Utterance:
    """A sentence of a list."""

    session: str
    subject: str
    words: tuple[str, ...]
    word_units: tuple[Unit, ...]
    """Words with their exact times; empty where a data set has none."""
    phone_units: tuple[Unit, ...]
    start: int
    stop: int
    """Rows of the store."""


class SpeechFold(Fold):
    """Sentences in three lists, with the words that can be recognised; a family says where they come from."""

    config: SpeechConfig
    seed: int
    store: Store
    """Rows are frames."""
    utterances: dict[Part, list[Utterance]]
    rate_hz: float
    """Of the stored frames."""
    streams: tuple[str, ...]
    """Arrays of the store that are looked at: pictures, or ``feature``."""

    @property
    @abstractmethod
    def lexicon(self) -> Lexicon:
        """All words that can be said."""

    @abstractmethod
    def language_model(self, lm: LanguageModel) -> NGram:
        """A language model over words of the lexicon."""


@dataclass(frozen=True)
class Recognition:
    """What a system makes of one sentence."""

    words: tuple[str, ...]
    general_words: tuple[str, ...]
    """With the general language model."""
    phones: tuple[str, ...]
    """Along the best path, without silence."""
    aligned: tuple[Unit, ...]
    """Phones of the transcript, forced onto the frames by the system's own alignment; empty if they do not fit."""
    frames: int
    frames_right: int
    """Aligned frames, and those whose most probable state is the aligned one."""


class Recogniser(System):
    """A hidden Markov model recogniser: features, Gaussian mixtures that align, acoustic scores, search.

    Subclasses say in `acoustic` how a frame is scored, and may train more in `train_acoustic`; without that the
    mixtures are all there is.
    """

    mean: Tensor
    scale: Tensor
    projection: Tensor
    log_prior: Tensor
    weighting: Tensor

    def __init__(self, config: SpeechConfig, space: Literal["deltas", "lda"] = "lda", reach: int = 0) -> None:
        super().__init__(config)
        names = config.stream_names()
        self.n_features, self.reach = config.dim * len(names), max(reach, DELTA_REACH)
        shared = {f.name for f in dataclasses.fields(MixtureConfig)} & {f.name for f in dataclasses.fields(config)}
        self.training_plan = MixtureConfig(space=space, **{name: getattr(config, name) for name in shared})
        if config.features != "dct":
            made = DenseAutoencoder if config.features == "dae" else ConvolutionalAutoencoder
            shapes = {"tongue": config.tongue_px, "lips": config.lips_px}
            self.autoencoders = nn.ModuleDict(
                {name: made(shapes[name], config.dae_hidden, config.dim) for name in names}
            )
            self.autoencoders.requires_grad_(False)
        n_out = n_projected(self.training_plan, self.n_features)
        self.aligner = GaussianMixtures(N_STATES, config.gaussians, n_out)
        self.register_buffer("mean", torch.zeros(self.n_features))
        self.register_buffer("scale", torch.ones(self.n_features))
        self.register_buffer("projection", torch.zeros(n_out, (2 * DELTA_REACH + 1) * self.n_features))
        self.register_buffer("log_prior", torch.full((N_STATES,), -math.log(N_STATES)))
        # Rows: the configured language model, the general one; columns: acoustic scale, cost of a word.
        self.register_buffer("weighting", torch.tensor([[0.1, 0.0], [0.1, 0.0]]))
        self._phase = ""
        self._statics: dict[tuple[int, Part], list[Array]] = {}
        self._frames = _Frames.empty()
        self._order: tuple[str, int, Array] = ("", -1, np.empty(0, np.int64))

    def acoustic(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, 2 r + 1, D) -> log p(frame | state) up to a constant, and log P(state | frame), both (B, S)."""
        raise NotImplementedError

    def feature_phases(self, train: TrainConfig) -> tuple[Phase, ...]:
        """The training of the auto-encoders, where the features are theirs."""
        if self.config.features == "dct":
            return ()
        settings = dataclasses.replace(
            train, epochs=self.config.dae_epochs, optimizer="adam", learning_rate=1e-3, weight_decay=0.0,
            select="ReconstructionError", select_goal="min",
        )  # fmt: skip
        return (Phase("features", settings),)

    def phases(self, train: TrainConfig) -> tuple[Phase, ...]:
        """Auto-encoders, then what scores the frames; the mixtures between them have passes of their own."""
        return (*self.feature_phases(train), Phase("acoustic", train))

    def train_acoustic(self, run: Run) -> None:
        """Train what scores the frames, once they are aligned; the mixtures need no more."""

    def mixture_scores(self, window: Tensor) -> Tensor:
        """(B, S) log-likelihoods under the aligner's mixtures."""
        inner = window[:, self.reach - DELTA_REACH : self.reach + DELTA_REACH + 1]
        scores: Tensor = self.aligner(inner.flatten(1) @ self.projection.T)
        return scores

    def prepare(self, fold: Fold) -> None:
        """Normalisation, flat start: the states of the training frames before anything is learned."""
        assert isinstance(fold, SpeechFold)
        self._statics.clear()
        self.mean.zero_()
        self.scale.fill_(1.0)
        stacked = np.concatenate(self.statics(fold, "train"))
        self.mean.copy_(torch.from_numpy(stacked.mean(0)))
        self.scale.copy_(torch.from_numpy(stacked.std(0) + 1e-6))
        self._statics.clear()
        truth = [
            classes_of_units(u.phone_units, self.config.frame_rate_hz, len(x))
            for u, x in zip(fold.utterances["train"], self.statics(fold, "train"), strict=True)
        ]
        if self.config.alignment == "truth" and not all(u.phone_units for u in fold.utterances["train"]):
            raise UserError("alignment: truth needs the exact times of phones, which this data set does not have")
        words = [u.words for u in fold.utterances["train"]]
        self._model = start_mixtures(self.statics(fold, "train"), words, fold.lexicon, self.training_plan, truth)
        self._adopt(fold)

    def fit(self, run: Run) -> None:
        """Features, alignment, acoustic scores, and the weighing of the search on the validation list."""
        fold = run.fold
        assert isinstance(fold, SpeechFold)
        if "feature" not in fold.streams:
            for phase in self.feature_phases(run.train):
                run.train_phase(self, phase)
        self.prepare(fold)
        started, values = time.perf_counter(), list[float]()

        def record(number: int, value: float) -> None:
            seconds = round(time.perf_counter() - started, 3)
            row = HistoryRow(fold.name, "gmm", number, number + 1, "train", "log_likelihood", value, seconds)
            run.history.append(row)
            values.append(value)

        words = [u.words for u in fold.utterances["train"]]
        resume = run.folder / "gmm.safetensors"
        train_mixtures(
            self._model, self.statics(fold, "train"), words, fold.lexicon, self.training_plan, resume, record
        )
        self._adopt(fold)
        run.selected["gmm"] = {
            "epoch": len(values) - 1, "metric": "log_likelihood", "value": values[-1] if values else None,
            "steps": len(values), "seconds": round(time.perf_counter() - started, 3),
            "too_short": sum(known is None for known in self._model.classes),
        }  # fmt: skip
        self.train_acoustic(run)
        self.eval()
        self._weigh(run)

    def _adopt(self, fold: SpeechFold) -> None:
        """Take over mixtures, and the states of the training frames with their frequencies."""
        self.projection.copy_(torch.from_numpy(self._model.projection))
        self.aligner.set(self._model.mixtures)
        self.use_states(fold, self._model.classes)

    def use_states(self, fold: SpeechFold, classes: Sequence[Array | None]) -> None:
        """Train on these states of the training frames from now on."""
        self._frames = _Frames.stack(self.statics(fold, "train"), classes)
        # One frame more for each state, so that none has the prior 0.
        counts = np.bincount(self._frames.state, minlength=N_STATES) + 1.0
        self.log_prior.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    def _weigh(self, run: Run) -> None:
        """Choose acoustic scale and word cost for each language model on the validation list."""
        fold, started = run.fold, time.perf_counter()
        assert isinstance(fold, SpeechFold)
        scores = [self.scores(x) for x in self.statics(fold, "validation")]
        words, search = [u.words for u in fold.utterances["validation"]], self.search(fold)
        chosen: dict[str, Any] = {}
        for row, lm in enumerate((self.config.lm, "general")):
            best = search.choose(scores, words, lm, self.config.acoustic_scales, self.config.word_costs)
            self.weighting[row] = torch.tensor([best.acoustic_scale, best.word_cost])
            chosen["WER" if row == 0 else "WER@general_lm"] = dataclasses.asdict(best)
        seconds = round(time.perf_counter() - started, 3)
        for name, best in {**chosen, **self.validation_scores(fold)}.items():
            value = best["wer"] if isinstance(best, dict) else best
            run.history.append(HistoryRow(fold.name, "search", 0, 1, "validation", name, value, seconds))
        run.selected["search"] = {
            "epoch": 0, "metric": "WER", "value": chosen["WER"]["wer"], "steps": 1, "seconds": seconds,
            "chosen": chosen,
        }  # fmt: skip

    def begin_phase(self, phase: Phase) -> None:
        """The auto-encoders learn in the phase ``features`` and stand still in all others."""
        self._phase = phase.name
        learns = phase.name == "features"
        for name, parameter in self.named_parameters():
            if not name.startswith("aligner."):
                parameter.requires_grad_(name.startswith("autoencoders.") == learns)

    def draw(self, fold: Fold, phase: Phase, epoch: int, step: int) -> Batch:
        """Pictures for the auto-encoders; else windows of training frames in a new order each epoch."""
        size = phase.train.batch_size
        assert isinstance(fold, SpeechFold)
        if phase.name == "features":
            return fold.training_batch(epoch, step, size)
        if self._order[:2] != (phase.name, epoch):
            order = generator(fold.seed, "frames", phase.name, epoch).permutation(len(self._frames.state))
            self._order = (phase.name, epoch, order)
        order = self._order[2]
        return self._frames.batch(order[np.arange(step * size, (step + 1) * size) % len(order)], self.reach)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the aligned state; squared error of the drawn pictures in the phase ``features``."""
        if "window" in batch:
            return {"cross_entropy": functional.nll_loss(self.acoustic(batch["window"])[1], batch["state"])}
        return {
            name: functional.mse_loss(network(speckled(batch[name], self.config.dae_speckle)), batch[name])
            for name, network in self.autoencoders.items()
        }

    def predict(self, batch: Batch) -> Prediction:
        """Scores of windows."""
        log_likelihood, log_posterior = self.acoustic(batch["window"])
        return Prediction(log_likelihood.float(), log_posterior.float().exp())

    def validation_scores(self, fold: SpeechFold) -> dict[str, float]:
        """Frame accuracy and cross-entropy against the forced alignment of the validation list; what selects."""
        if self._phase == "features":
            return {"ReconstructionError": self._reconstruction_error(fold)}
        right, total, loss = 0, 0, 0.0
        for u, x in zip(fold.utterances["validation"], self.statics(fold, "validation"), strict=True):
            states, _ = self._align(fold, u, x)
            if len(states):
                log_posterior = self._run(x)[1]
                right += int((log_posterior.argmax(1) == states).sum())
                loss -= float(log_posterior[np.arange(len(states)), states].sum())
                total += len(states)
        return {"FrameAccuracy": right / max(1, total), "CrossEntropy": loss / max(1, total)}

    def _reconstruction_error(self, fold: SpeechFold) -> float:
        total, count = 0.0, 0
        with torch.inference_mode():
            for u in fold.utterances["validation"]:
                for name, network in self.autoencoders.items():
                    clean = torch.from_numpy(fold.store[name][u.start : u.stop].astype(np.float32) / 255)
                    clean = clean.to(self.mean.device)
                    total += float(functional.mse_loss(network(clean), clean, reduction="sum"))
                    count += clean.numel()
        return total / count

    def statics(self, fold: SpeechFold, part: Part) -> list[Array]:
        """Normalised (T, D) features of the sentences of a list."""
        key = (id(fold), part)
        if key not in self._statics:
            self._statics[key] = [self.static(fold, u) for u in fold.utterances[part]]
        return self._statics[key]

    def static(self, fold: SpeechFold, utterance: Utterance) -> Array:
        """Normalised (T, D) float32 features of a sentence at ``frame_rate_hz``."""
        rows = slice(utterance.start, utterance.stop)
        parts = [self._stream(name, np.asarray(fold.store[name][rows])) for name in fold.streams]
        x = resample_frames(np.concatenate(parts, axis=1), fold.rate_hz, self.config.frame_rate_hz)
        if x.shape[1] != self.n_features:
            raise UserError(
                f"{fold.store.folder}: frames have {x.shape[1]} features, but config.dim and config.streams ask for"
                f" {self.n_features}: correct them"
            )
        if self.config.normalise == "utterance":
            x = x - x.mean(0)
        normalised: Array = (x - self.mean.cpu().numpy()) / self.scale.cpu().numpy()
        return normalised

    def _stream(self, name: str, values: Array) -> Array:
        if name == "feature":
            return values
        if self.config.features == "dct":
            return block_dct(values, self.config.dim)
        with torch.inference_mode():
            pictures = torch.from_numpy(values.astype(np.float32) / 255).to(self.mean.device)
            code: Array = self.autoencoders.get_submodule(f"{name}.encoder")(pictures).cpu().numpy()
        return code

    def _run(self, x: Array) -> tuple[Array, Array]:
        with torch.inference_mode():
            scored = self.acoustic(torch.from_numpy(windows(x, self.reach)).to(self.mean.device))
        likelihood, posterior = (part.float().cpu().numpy() for part in scored)
        return likelihood, posterior

    def scores(self, x: Array) -> Array:
        """(T, S) log-likelihoods of normalised features (T, D)."""
        return self._run(x)[0]

    def _align(self, fold: SpeechFold, utterance: Utterance, x: Array) -> tuple[Array, tuple[Unit, ...]]:
        """States and phones of the transcript forced onto the frames; empty where that is impossible."""
        if not set(utterance.words) <= set(fold.lexicon.pronunciations):
            return np.empty(0, np.int32), ()
        network = sentence_network(utterance.words, fold.lexicon, self.config.topology)
        with torch.inference_mode():
            window = torch.from_numpy(windows(x, self.reach)).to(self.mean.device)
            score = self.mixture_scores(window).float().cpu().numpy()
        try:
            path = align(score, network)
        except NoPath:
            return np.empty(0, np.int32), ()
        rate = self.config.frame_rate_hz
        phones = tuple((PHONES[phone], start, end) for phone, start, end in segments(path, network, rate))
        return network.state[path], phones

    def search(self, fold: SpeechFold) -> Search:
        """Decoders with the configured and the general language model."""
        models = {lm: fold.language_model(lm) for lm in {self.config.lm, "general"}}
        return Search(fold.lexicon, models, self.config.topology, self.config.beam, self.config.max_active)

    def recognise(self, fold: SpeechFold, utterances: Sequence[Utterance]) -> list[Recognition]:
        """Recognise sentences with both language models, and align their transcripts."""
        search, recognised = self.search(fold), []
        main, general = (Weighting(*row) for row in self.weighting.tolist())
        for u in utterances:
            x = self.static(fold, u)
            score, log_posterior = self._run(x)
            states, phones = self._align(fold, u, x)
            best = search.decode(score, self.config.lm, main)
            right = int((log_posterior.argmax(1) == states).sum()) if len(states) else 0
            other = search.decode(score, "general", general).words
            recognised.append(Recognition(best.words, other, phones_of_states(best.states), phones, len(states), right))
        return recognised


@dataclass(frozen=True)
class _Frames:
    """Training frames of all sentences: features, the rows of each frame's sentence, and its state."""

    x: Array
    first: Array
    last: Array
    state: Array

    @classmethod
    def empty(cls) -> _Frames:
        none = np.empty(0, np.int64)
        return cls(np.empty((0, 0), np.float32), none, none, none)

    @classmethod
    def stack(cls, statics: Sequence[Array], classes: Sequence[Array | None]) -> _Frames:
        kept = [(x, states) for x, states in zip(statics, classes, strict=True) if states is not None]
        lengths = np.array([len(x) for x, _ in kept])
        last = np.cumsum(lengths) - 1
        return cls(
            np.concatenate([x for x, _ in kept]),
            np.repeat(last - lengths + 1, lengths),
            np.repeat(last, lengths),
            np.concatenate([states for _, states in kept]).astype(np.int64),
        )

    def batch(self, chosen: Array, reach: int) -> Batch:
        """Windows that end where their sentence does."""
        at = chosen[:, None] + np.arange(-reach, reach + 1)
        at = np.clip(at, self.first[chosen][:, None], self.last[chosen][:, None])
        return {"window": torch.from_numpy(self.x[at]), "state": torch.from_numpy(self.state[chosen])}
