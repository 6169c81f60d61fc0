"""Word errors of recognised sentences: substitutions, deletions and insertions of the shortest alignment."""

from __future__ import annotations

import re
from collections.abc import Sequence

import jiwer
import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

COUNTS = ("hits", "substitutions", "deletions", "insertions")
"""Columns of `word_errors`."""


def normalise(text: str) -> str:
    """Words in lower case with single spaces, without punctuation: ``"Bin blue, at F2"`` gives ``bin blue at f2``."""
    return " ".join(re.sub(r"[^\w\s']", " ", text.lower()).split())


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> Counts:
    """Error counts of each sentence, after `normalise`.

    ``a b c`` read as ``a x c d`` has 2 hits, 1 substitution, 0 deletions, 1 insertion.

    Args:
        references: N sentences as spoken.
        hypotheses: N sentences as recognised; an empty one deletes every word.

    Returns:
        (N, 4), columns as in `COUNTS`; hits, substitutions and deletions of a row sum to its reference's words.

    Raises:
        ValueError: the lists differ in length, or a reference has no word.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, but {len(hypotheses)} hypotheses")
    expected, found = [normalise(text) for text in references], [normalise(text) for text in hypotheses]
    if "" in expected:
        raise ValueError(f"reference {expected.index('')} has no word: leave the sentence out")
    counts = np.zeros((len(expected), len(COUNTS)), np.int64)
    if not expected:
        return counts
    for row, chunks in zip(counts, jiwer.process_words(expected, found).alignments, strict=True):
        for chunk in chunks:
            length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            row[_COLUMN[chunk.type]] += length
    return counts


_COLUMN = {"equal": 0, "substitute": 1, "delete": 2, "insert": 3}


def wer(counts: Counts) -> float:
    """Word error rate (S + D + I) / N of pooled counts: a fraction, above 1 where insertions abound.

    The rate of a corpus is not the mean of its sentences' rates: one error in 2 words and none in 8 give 0.1.

    Args:
        counts: (N, 4) of `word_errors`, or sums of its rows.

    Raises:
        ValueError: there is no reference word.
    """
    hits, substitutions, deletions, insertions = np.asarray(counts).reshape(-1, len(COUNTS)).sum(axis=0)
    words = hits + substitutions + deletions
    if not words:
        raise ValueError("there is no reference word")
    return float((substitutions + deletions + insertions) / words)
