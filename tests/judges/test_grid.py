from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vultus.core.errors import UserError
from vultus.judges.grid import PHONES, SILENCE, SLOTS, WORDS, Lattice, gather_lexicon, phone_shares


def unit(clip_id: str, tier: str, start_s: float, end_s: float, label: str) -> dict[str, Any]:
    return {"clip_id": clip_id, "tier": tier, "start_s": start_s, "end_s": end_s, "label": label}


def test_the_grammar_has_51_words_and_64000_sentences() -> None:
    assert len(set(WORDS)) == len(WORDS) == 51
    assert np.prod([len(words) for words in SLOTS.values()]) == 64_000
    assert "w" not in SLOTS["letter"]
    assert len(set(PHONES)) == len(PHONES)


def test_shares_of_phones_fill_each_step() -> None:
    units = pd.DataFrame([unit("c", "phone", 0.04, 0.09, "B"), unit("c", "word", 0.0, 1.0, "bin")])
    shares = phone_shares(units, 4, 25.0)
    b, nothing = PHONES.index("B"), SILENCE
    assert shares[:, b].tolist() == pytest.approx([0, 1, 0.25, 0], abs=1e-6)
    assert shares[:, nothing].tolist() == pytest.approx([1, 0, 0.75, 1], abs=1e-6)
    assert shares.sum(axis=1).tolist() == pytest.approx([1] * 4)
    with pytest.raises(UserError, match="'QQ'"):
        phone_shares(pd.DataFrame([unit("c", "phone", 0, 1, "QQ")]), 4, 25.0)


def test_pronunciations_are_gathered_by_frequency() -> None:
    rows = []
    for clip, vowel in (("a", "AA"), ("b", "AH"), ("c", "AH")):
        rows += [unit(clip, "word", 0.1, 0.4, "one"), unit(clip, "phone", 0.0, 0.1, "SIL")]
        rows += [unit(clip, "phone", 0.1 + k / 10, 0.2 + k / 10, phone) for k, phone in enumerate(("W", vowel, "N"))]
    said = gather_lexicon(pd.DataFrame(rows))[WORDS.index("one")]
    names = [[PHONES[phone] for phone in row if phone >= 0] for row in said]
    assert names == [["W", "AH", "N"], ["W", "AA", "N"], [], []]
    assert (gather_lexicon(pd.DataFrame(rows))[WORDS.index("two")] == -1).all()


def small_lexicon(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Two words a slot, one or two pronunciations of one to three of six phones."""
    lexicon = np.full((len(WORDS), 4, 8), -1)
    for words in SLOTS.values():
        for word in words[:2]:
            for place in range(int(rng.integers(1, 3))):
                said = rng.integers(1, 7, rng.integers(1, 4))
                lexicon[WORDS.index(word), place, : len(said)] = said
    return lexicon


def best_score(phones: list[tuple[int, bool]], likelihood: np.ndarray[Any, Any]) -> float:
    """Viterbi of one sentence alone, in the plainest way; ``phones``: (phone, may be skipped)."""
    score = np.full(len(phones), -np.inf)
    for step, row in enumerate(likelihood):
        before = score.copy()
        for state, (phone, _) in enumerate(phones):
            come = [before[state]]
            back = state - 1
            while back >= 0:
                come.append(before[back])
                if not phones[back][1]:
                    break
                back -= 1
            first = step == 0 and (state == 0 or (state == 1 and phones[0][1]))
            score[state] = (0 if first else max(come) if step else -np.inf) + row[phone]
    return float(max(score[-1], score[-2]))


@pytest.mark.parametrize("seed", range(4))
def test_decoding_finds_the_best_of_all_sentences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lexicon = small_lexicon(rng)
    likelihood = rng.standard_normal((22, len(PHONES))) * 2
    scores: dict[tuple[str, ...], float] = {}
    choices = [
        [(word, tuple(said[said >= 0])) for word in words[:2] for said in lexicon[WORDS.index(word)] if said[0] >= 0]
        for words in SLOTS.values()
    ]
    for sentence in itertools.product(*choices):
        phones = [(SILENCE, True)]
        for _, said in sentence:
            phones += [(int(phone), False) for phone in said] + [(SILENCE, True)]
        words = tuple(word for word, _ in sentence)
        scores[words] = max(scores.get(words, -np.inf), best_score(phones, likelihood))
    assert tuple(Lattice(lexicon).decode(likelihood)) == max(scores, key=scores.__getitem__)


def test_what_cannot_be_decoded_is_refused() -> None:
    lexicon = small_lexicon(np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 steps are too few"):
        Lattice(lexicon).decode(np.zeros((3, len(PHONES))))
    lexicon[[WORDS.index(word) for word in SLOTS["digit"]]] = -1
    with pytest.raises(ValueError, match="'digit'"):
        Lattice(lexicon)
