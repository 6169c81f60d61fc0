"""The decoding graph: language model, lexicon and state topology composed into one transducer.

G accepts word strings at the cost -ln P; L turns phones into words, with optional silence after each; H turns states
into phones. L o G is determinised and minimised, then every phone becomes its three states. Arcs of the result read a
state class + 1 and write a word id; 0 is nothing. Mohri, Pereira and Riley 2002; there is no context transducer, as the
states are those of single phones.

Two symbols keep the determinisation finite: ``#0`` marks back-off arcs of G, and ``#1``.. end pronunciations that are
equal to another or the beginning of one.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import kaldifst

from vultus.recognition.hmm import MOVE, SILENCE_PROBABILITY, SKIP, STAY, Topology
from vultus.recognition.language_model import END, START, NGram
from vultus.recognition.lexicon import PHONE_ID, PHONES, SILENCE, STATES_PER_PHONE, Lexicon, Pronunciation

_PHONE_LABEL = {phone: index + 1 for phone, index in PHONE_ID.items()}
_BACKOFF_PHONE = len(PHONES) + 1
"""``#0`` among the phones; ``#k`` is k further."""


def decoding_graph(
    model: NGram, lexicon: Lexicon, topology: Topology = "3-state", word_cost: float = 0.0
) -> kaldifst.StdVectorFst:
    """The graph that a decoder searches.

    Args:
        model: its vocabulary lies in the lexicon.
        lexicon: pronunciations and word ids.
        topology: of the phones.
        word_cost: added to the cost of every word; above 0 favours few words.

    Raises:
        UserError: a word of the model has no pronunciation.
    """
    lexicon.require(model.vocabulary)
    grammar = kaldifst.compile(_grammar(model, lexicon, word_cost))
    kaldifst.arcsort(grammar, "ilabel")
    spoken = kaldifst.compile(_lexicon(lexicon, model.vocabulary))
    kaldifst.arcsort(spoken, "olabel")
    graph = kaldifst.compose(spoken, grammar)
    kaldifst.determinize_star(graph, use_log=True)
    kaldifst.minimize_encoded(graph)
    return _with_states(graph, topology)


def _lines(arcs: list[tuple[int, int, int, int, float]], finals: list[tuple[int, float]]) -> str:
    """OpenFst's text form; the source of the first line is the start."""
    text = [f"{a} {b} {i} {o} {cost:.6f}" for a, b, i, o, cost in arcs]
    return "\n".join(text + [f"{state} {cost:.6f}" for state, cost in finals]) + "\n"


def _grammar(model: NGram, lexicon: Lexicon, word_cost: float) -> str:
    """G: a state for each history, word arcs between them, back-off arcs that read ``#0``."""
    number = {model.state((START,)): 0}
    for history in model.probability:
        number.setdefault(history, len(number))
    backoff_word = len(lexicon.words) + 1
    arcs: list[tuple[int, int, int, int, float]] = []
    finals: list[tuple[int, float]] = []
    for history in sorted(number, key=lambda h: number[h]):
        at = number[history]
        for word, probability in model.probability[history].items():
            if word == END:
                finals.append((at, -math.log(probability)))
                continue
            label, to = lexicon.word_id[word], number[model.state((*history, word))]
            arcs.append((at, to, label, label, -math.log(probability) + word_cost))
        if history:
            arcs.append((at, number[model.shorter(history)], backoff_word, 0, -math.log(model.backoff[history])))
    return _lines(arcs, finals)


def _disambiguation(pronunciations: list[tuple[str, Pronunciation]]) -> list[int]:
    """0 where a pronunciation needs no mark, else the number of its ``#``: equal ones get different numbers."""
    counts = Counter(phones for _, phones in pronunciations)
    beginnings = {phones[:n] for phones in counts for n in range(1, len(phones))}
    given: Counter[Pronunciation] = Counter()
    marks = []
    for _, phones in pronunciations:
        needed = counts[phones] > 1 or phones in beginnings
        given[phones] += needed
        marks.append(given[phones] if needed else 0)
    return marks


def _lexicon(lexicon: Lexicon, vocabulary: tuple[str, ...]) -> str:
    """L: optional silence, then words with optional silence after each; ``#0`` passes at the loop state 1."""
    entries = [(word, phones) for word in vocabulary for phones in lexicon.pronunciations[word]]
    half, other = -math.log(SILENCE_PROBABILITY), -math.log(1 - SILENCE_PROBABILITY)
    start, loop, pause, free = 0, 1, 2, 3
    silence = _PHONE_LABEL[SILENCE]
    # The state `pause` speaks the silence after a word.
    arcs = [(start, loop, 0, 0, other), (start, loop, silence, 0, half), (pause, loop, silence, 0, 0.0)]
    for (word, phones), mark in zip(entries, _disambiguation(entries), strict=True):
        labels = [_PHONE_LABEL[phone] for phone in phones] + ([_BACKOFF_PHONE + mark] if mark else [])
        cost = math.log(len(lexicon.pronunciations[word]))
        at = loop
        for position, label in enumerate(labels):
            output = lexicon.word_id[word] if position == 0 else 0
            price = cost if position == 0 else 0.0
            if position == len(labels) - 1:
                arcs += [(at, loop, label, output, price + other), (at, pause, label, output, price + half)]
            else:
                arcs.append((at, free, label, output, price))
                at, free = free, free + 1
    arcs.append((loop, loop, _BACKOFF_PHONE, len(lexicon.words) + 1, 0.0))
    return _lines(arcs, [(loop, 0.0)])


def _with_states(graph: Any, topology: Topology) -> kaldifst.StdVectorFst:
    """H: every phone arc becomes its three states with their loops; marks become empty."""
    made = kaldifst.StdVectorFst()
    for _ in range(graph.num_states):
        made.add_state()
    made.start = graph.start
    stay, move = -math.log(STAY), -math.log(MOVE)
    onward = -math.log(MOVE - SKIP) if topology == "skip" else move

    def arc(source: int, label: int, output: int, cost: float, to: int) -> None:
        made.add_arc(source, kaldifst.StdArc(label, output, cost, to))

    for origin in kaldifst.StateIterator(graph):
        final = graph.final(origin)
        if final.value != math.inf:
            made.set_final(origin, final)
        for old in kaldifst.ArcIterator(graph, origin):
            cost = old.weight.value
            if old.ilabel == 0 or old.ilabel > len(PHONES):
                arc(origin, 0, old.olabel, cost, old.nextstate)
                continue
            inside = [made.add_state() for _ in range(STATES_PER_PHONE)]
            labels = [STATES_PER_PHONE * (old.ilabel - 1) + k + 1 for k in range(STATES_PER_PHONE)]
            arc(origin, labels[0], old.olabel, cost, inside[0])
            for k, state in enumerate(inside):
                arc(state, labels[k], 0, stay, state)
            arc(inside[0], labels[1], 0, onward, inside[1])
            arc(inside[1], labels[2], 0, move, inside[2])
            if topology == "skip":
                arc(inside[0], labels[2], 0, -math.log(SKIP), inside[2])
            arc(inside[2], 0, 0, move, old.nextstate)
    return made
