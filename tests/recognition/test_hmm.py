from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vultus.recognition.hmm import (
    NoPath,
    SentenceNetwork,
    align,
    classes_of_units,
    flat_start,
    segments,
    sentence_network,
)
from vultus.recognition.lexicon import N_STATES, PHONE_ID, Lexicon

LEXICON = Lexicon({"see": (("S", "IY"),), "dog": (("D", "AO", "G"), ("D", "AA", "G"))})


def best_by_trial(score: np.ndarray, network: SentenceNetwork) -> float:
    """The best path's log-probability, found by trying every sequence of states."""
    n = len(network.state)
    arcs = {
        (int(network.source[e]), s): float(network.log_probability[e])
        for s in range(n)
        for e in range(network.first[s], network.first[s + 1])
    }
    best = -math.inf
    for path in itertools.product(range(n), repeat=len(score)):
        steps = zip((-1, *path), path, strict=False)
        if path[-1] not in network.final:
            continue
        total = sum(arcs.get(step, -math.inf) for step in steps)
        best = max(best, total + sum(score[t, network.state[s]] for t, s in enumerate(path)))
    return best


@pytest.mark.parametrize("topology", ["3-state", "skip"])
def test_the_path_is_the_best_of_all(topology: str) -> None:
    rng = np.random.default_rng(0)
    network = sentence_network((), LEXICON, topology)  # type: ignore[arg-type]  a pause alone
    for n_frames in (3, 5):
        score = rng.normal(0, 2, (n_frames, N_STATES))
        path = align(score, network)
        arcs = {
            (int(network.source[e]), s): float(network.log_probability[e])
            for s in range(len(network.state))
            for e in range(network.first[s], network.first[s + 1])
        }
        found = sum(arcs[step] for step in zip((-1, *path.tolist()), path.tolist(), strict=False))
        found += sum(score[t, network.state[s]] for t, s in enumerate(path))
        assert found == pytest.approx(best_by_trial(score, network))


def test_known_classes_are_found_again_with_the_right_variant_and_without_a_pause() -> None:
    spoken = [("S", 5), ("IY", 7), ("D", 4), ("AA", 6), ("G", 3)]
    classes = np.concatenate([3 * PHONE_ID[p] + np.arange(n) * 3 // n for p, n in spoken])
    score = np.full((len(classes), N_STATES), -8.0)
    score[np.arange(len(classes)), classes] = 0
    network = sentence_network(("see", "dog"), LEXICON)
    path = align(score, network)
    np.testing.assert_array_equal(network.state[path], classes)
    found = segments(path, network, 60)
    assert [phone for phone, _, _ in found] == [PHONE_ID[p] for p, _ in spoken]
    assert found[1][1:] == (5 / 60, 12 / 60)


def test_a_phone_of_two_frames_needs_the_skip() -> None:
    score = np.zeros((4, N_STATES))
    with pytest.raises(NoPath, match="4 frames are too few"):
        align(score, sentence_network(("see",), LEXICON))
    assert len(align(score, sentence_network(("see",), LEXICON, "skip"))) == 4


def test_flat_start_gives_every_state_its_share() -> None:
    flat = flat_start(("see",), LEXICON, 24)
    np.testing.assert_array_equal(np.unique(flat, return_counts=True)[1], [4, 4, 4, 2, 2, 2, 2, 2, 2])
    with pytest.raises(NoPath, match="11 frames are too few for 12 states"):
        flat_start(("see",), LEXICON, 11)


def test_known_times_become_classes() -> None:
    classes = classes_of_units([("S", 0.0, 0.1), ("IY", 0.1, 0.15)], 60, 12)
    s, iy = 3 * PHONE_ID["S"], 3 * PHONE_ID["IY"]
    np.testing.assert_array_equal(classes, [s, s, s + 1, s + 1, s + 2, s + 2, iy, iy + 1, iy + 2, 1, 1, 1])
