"""Hidden Markov models of sentences, and the best path of frames through one.

A sentence is a network of states: optional silence, then for each word its pronunciations side by side, then optional
silence again. T frames, E arcs, S states of the network, C state classes (`lexicon.N_STATES`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from vultus.recognition.lexicon import PHONE_ID, SILENCE, STATES_PER_PHONE, Lexicon

Array = npt.NDArray[Any]
Topology = Literal["3-state", "skip"]
"""``skip`` lets a phone leave out its middle state, so that it fits into two frames."""

STAY, MOVE = 0.6, 0.4
"""Transition probabilities of every state; they are not trained, as the scores of frames outweigh them."""
SKIP = 0.1
"""Of `MOVE`, what goes from a phone's first state to its last under the topology ``skip``."""
SILENCE_PROBABILITY = 0.5
"""Of a pause between two words, and before and after the sentence."""


class NoPath(ValueError):
    """The sentence has more states than there are frames."""


@dataclass(frozen=True)
class SentenceNetwork:
    """States in an order in which every arc but a state's own loop leads forward.

    Attributes:
        state: (S,) class of each state.
        phone: (S,) running number of the phone that the state belongs to.
        first: (S + 1,) where each state's incoming arcs begin.
        source: (E,) state an arc comes from; -1 is the beginning of the sentence.
        log_probability: (E,) of the arcs.
        final: states in which a sentence may end.
    """

    state: Array
    phone: Array
    first: Array
    source: Array
    log_probability: Array
    final: Array


def sentence_network(words: Sequence[str], lexicon: Lexicon, topology: Topology = "3-state") -> SentenceNetwork:
    """The network of a sentence whose words all stand in the lexicon."""
    state: list[int] = []
    phone: list[int] = []
    arcs: list[list[tuple[int, float]]] = []

    def add(name: str, entries: list[tuple[int, float]]) -> int:
        begin, number = len(state), phone[-1] + 1 if phone else 0
        for k in range(STATES_PER_PHONE):
            state.append(STATES_PER_PHONE * PHONE_ID[name] + k)
            phone.append(number)
            arcs.append([(begin + k, math.log(STAY))])
        arcs[begin] += entries
        move = MOVE - SKIP if topology == "skip" else MOVE
        arcs[begin + 1].append((begin, math.log(move)))
        arcs[begin + 2].append((begin + 1, math.log(MOVE)))
        if topology == "skip":
            arcs[begin + 2].append((begin, math.log(SKIP)))
        return begin + 2

    def leave(ends: Sequence[int]) -> list[tuple[int, float]]:
        return [(end, math.log(MOVE)) for end in ends]

    half, other = math.log(SILENCE_PROBABILITY), math.log(1 - SILENCE_PROBABILITY)
    pause = add(SILENCE, [(-1, half)])
    entries = [(-1, other), *leave([pause])]
    ends = [pause]
    for word in words:
        variants = lexicon.pronunciations[word]
        ends = []
        for variant in variants:
            at = [(source, p - math.log(len(variants))) for source, p in entries]
            for name in variant:
                end = add(name, at)
                at = leave([end])
            ends.append(end)
        pause = add(SILENCE, [(source, p + half) for source, p in leave(ends)])
        entries = [(source, p + other) for source, p in leave(ends)] + leave([pause])
        ends = [*ends, pause]
    flat = [arc for incoming in arcs for arc in incoming]
    return SentenceNetwork(
        state=np.array(state, np.int32),
        phone=np.array(phone, np.int32),
        first=np.concatenate([[0], np.cumsum([len(incoming) for incoming in arcs])]).astype(np.int32),
        source=np.array([source for source, _ in flat], np.int32),
        log_probability=np.array([p for _, p in flat], np.float64),
        final=np.array(ends, np.int32),
    )


def align(score: Array, network: SentenceNetwork) -> Array:
    """The most probable path.

    Args:
        score: (T, C) log-likelihood of each frame under each class.
        network: of the sentence.

    Returns:
        (T,) int32, state of the network at each frame.

    Raises:
        NoPath: the sentence does not fit into so few frames.
    """
    own = np.ascontiguousarray(score[:, network.state], np.float64)
    path = np.empty(len(own), np.int32)
    best = _viterbi(own, network.first, network.source, network.log_probability, network.final, path)
    if not np.isfinite(best):
        raise NoPath(f"{len(own)} frames are too few for the sentence")
    return path


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _viterbi(own: Array, first: Array, source: Array, log_p: Array, final: Array, path: Array) -> float:
    n_frames, n_states = own.shape
    best = np.full(n_states, -np.inf)
    came = np.full((n_frames, n_states), -1, np.int32)
    for t in range(n_frames):
        now = np.full(n_states, -np.inf)
        for s in range(n_states):
            for arc in range(first[s], first[s + 1]):
                origin = source[arc]
                if origin < 0:
                    value = log_p[arc] if t == 0 else -np.inf
                else:
                    value = best[origin] + log_p[arc] if t > 0 else -np.inf
                if value > now[s]:
                    now[s] = value
                    came[t, s] = origin
            now[s] += own[t, s]
        best = now
    end = final[0]
    for s in final:
        if best[s] > best[end]:
            end = s
    total = best[end]
    if np.isfinite(total):
        for t in range(n_frames - 1, -1, -1):
            path[t] = end
            end = came[t, end]
    return float(total)


def flat_start(words: Sequence[str], lexicon: Lexicon, n_frames: int) -> Array:
    """(T,) int32 classes: silence, the first pronunciation of each word and silence, all states equally long.

    Raises:
        NoPath: more states than frames.
    """
    phones = [SILENCE, *(phone for word in words for phone in lexicon.pronunciations[word][0]), SILENCE]
    states = np.array([STATES_PER_PHONE * PHONE_ID[p] + k for p in phones for k in range(STATES_PER_PHONE)], np.int32)
    if len(states) > n_frames:
        raise NoPath(f"{n_frames} frames are too few for {len(states)} states")
    flat: Array = states[np.arange(n_frames) * len(states) // n_frames]
    return flat


def classes_of_units(units: Sequence[tuple[str, float, float]], frame_rate_hz: float, n_frames: int) -> Array:
    """(T,) int32 classes of known phone times: each phone is divided into three equal parts.

    Args:
        units: phone, start and end in seconds; frames outside of all are silence.
        frame_rate_hz: of the frames.
        n_frames: T.
    """
    times = (np.arange(n_frames) + 0.5) / frame_rate_hz
    classes = np.full(n_frames, STATES_PER_PHONE * PHONE_ID[SILENCE] + 1, np.int32)
    for label, start, end in units:
        inside = (times >= start) & (times < end)
        part = np.minimum((times[inside] - start) / max(end - start, 1e-9) * STATES_PER_PHONE, STATES_PER_PHONE - 1)
        classes[inside] = STATES_PER_PHONE * PHONE_ID[label] + part.astype(np.int32)
    return classes


def segments(path: Array, network: SentenceNetwork, frame_rate_hz: float) -> list[tuple[int, float, float]]:
    """Phone id, start and end in seconds of the phones along an aligned path."""
    starts = np.flatnonzero(np.diff(network.phone[path], prepend=-1))
    stops = np.append(starts[1:], len(path))
    return [
        (int(network.state[path[a]]) // STATES_PER_PHONE, a / frame_rate_hz, b / frame_rate_hz)
        for a, b in zip(starts.tolist(), stops.tolist(), strict=True)
    ]
