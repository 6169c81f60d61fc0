"""Two domains of sentences for silent speech: random chains over common words.

The Silent Speech Challenge reads TIMIT's sentences for training and newspaper text for the test. Here two domains stand
for the two kinds of text: each has about 110 of 145 words, so that they share most, and each word has seven successors
of its own in each domain. What was seldom seen together in training text is common in the other.

A sentence either may be spoken or may stand in the text for language models, never both; its own hash decides.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np

_TEXT = """
a about above across after again ago always and are at baby back bag be been before began big blue book both
bought bus by called can car care carried caught children cold colour coming could did dinner doctor does door
down dry each early eight evening every fall first five for found four fresh from garden gate gave going good
green grey had half has have he heavy her here his home hot hour house in into is it keys kitchen know large
left letter like lunch make man many map market me men months more morning moved much my never new next nine not
now number of old on one open our outside over path people place play red road see she six small snow some soon
table take tea ten that the their there they time to train two was we with
"""
WORDS = tuple(_TEXT.split())
"""145 common words."""

DOMAIN_WORDS = 110
SUCCESSORS = 7
SHORTEST, LONGEST = 5, 9
"""Words in a sentence."""

_SPOKEN_SHARE = 0.5


@dataclass(frozen=True)
class WordChain:
    """One domain.

    Attributes:
        words: its vocabulary.
        successors: (words, 7) index of the words that may follow each, equally often.
    """

    words: tuple[str, ...]
    successors: tuple[tuple[int, ...], ...]

    def sentence(self, rng: np.random.Generator, spoken: bool) -> str:
        """Draw a sentence of 5 to 9 words in lower case.

        Args:
            rng: draws first word, length and successors.
            spoken: of the sentences that may be spoken, or of those that may stand in a text.
        """
        while True:
            at = int(rng.integers(len(self.words)))
            drawn = [at]
            for _ in range(int(rng.integers(SHORTEST, LONGEST + 1)) - 1):
                at = self.successors[at][int(rng.integers(SUCCESSORS))]
                drawn.append(at)
            text = " ".join(self.words[i] for i in drawn)
            if may_be_spoken(text) is spoken:
                return text

    def allows(self, text: str) -> bool:
        """The chain can produce this sentence."""
        known = {word: i for i, word in enumerate(self.words)}
        at = [known.get(word, -1) for word in text.split()]
        return min(at) >= 0 and all(b in self.successors[a] for a, b in itertools.pairwise(at))


def draw_word_chain(rng: np.random.Generator) -> WordChain:
    """Draw a domain: its words, and who follows whom."""
    words = tuple(WORDS[i] for i in sorted(rng.choice(len(WORDS), DOMAIN_WORDS, replace=False)))
    # A word never follows itself: 1..109 places further on.
    steps = [1 + rng.choice(DOMAIN_WORDS - 1, SUCCESSORS, replace=False) for _ in words]
    return WordChain(words, tuple(tuple(((i + step) % DOMAIN_WORDS).tolist()) for i, step in enumerate(steps)))


def may_be_spoken(text: str) -> bool:
    """Whether a sentence belongs to those that are spoken; half of all do."""
    return hashlib.sha256(text.encode()).digest()[0] < 256 * _SPOKEN_SHARE
