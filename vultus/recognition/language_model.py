"""N-gram language models with Witten-Bell back-off.

Witten and Bell 1991: of the mass after a history h that was seen c(h) times with T(h) different successors, the share
T/(c + T) is kept for words that never followed it,

    P(w|h) = c(h w) / (c(h) + T(h))            if h w was seen
           = bow(h) P(w | h without its first word)   otherwise,

with bow(h) such that the probabilities sum to one. Below the unigrams lies the uniform distribution over the
vocabulary and the sentence end.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vultus.core.errors import UserError

END = "</s>"
START = "<s>"
History = tuple[str, ...]


@dataclass(frozen=True)
class NGram:
    """A back-off model over a closed vocabulary.

    Attributes:
        order: 1 unigram, 2 bigram, 3 trigram.
        vocabulary: words, without sentence marks.
        probability: history -> word or END -> P(word | history), for what was seen; the empty history holds every word.
        backoff: history -> bow(history).
    """

    order: int
    vocabulary: tuple[str, ...]
    probability: dict[History, dict[str, float]]
    backoff: dict[History, float]

    def log_probability(self, word: str, history: History) -> float:
        """Natural logarithm of P(word | history); ``history`` may be longer than the model remembers."""
        at = self.state(history)
        total = 0.0
        while word not in self.probability[at]:
            total += math.log(self.backoff[at])
            at = self.shorter(at)
        return total + math.log(self.probability[at][word])

    def state(self, history: History) -> History:
        """The longest end of a history that the model knows."""
        at = history[-(self.order - 1) :] if self.order > 1 else ()
        while at not in self.probability:
            at = at[1:]
        return at

    def shorter(self, history: History) -> History:
        """The next shorter history that the model knows."""
        return self.state_or_shorter(history[1:])

    def state_or_shorter(self, history: History) -> History:
        """``history``, or the longest end of it that the model knows."""
        while history not in self.probability:
            history = history[1:]
        return history

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Exp of the mean negative log-probability of words and sentence ends."""
        total, count = 0.0, 0
        for sentence in sentences:
            history: History = (START,)
            for word in (*sentence, END):
                total -= self.log_probability(word, history)
                history, count = (*history, word), count + 1
        return math.exp(total / count)


def train_ngram(sentences: Sequence[Sequence[str]], vocabulary: Iterable[str], order: int = 2) -> NGram:
    """Estimate a model; words outside the vocabulary break the sentence they stand in.

    Args:
        sentences: the text, words in lower case.
        vocabulary: every word that may be recognised.
        order: 1..3.

    Raises:
        ValueError: an order outside 1..3, or no vocabulary.
    """
    words = tuple(sorted(set(vocabulary)))
    if not 1 <= order <= 3 or not words:
        raise ValueError(f"order must be 1..3 and the vocabulary not empty, not {order} and {len(words)} words")
    known = {*words, END}
    counts: defaultdict[History, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        line = [START, *sentence, END]
        for i in range(1, len(line)):
            if line[i] not in known:
                continue
            for length in range(order):
                history = tuple(line[i - length : i]) if length else ()
                if length > i or any(word not in known and word != START for word in history):
                    break
                counts[history][line[i]] += 1
    total, kinds = sum(counts[()].values()), len(counts[()])
    spread = kinds / (total + kinds) / len(known) if total else 1 / len(known)
    model = NGram(
        order, words, {(): {w: (counts[()][w] / (total + kinds) if total else 0.0) + spread for w in sorted(known)}}, {}
    )
    for history in sorted((h for h in counts if h), key=lambda h: (len(h), h)):
        seen = counts[history]
        total, kinds = sum(seen.values()), len(seen)
        below = model.state_or_shorter(history[1:])
        lower = math.fsum(math.exp(model.log_probability(word, below)) for word in seen)
        scale = total + kinds if len(seen) < len(known) else total  # nothing is left to back off for
        model.probability[history] = {word: count / scale for word, count in sorted(seen.items())}
        model.backoff[history] = (kinds / scale) / (1 - lower) if len(seen) < len(known) else 1.0
    return model


def uniform(vocabulary: Iterable[str]) -> NGram:
    """Every word, and the sentence end, equally likely after any other: the word loop."""
    words = tuple(sorted(set(vocabulary)))
    return NGram(1, words, {(): dict.fromkeys([*words, END], 1 / (len(words) + 1))}, {})


def read_text(path: Path) -> list[tuple[str, ...]]:
    """Sentences of a text file, one a line, in lower case.

    Raises:
        UserError: the file is missing or empty.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: place the text for the language model there, or correct its name")
    sentences = [tuple(line.lower().split()) for line in path.read_text().splitlines() if line.split()]
    if not sentences:
        raise UserError(f"{path} holds no sentence")
    return sentences
