"""Words, their pronunciations, and the numbers of phones and states.

A phone has three states (the topology of the HTK and Kaldi recipes); state ``k`` of phone ``p`` is the class
``3 p + k`` that acoustic models score.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vultus.core.errors import UserError

SILENCE = "SIL"
PHONES: tuple[str, ...] = (
    SILENCE, "AA", "AE", "AH", "AO", "AW", "AX", "AXR", "AY", "B", "CH", "D", "DH", "DX", "EH", "ER", "EY", "F", "G",
    "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W",
    "Y", "Z", "ZH",
)  # fmt: skip
"""ARPAbet with schwa, rhotic schwa and flap; silence first."""
PHONE_ID: Mapping[str, int] = {phone: index for index, phone in enumerate(PHONES)}
STATES_PER_PHONE = 3
N_STATES = STATES_PER_PHONE * len(PHONES)

ENGLISH = Path(__file__).with_name("english.txt")
"""A small dictionary of common words, written for this project."""

Pronunciation = tuple[str, ...]
Unit = tuple[str, float, float]
"""Label, start and end in seconds."""


@dataclass(frozen=True)
class Lexicon:
    """Words with one or more pronunciations, the most frequent first."""

    pronunciations: Mapping[str, tuple[Pronunciation, ...]]

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary, sorted; word id = position + 1, as 0 is the empty label of a graph."""
        return tuple(sorted(self.pronunciations))

    @cached_property
    def word_id(self) -> dict[str, int]:
        """Word -> id, from 1."""
        return {word: index for index, word in enumerate(self.words, start=1)}

    def require(self, words: Iterable[str]) -> None:
        """Check that every word can be said.

        Raises:
            UserError: names the words without pronunciation.
        """
        missing = sorted(set(words) - set(self.pronunciations))
        if missing:
            raise UserError(
                f"no pronunciation for {', '.join(missing[:5])}"
                f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}: add them to the dictionary"
            )


def merge(observed: Mapping[str, Counter[Pronunciation]], dictionary: Lexicon | None, max_variants: int = 3) -> Lexicon:
    """The most frequent pronunciations heard, and the dictionary's for words that were never heard.

    Args:
        observed: word -> how often each pronunciation was heard among the training utterances.
        dictionary: pronunciations from elsewhere.
        max_variants: pronunciations kept of each word; a heard word gets the dictionary's own when there is room.
    """
    merged: dict[str, tuple[Pronunciation, ...]] = {}
    known = dictionary.pronunciations if dictionary else {}
    for word in sorted({*observed, *known}):
        heard = sorted(observed.get(word, Counter()).items(), key=lambda entry: (-entry[1], entry[0]))
        ranked = [phones for phones, _ in heard] + list(known.get(word, ()))
        merged[word] = tuple(dict.fromkeys(ranked))[:max_variants]
    return Lexicon(merged)


def observe(utterances: Iterable[tuple[Sequence[Unit], Sequence[Unit]]]) -> dict[str, Counter[Pronunciation]]:
    """Count the pronunciations in time-aligned utterances.

    Args:
        utterances: words and phones of each, with their times; a phone belongs to the word that holds its middle.

    Raises:
        UserError: a phone is not in `PHONES`.
    """
    observed: defaultdict[str, Counter[Pronunciation]] = defaultdict(Counter)
    for words, phones in utterances:
        strangers = sorted({label for label, _, _ in phones} - set(PHONE_ID))
        if strangers:
            raise UserError(f"the units name a phone {strangers[0]!r}; known: {', '.join(PHONES)}")
        for word, start, end in words:
            said = tuple(p for p, a, b in phones if start <= (a + b) / 2 < end and p != SILENCE)
            if said:
                observed[word][said] += 1
    return dict(observed)


def read_dictionary(path: Path) -> Lexicon:
    """Read ``word PH PH PH`` lines; a word may have several, stress digits and ``WORD(2)`` marks are dropped.

    Raises:
        UserError: the file is missing, or a line holds no pronunciation or an unknown phone.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: place the pronunciation dictionary there, or correct its name")
    entries: defaultdict[str, list[Pronunciation]] = defaultdict(list)
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith((";;;", "#")):
            continue
        head, *sounds = line.split()
        phones = tuple(re.sub(r"\d$", "", sound).upper() for sound in sounds)
        unknown = [phone for phone in phones if phone not in PHONE_ID]
        if not phones or unknown:
            what = f"the unknown phone {unknown[0]!r}" if unknown else "no phones"
            raise UserError(f"{path}, line {number}: {head} has {what}")
        entries[re.sub(r"\(\d+\)$", "", head).lower()].append(phones)
    return Lexicon({word: tuple(dict.fromkeys(variants)) for word, variants in entries.items()})
