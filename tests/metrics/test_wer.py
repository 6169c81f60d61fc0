from __future__ import annotations

import numpy as np
import pytest

from vultus.metrics.wer import normalise, wer, word_errors


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    table = np.zeros((len(reference) + 1, len(hypothesis) + 1), int)
    table[:, 0], table[0] = np.arange(len(reference) + 1), np.arange(len(hypothesis) + 1)
    for i, expected in enumerate(reference, 1):
        for j, found in enumerate(hypothesis, 1):
            table[i, j] = min(table[i - 1, j - 1] + (expected != found), table[i - 1, j] + 1, table[i, j - 1] + 1)
    return int(table[-1, -1])


def test_kinds_of_errors_are_told_apart() -> None:
    counts = word_errors(["a b c", "bin blue at f two now", "x y"], ["a x c d", "bin blue f two now", ""])
    assert counts.tolist() == [[2, 1, 0, 1], [5, 0, 1, 0], [0, 0, 2, 0]]


def test_rate_pools_words_and_not_sentences() -> None:
    counts = word_errors(["a b", "c d e f g h i j"], ["a x", "c d e f g h i j"])
    assert wer(counts) == pytest.approx(0.1)
    assert wer(counts.sum(axis=0)) == pytest.approx(0.1)


def test_insertions_can_exceed_the_reference() -> None:
    assert wer(word_errors(["a"], ["a b c d"])) == 3.0


def test_total_is_the_edit_distance() -> None:
    rng = np.random.default_rng(0)
    pairs = [[list(rng.choice(list("abc"), rng.integers(low, 7))) for low in (1, 0)] for _ in range(60)]
    counts = word_errors([" ".join(r) for r, _ in pairs], [" ".join(h) for _, h in pairs])
    assert counts[:, 1:].sum(axis=1).tolist() == [edit_distance(r, h) for r, h in pairs]
    assert counts[:, :3].sum(axis=1).tolist() == [len(r) for r, _ in pairs]


def test_case_and_punctuation_do_not_count() -> None:
    assert normalise("  Bin, BLUE -- at\tf2. ") == "bin blue at f2"
    assert wer(word_errors(["Bin blue."], ["bin  Blue"])) == 0.0


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="2 references, but 1"):
        word_errors(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="reference 1 has no word"):
        word_errors(["a", " ."], ["a", "b"])
    with pytest.raises(ValueError, match="no reference word"):
        wer(word_errors([], []))
