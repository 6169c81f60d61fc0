"""From transcripts alone to a Gaussian mixture model of every phone state, and an alignment of the training frames.

Flat start, Viterbi re-estimation of single Gaussians on features with deltas; then linear discriminant analysis of
windows of frames with the states as classes, and mixtures that grow by splitting, realigned at every pass. Each pass is
written to a resume file, so that a killed training goes on to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from vultus.core.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from vultus.core.errors import UserError
from vultus.recognition.features import DELTA_REACH, delta_projection, windows
from vultus.recognition.gmm import GaussianMixtures, Mixtures, fit_lda
from vultus.recognition.hmm import NoPath, Topology, align, flat_start, sentence_network
from vultus.recognition.lexicon import N_STATES, Lexicon

Array = npt.NDArray[Any]
Alignment = Literal["truth", "flat", "mono", "lda"]
Record = Callable[[int, float], None]
"""Called with the number of the pass and the mean log-likelihood of a frame on its path."""


@dataclass(frozen=True)
class MixtureConfig:
    """How the mixtures are trained."""

    space: Literal["deltas", "lda"] = "lda"
    """Features of the final mixtures: static with deltas, or LDA of a window of 9 frames."""
    alignment: Alignment = "lda"
    """Where realigning ends: ``truth`` (known phone times) and ``flat`` never realign."""
    topology: Topology = "3-state"
    mono_passes: int = 8
    lda_passes: int = 6
    gaussians: int = 8
    """Components of a state at most."""
    lda_dim: int = 40
    variance_floor: float = 0.05
    """Share of the variance of all frames."""


@dataclass
class MixtureModel:
    """Mixtures in the space that a projection of windows of 2 DELTA_REACH + 1 frames gives.

    Attributes:
        projection: (P, (2 DELTA_REACH + 1) D).
        mixtures: of the N_STATES classes.
        classes: class of each frame of each training utterance; None where the utterance has more states than frames.
    """

    projection: Array
    mixtures: Mixtures
    classes: list[Array | None]


def n_projected(config: MixtureConfig, n_features: int) -> int:
    """P of the final space for D static features."""
    return 3 * n_features if config.space == "deltas" else min(config.lda_dim, (2 * DELTA_REACH + 1) * n_features)


def start_mixtures(
    statics: Sequence[Array],
    sentences: Sequence[Sequence[str]],
    lexicon: Lexicon,
    config: MixtureConfig,
    truth: Sequence[Array],
) -> MixtureModel:
    """The model before the first pass: flat (or known) classes, and one Gaussian of all frames for every state.

    Args:
        statics: (T, D) normalised features of each training utterance.
        sentences: its words.
        lexicon: holds every word.
        config: of the training.
        truth: (T,) known classes of each utterance; read under ``alignment: truth`` alone.

    Raises:
        UserError: a word has no pronunciation, or no utterance has as many frames as states.
    """
    lexicon.require(word for words in sentences for word in words)
    classes: list[Array | None] = []
    for index, (x, words) in enumerate(zip(statics, sentences, strict=True)):
        try:
            classes.append(truth[index] if config.alignment == "truth" else flat_start(words, lexicon, len(x)))
        except NoPath:
            classes.append(None)
    if all(known is None for known in classes):
        raise UserError("every training utterance has more phone states than frames: raise frame_rate_hz")
    model = MixtureModel(np.empty(0), Mixtures.flat(np.zeros((1, 1)), 1, 1), classes)
    _enter(model, statics, config, config.space)
    return model


def train_mixtures(
    model: MixtureModel,
    statics: Sequence[Array],
    sentences: Sequence[Sequence[str]],
    lexicon: Lexicon,
    config: MixtureConfig,
    resume: Path | None = None,
    record: Record = lambda number, value: None,
) -> MixtureModel:
    """Run all passes.

    Args:
        model: what `start_mixtures` gave; changed.
        statics: as there.
        sentences: as there.
        lexicon: as there.
        config: as there.
        resume: file that is written after each pass, and from which a later call goes on.
        record: told the progress.
    """
    flat = config.alignment in ("flat", "truth")
    mono = ["deltas"] * (0 if flat and config.space == "lda" else config.mono_passes)
    plan = mono + (["lda"] * config.lda_passes if config.space == "lda" else [])
    done = _read(model, resume) if resume is not None else 0
    networks = [sentence_network(words, lexicon, config.topology) for words in sentences]
    for number in range(done, len(plan)):
        space, first = plan[number], number == 0 or plan[number - 1] != plan[number]
        if first:
            _enter(model, statics, config, space)
        realigns = not flat and not first and not (config.alignment == "mono" and space == "lda")
        x = [_project(static, model.projection) for static in statics]
        if realigns:
            scorer = model.mixtures.module()
            for index, (frames, network) in enumerate(zip(x, networks, strict=True)):
                try:
                    path = align(score_frames(scorer, frames), network)
                    model.classes[index] = network.state[path]
                except NoPath:
                    model.classes[index] = None
        kept = [i for i, known in enumerate(model.classes) if known is not None]
        frames = np.concatenate([x[i] for i in kept]).astype(np.float64)
        classes = np.concatenate([model.classes[i] for i in kept])
        if space == config.space:
            in_space = number - plan.index(space)
            model.mixtures.split(classes, min(config.gaussians, 2**in_space))
        model.mixtures.estimate(frames, classes, config.variance_floor)
        own = score_frames(model.mixtures.module(), frames.astype(np.float32))[np.arange(len(classes)), classes]
        record(number, float(own.mean()))
        if resume is not None:
            _write(model, resume, number + 1)
    return model


def score_frames(mixtures: GaussianMixtures, x: Array) -> Array:
    """(T, C) float32 log-likelihoods of projected frames (T, P), in pieces that stay small."""
    with torch.inference_mode():
        frames = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        pieces = [mixtures(part) for part in torch.split(frames, 2048)]
    score: Array = torch.cat(pieces).numpy()
    return score


def _project(static: Array, projection: Array) -> Array:
    projected: Array = (windows(static, DELTA_REACH).reshape(len(static), -1) @ projection.T).astype(np.float32)
    return projected


def _enter(model: MixtureModel, statics: Sequence[Array], config: MixtureConfig, space: str) -> None:
    """Change to a space: its projection from the present classes, and every state the Gaussian of all frames."""
    kept = [i for i, known in enumerate(model.classes) if known is not None]
    if space == "deltas":
        model.projection = delta_projection(statics[0].shape[1])
    else:
        stacked = np.concatenate([windows(statics[i], DELTA_REACH).reshape(len(statics[i]), -1) for i in kept])
        classes = np.concatenate([model.classes[i] for i in kept])
        dim = n_projected(config, statics[0].shape[1])
        model.projection = fit_lda(stacked.astype(np.float64), classes, dim)
    frames = np.concatenate([_project(statics[i], model.projection) for i in kept]).astype(np.float64)
    model.mixtures = Mixtures.flat(frames, N_STATES, config.gaussians if space == config.space else 1)


def _write(model: MixtureModel, path: Path, done: int) -> None:
    lengths = [-1 if known is None else len(known) for known in model.classes]
    tensors = {
        "projection": model.projection,
        "weight": model.mixtures.weight,
        "mean": model.mixtures.mean,
        "variance": model.mixtures.variance,
        "classes": np.concatenate([known for known in model.classes if known is not None]).astype(np.int32),
    }
    weights = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}
    write_checkpoint(path, Checkpoint(weights, {}, {}, {}, {"done": done, "lengths": lengths}))


def _read(model: MixtureModel, path: Path) -> int:
    """Put back what `_write` kept; returns the number of passes done."""
    checkpoint = read_checkpoint(path)
    if checkpoint is None:
        return 0
    arrays = {name: value.numpy() for name, value in checkpoint.weights.items()}
    model.projection = arrays["projection"]
    model.mixtures = Mixtures(arrays["weight"], arrays["mean"], arrays["variance"])
    at = 0
    for index, length in enumerate(checkpoint.values["lengths"]):
        model.classes[index] = arrays["classes"][at : at + length] if length >= 0 else None
        at += max(0, length)
    return int(checkpoint.values["done"])
