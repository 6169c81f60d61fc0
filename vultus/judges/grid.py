"""The GRID grammar as a lattice of phones: which words stand where, how they are said, and which path fits best.

A sentence has six slots with one word each, in this order; silence may stand before, between and after them. How a
word is said is gathered from sentences with known times, so nothing here needs a dictionary of English.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.core.errors import UserError

Floats = npt.NDArray[np.floating]
Lexicon = npt.NDArray[np.int64]

SLOTS: dict[str, tuple[str, ...]] = {
    "command": ("bin", "lay", "place", "set"),
    "colour": ("blue", "green", "red", "white"),
    "preposition": ("at", "by", "in", "with"),
    "letter": tuple("abcdefghijklmnopqrstuvxyz"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "adverb": ("again", "now", "please", "soon"),
}
"""Cooke, Barker, Cunningham and Shao 2006; the letter w, of three syllables, is left out."""
WORDS = tuple(word for words in SLOTS.values() for word in words)
PHONES = (
    "SIL", "IY", "IH", "EH", "AE", "AA", "AO", "UH", "UW", "AH", "AX", "ER", "AXR", "EY", "AY", "AW", "OY", "OW",
    "P", "B", "T", "D", "K", "G", "CH", "JH", "M", "N", "NG", "F", "V", "TH", "DH", "S", "Z", "SH", "ZH", "HH",
    "L", "R", "W", "Y", "DX",
)  # fmt: skip
"""ARPAbet with schwas and the flap; silence first."""
SILENCE = 0
MAX_PRONUNCIATIONS, MAX_LENGTH = 4, 8
_NEVER = -1e30


def phone_shares(units: pd.DataFrame, n_steps: int, steps_per_second: float) -> npt.NDArray[np.float32]:
    """Which share of each time step is filled by which phone; what no phone fills is silence.

    Args:
        units: rows of one clip: tier, start_s, end_s, label; tiers other than ``phone`` are ignored.
        n_steps: T.
        steps_per_second: their rate.

    Returns:
        (T, P) rows that sum to 1, columns as in `PHONES`.

    Raises:
        UserError: a label is not in `PHONES`.
    """
    edges = np.arange(n_steps + 1) / steps_per_second
    shares = np.zeros((n_steps, len(PHONES)))
    phones = units[units["tier"] == "phone"]
    for start, end, label in zip(phones["start_s"], phones["end_s"], phones["label"], strict=True):
        overlap = np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])
        shares[:, _phone(label)] += np.maximum(overlap, 0) * steps_per_second
    shares[:, SILENCE] += np.maximum(1 - shares.sum(axis=1), 0)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares.astype(np.float32)


def gather_lexicon(units: pd.DataFrame) -> Lexicon:
    """The pronunciations of each word in sentences with known times, the most frequent first.

    Args:
        units: rows of many clips: clip_id, tier (``word``, ``phone``), start_s, end_s, label.

    Returns:
        (51, `MAX_PRONUNCIATIONS`, `MAX_LENGTH`) phones of each of `WORDS`, -1 behind the last. A word that nobody says
        has none, and will not be recognised.
    """
    found: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for _, clip in units.groupby("clip_id", sort=True):
        phones, words = clip[clip["tier"] == "phone"], clip[clip["tier"] == "word"]
        middle = ((phones["start_s"] + phones["end_s"]) / 2).to_numpy()
        labels = phones["label"].to_numpy()
        for start, end, word in zip(words["start_s"], words["end_s"], words["label"], strict=True):
            said = tuple(_phone(label) for label in labels[(middle > start) & (middle < end)])
            if 0 < len(said) <= MAX_LENGTH:
                found[str(word).lower()][said] += 1
    lexicon = np.full((len(WORDS), MAX_PRONUNCIATIONS, MAX_LENGTH), -1, np.int64)
    for row, word in zip(lexicon, WORDS, strict=True):
        ranked = sorted(found[word].items(), key=lambda item: (-item[1], item[0]))
        for place, (phones_said, _) in zip(row, ranked, strict=False):
            place[: len(phones_said)] = phones_said
    return lexicon


class Lattice:
    """All sentences of the grammar as states in a row: the phones of each pronunciation of each word, then silences.

    A state follows itself, the phone before it in its word, or, for a word's first phone, any last phone of the slot
    before and the silence between. The silences stand before slot 0, between the slots and after the last.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        """Lay out the states.

        Raises:
            ValueError: a slot has no word with a pronunciation.
        """
        phone: list[int] = []
        word: list[int] = []
        slot: list[int] = []
        first: list[bool] = []
        last: list[bool] = []
        slot_of = np.repeat(np.arange(len(SLOTS)), [len(words) for words in SLOTS.values()])
        for index, said in enumerate(lexicon.reshape(-1, lexicon.shape[2])):
            length = int((said >= 0).sum())
            phone += said[:length].tolist()
            word += [index // lexicon.shape[1]] * length
            slot += [int(slot_of[index // lexicon.shape[1]])] * length
            first += [place == 0 for place in range(length)]
            last += [place == length - 1 for place in range(length)]
        self.n_spoken = len(phone)
        self.phone = np.array(phone + [SILENCE] * (len(SLOTS) + 1))
        self.word, self.slot, self.first = np.array(word), np.array(slot), np.array(first)
        ends = [np.flatnonzero(np.array(last) & (self.slot == k)) for k in range(len(SLOTS))]
        if empty := [name for name, end in zip(SLOTS, ends, strict=True) if not len(end)]:
            raise ValueError(f"no word of the slot {empty[0]!r} has a pronunciation")
        self.ends = np.stack([np.pad(end, (0, max(map(len, ends)) - len(end)), mode="edge") for end in ends])

    def decode(self, log_likelihood: Floats) -> list[str]:
        """The words of the path with the largest sum.

        Args:
            log_likelihood: (T, P) of each phone at each step, up to a constant a step.

        Returns:
            six words.

        Raises:
            ValueError: there are fewer steps than the shortest sentence has phones.
        """
        steps, spoken, slots = len(log_likelihood), self.n_spoken, np.arange(len(SLOTS))
        silence = spoken + np.arange(len(SLOTS) + 1)
        emitted = log_likelihood[:, self.phone]
        before = np.full(len(self.phone), -1)  # where a state is entered from: within a word, the phone before
        before[:spoken] = np.arange(spoken) - 1
        score = np.full(len(self.phone), _NEVER)
        score[np.flatnonzero(self.first & (self.slot == 0))] = 0
        score[silence[0]] = 0
        score += emitted[0]
        came_from = np.empty((steps, len(self.phone)), np.int64)
        for step in range(1, steps):
            best_end = self.ends[slots, score[self.ends].argmax(axis=1)]
            entry = np.concatenate([silence[:1], np.where(score[silence[1:]] > score[best_end], silence[1:], best_end)])
            before[:spoken][self.first] = entry[self.slot[self.first]]
            before[silence[1:]] = best_end
            entered = score[before]
            entered[silence[0]] = _NEVER
            moves = entered > score
            came_from[step] = np.where(moves, before, np.arange(len(self.phone)))
            score = np.where(moves, entered, score) + emitted[step]
        best_end = self.ends[-1, score[self.ends[-1]].argmax()]
        state = int(best_end if score[best_end] >= score[silence[-1]] else silence[-1])
        if score[state] < _NEVER / 2:
            raise ValueError(f"{steps} steps are too few for a sentence")
        words = [""] * len(SLOTS)
        for step in range(steps - 1, -1, -1):
            if state < spoken:
                words[self.slot[state]] = WORDS[self.word[state]]
            state = int(came_from[step, state]) if step else state
        return words


def _phone(label: str) -> int:
    try:
        return PHONES.index(label)
    except ValueError:
        raise UserError(f"the phone {label!r} is not in the inventory of the lip reader: {' '.join(PHONES)}") from None
