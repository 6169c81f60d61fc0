"""Search for the best words of an utterance in a decoding graph, with Kaldi's token-passing decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np
import numpy.typing as npt

from vultus.recognition.lexicon import N_STATES, Lexicon

Array = npt.NDArray[Any]

_RETRIES = 3
"""The beam is doubled so often when no path reaches the end."""


@dataclass(frozen=True)
class Decoded:
    """The best path: its words, the state class of each frame, and whether the first beam was wide enough."""

    words: tuple[str, ...]
    states: Array
    found: bool


class Decoder:
    """Decodes utterances in one graph.

    Args:
        graph: as `graph.decoding_graph` makes it.
        lexicon: whose word ids the graph writes.
        beam: paths that cost more than the best by so much are given up.
        max_active: at most so many paths are followed.
    """

    def __init__(
        self, graph: kaldifst.StdVectorFst, lexicon: Lexicon, beam: float = 14.0, max_active: int = 3000
    ) -> None:
        self.graph, self.lexicon, self.beam, self.max_active = graph, lexicon, beam, max_active

    def decode(self, score: Array) -> Decoded:
        """The words that score best.

        Args:
            score: (T, C) scaled log-likelihoods of the state classes.

        Returns:
            no words and ``found`` False if no path reaches the end of the graph in any beam.
        """
        if score.shape[1] != N_STATES:
            raise ValueError(f"scores must have {N_STATES} columns, not {score.shape[1]}")
        # Its column for label l is l - 1, so that it serves any graph whose labels count from 1.
        decodable = np.ascontiguousarray(score, np.float32)
        for attempt in range(_RETRIES + 1):
            options = kaldi_decoder.FasterDecoderOptions(
                beam=self.beam * 2**attempt, max_active=self.max_active * 2**attempt
            )
            decoder = kaldi_decoder.FasterDecoder(self.graph, options)
            decoder.decode(kaldi_decoder.DecodableCtc(decodable))
            if not decoder.reached_final():
                continue
            found, path = decoder.get_best_path()
            if not found:
                continue
            linear, labels, words, _ = kaldifst.get_linear_symbol_sequence(path)
            if linear:
                text = tuple(self.lexicon.words[word - 1] for word in words)
                return Decoded(text, np.array(labels, np.int32) - 1, attempt == 0)
        return Decoded((), np.empty(0, np.int32), False)
