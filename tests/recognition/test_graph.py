from __future__ import annotations

import itertools

import numpy as np
import pytest

from vultus.core.errors import UserError
from vultus.recognition.decoding import Decoder
from vultus.recognition.graph import decoding_graph
from vultus.recognition.hmm import align, flat_start, sentence_network
from vultus.recognition.language_model import END, START, NGram, train_ngram, uniform
from vultus.recognition.lexicon import N_STATES, Lexicon
from vultus.recognition.search import Search, Weighting, phones_of_states

LEXICON = Lexicon({
    "see": (("S", "IY"),), "sea": (("S", "IY"),), "seed": (("S", "IY", "D"),), "a": (("AX",),),
    "dog": (("D", "AO", "G"), ("D", "AA", "G")),
})  # fmt: skip
TEXT = [("see", "a", "dog"), ("a", "dog", "see", "seed"), ("a", "sea"), ("a", "dog", "see", "a")]


def sharp(words: tuple[str, ...], n_frames: int, penalty: float = 6.0) -> np.ndarray:
    states = flat_start(words, LEXICON, n_frames)
    score = np.full((n_frames, N_STATES), -penalty)
    score[np.arange(n_frames), states] = 0
    return score


def cost_of(words: tuple[str, ...], model: NGram, score: np.ndarray) -> float:
    """-log of the best path of one sentence: its own network, and the model's probability of its words."""
    network = sentence_network(words, LEXICON)
    path = align(score, network)
    arcs = {
        (int(network.source[e]), s): float(network.log_probability[e])
        for s in range(len(network.state))
        for e in range(network.first[s], network.first[s + 1])
    }
    total = sum(arcs[step] for step in zip((-1, *path.tolist()), path.tolist(), strict=False))
    total += float(score[np.arange(len(score)), network.state[path]].sum())
    history: tuple[str, ...] = (START,)
    for word in (*words, END):
        total += model.log_probability(word, history)
        history = (*history, word)
    return -total


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_decoder_finds_the_best_of_all_sentences(order: int) -> None:
    """Every sentence of up to three words is tried on its own network."""
    model = train_ngram(TEXT, LEXICON.words, order)
    decoder = Decoder(decoding_graph(model, LEXICON), LEXICON, beam=100)
    rng = np.random.default_rng(order)
    for words in (("a", "dog"), ("sea",), ("see", "a")):
        score = 0.3 * sharp(words, 50) + rng.normal(0, 0.3, (50, N_STATES))
        tried = [s for n in (1, 2, 3) for s in itertools.product(LEXICON.words, repeat=n)]
        fitting = [s for s in tried if 3 * sum(len(LEXICON.pronunciations[w][0]) for w in s) <= 50]
        expected = min(fitting, key=lambda s: cost_of(s, model, score))
        assert decoder.decode(score).words == expected


@pytest.mark.parametrize("topology", ["3-state", "skip"])
def test_sharp_scores_give_the_sentence_back(topology: str) -> None:
    words = ("a", "dog", "see", "seed")
    decoder = Decoder(decoding_graph(train_ngram(TEXT, LEXICON.words), LEXICON, topology), LEXICON)  # type: ignore[arg-type]
    found = decoder.decode(sharp(words, 120))
    assert found.words == words
    assert found.found
    assert phones_of_states(found.states) == ("AX", "D", "AO", "G", "S", "IY", "S", "IY", "D")


def test_homophones_are_told_apart_by_the_language_model_alone() -> None:
    decoder = Decoder(decoding_graph(train_ngram(TEXT, LEXICON.words), LEXICON), LEXICON)
    assert decoder.decode(sharp(("a", "dog", "sea"), 90)).words == ("a", "dog", "see")
    assert decoder.decode(sharp(("a", "see"), 60)).words == ("a", "sea")


def test_a_dear_word_makes_sentences_short() -> None:
    blurred = np.zeros((90, N_STATES))
    lengths = [
        len(Decoder(decoding_graph(uniform(LEXICON.words), LEXICON, word_cost=cost), LEXICON).decode(blurred).words)
        for cost in (-8.0, 8.0)
    ]
    assert lengths[0] > lengths[1]


def test_too_few_frames_find_nothing() -> None:
    decoder = Decoder(decoding_graph(train_ngram(TEXT, LEXICON.words), LEXICON), LEXICON)
    found = decoder.decode(np.zeros((2, N_STATES)))
    assert found.words == ()
    assert not found.found


def test_a_word_without_pronunciation_is_named() -> None:
    with pytest.raises(UserError, match="no pronunciation for moon"):
        decoding_graph(uniform(("a", "moon")), LEXICON)


def test_the_weighing_with_fewest_errors_is_chosen() -> None:
    model = {"task": train_ngram(TEXT, LEXICON.words)}
    search = Search(LEXICON, model, "3-state", 14.0, 3000)
    said = [("a", "dog", "see"), ("a", "sea")]
    scores = [sharp(words, 80) for words in said]
    best = search.choose(scores, said, "task", (0.0, 0.5), (0.0,))
    assert (best.acoustic_scale, best.wer) == (0.5, 0.0)
    assert search.decode(scores[0], "task", Weighting(0.5, 0.0)).words == said[0]
