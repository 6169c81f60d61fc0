from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vultus.core.errors import UserError
from vultus.recognition.language_model import END, START, read_text, train_ngram, uniform

TEXT = [("see", "a", "dog"), ("a", "dog", "see"), ("a", "seed")]
WORDS = ("a", "dog", "moon", "see", "seed")


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_after_any_history_sum_to_one(order: int) -> None:
    model = train_ngram(TEXT, WORDS, order)
    for history in [(), (START,), ("a",), ("moon",), ("see", "a"), (START, "a"), ("moon", "dog")]:
        total = math.fsum(math.exp(model.log_probability(word, history)) for word in [*WORDS, END])
        assert total == pytest.approx(1, abs=1e-9), history


def test_a_seen_pair_has_the_share_of_witten_and_bell() -> None:
    """a is followed by dog, dog and seed: c = 3, T = 2."""
    model = train_ngram(TEXT, WORDS)
    assert math.exp(model.log_probability("dog", ("a",))) == pytest.approx(2 / 5)
    assert math.exp(model.log_probability("seed", ("a",))) == pytest.approx(1 / 5)
    unseen = math.fsum(math.exp(model.log_probability(w, ("a",))) for w in ("a", "moon", "see", END))
    assert unseen == pytest.approx(2 / 5)


def test_unigrams_reach_words_that_the_text_does_not_have() -> None:
    """8 words and 3 ends, 5 kinds; 5/16 of the mass is spread over 5 words and the end."""
    model = train_ngram(TEXT, WORDS, 1)
    assert math.exp(model.log_probability("moon", ())) == pytest.approx(5 / 16 / 6)
    assert math.exp(model.log_probability("a", ())) == pytest.approx(3 / 16 + 5 / 16 / 6)


def test_perplexity_falls_with_the_order_and_is_the_number_of_choices_without_text() -> None:
    values = [train_ngram(TEXT, WORDS, order).perplexity(TEXT) for order in (1, 2, 3)]
    assert values == sorted(values, reverse=True)
    assert uniform(WORDS).perplexity(TEXT) == pytest.approx(len(WORDS) + 1)


def test_a_word_outside_the_vocabulary_is_in_no_history() -> None:
    model = train_ngram([("see", "cat", "dog")], ("see", "dog"))
    assert all("cat" not in history for history in model.probability)
    assert ("see",) not in model.probability


def test_text_and_its_absence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("See  the sea\n\nA dog\n")
    assert read_text(tmp_path / "a.txt") == [("see", "the", "sea"), ("a", "dog")]
    with pytest.raises(UserError, match="place the text for the language model there"):
        read_text(tmp_path / "b.txt")
    with pytest.raises(ValueError, match="order must be 1"):
        train_ngram(TEXT, WORDS, 4)
    assert np.isfinite(train_ngram([], WORDS).log_probability("dog", (START,)))
