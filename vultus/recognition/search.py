"""Recognition of sentences with several language models over one lexicon, and the choice of its two free numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.metrics.wer import wer, word_errors
from vultus.recognition.decoding import Decoded, Decoder
from vultus.recognition.graph import decoding_graph
from vultus.recognition.hmm import Topology
from vultus.recognition.language_model import NGram
from vultus.recognition.lexicon import PHONES, SILENCE, STATES_PER_PHONE, Lexicon

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Weighting:
    """How acoustic scores and words are weighed against the language model."""

    acoustic_scale: float
    word_cost: float
    wer: float = float("nan")
    """On the sentences that it was chosen on."""


class Search:
    """Decoders of one lexicon under several language models; graphs are built when they are first used."""

    def __init__(
        self, lexicon: Lexicon, models: Mapping[str, NGram], topology: Topology, beam: float, max_active: int
    ) -> None:
        self.lexicon, self.models, self.topology = lexicon, models, topology
        self.beam, self.max_active = beam, max_active
        self._decoders: dict[tuple[str, float], Decoder] = {}

    def decode(self, score: Array, model: str, weighting: Weighting) -> Decoded:
        """The words that explain (T, C) log-likelihoods best."""
        key = (model, weighting.word_cost)
        if key not in self._decoders:
            graph = decoding_graph(self.models[model], self.lexicon, self.topology, weighting.word_cost)
            self._decoders[key] = Decoder(graph, self.lexicon, self.beam, self.max_active)
        return self._decoders[key].decode(weighting.acoustic_scale * score)

    def choose(
        self,
        scores: Sequence[Array],
        references: Sequence[Sequence[str]],
        model: str,
        acoustic_scales: Sequence[float],
        word_costs: Sequence[float],
    ) -> Weighting:
        """The candidates with the fewest word errors on held-out sentences; of equals the first.

        Args:
            scores: (T, C) log-likelihoods of each sentence.
            references: its words.
            model: name of the language model.
            acoustic_scales: candidates.
            word_costs: candidates.
        """
        spoken = [" ".join(words) for words in references]
        best: Weighting | None = None
        for cost in word_costs:
            for scale in acoustic_scales:
                tried = Weighting(scale, cost)
                found = [" ".join(self.decode(score, model, tried).words) for score in scores]
                error = wer(word_errors(spoken, found))
                if best is None or error < best.wer:
                    best = Weighting(scale, cost, error)
        assert best is not None
        return best


def phones_of_states(states: Array) -> tuple[str, ...]:
    """The phones along a path of state classes (T,), without silence; a return to a lower state begins a new phone."""
    if not len(states):
        return ()
    phone, part = np.divmod(states, STATES_PER_PHONE)
    begins = np.concatenate([[True], (phone[1:] != phone[:-1]) | (part[1:] < part[:-1])])
    return tuple(PHONES[p] for p in phone[begins].tolist() if PHONES[p] != SILENCE)
