"""How the emotional utterances are delivered: the word-level pitch contour of an emotion, among confounders.

A reconstruction for systems that look at local pitch movements. An emotion is a melody over the words with a rate, a
loudness, a pitch range and a pitch level of its own. On top of it every utterance draws its own level, range, rate and
loudness, so widely that these no longer tell emotions apart reliably, and the melody has to. Real acted speech is
not like that; results on it say whether a system uses the melody, nothing else.

`prosody.py` holds the other account of emotions, without confounders, for the clips in which a face is seen too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.core.errors import UserError

Array = NDArray[np.float64]

ST_PER_PERCENT = 0.08
"""Melodies are given in percent of eSpeak NG's pitch setting, whose 100 steps of 2 % are about 0.16 semitones each."""

LEVEL_SD_ST = 1.44
"""Spread of the pitch level over utterances: 9 steps of the pitch setting."""
RATE_SD, GAIN_SD, RANGE_SD = 0.12, 0.25, 0.25
"""Spread of the logarithms of rate, amplitude and pitch range over utterances."""


@dataclass(frozen=True)
class Manner:
    """What an emotion does to an utterance beside its melody."""

    rate_scale: float
    gain: float
    """Factor on the amplitude."""
    range_scale: float
    """Factor on the pitch range within words."""
    level_st: float
    """Pitch level."""


MANNERS: dict[str, Manner] = {
    "anger": Manner(1.08, 1.30, 1.2, 1.28),
    "happiness": Manner(1.05, 1.15, 1.3, 1.28),
    "fear": Manner(1.20, 1.05, 0.6, 1.60),
    "sadness": Manner(0.80, 0.80, 0.4, -0.96),
    "boredom": Manner(0.82, 0.90, 0.24, -0.64),
    "disgust": Manner(0.78, 1.00, 1.0, -0.32),
    "neutral": Manner(1.00, 1.00, 0.9, 0.0),
}
"""The seven emotions of EmoDB."""

DELIVERED_EMOTIONS = tuple(MANNERS)


@dataclass(frozen=True)
class Delivery:
    """One utterance's way of being said, ready for a ``SpeechRequest``."""

    word_pitch_st: tuple[float, ...]
    """Melody: pitch of each word against the utterance's level."""
    level_st: float
    rate_scale: float
    gain_db: float
    range_scale: float


def melody_st(emotion: str, n_words: int, rng: np.random.Generator) -> Array:
    """Pitch of each word, in semitones around the utterance's level; t is the word's number, n is N(0, 1) noise.

    anger        25 % up and down in turn, times abs(1 + 0.3 n)
    happiness    22 % sine wave with a period of 3.5 words and a drawn phase, + 4 n
    fear         8 n
    sadness      -3 t + 2 n
    boredom      1.5 n
    disgust      a line from 12 down to -12 %, every third word 12 % higher, + 4 n
    neutral      5 n

    Returns:
        (n_words,).

    Raises:
        UserError: the emotion has no melody; lists those that have.
    """
    t, n = np.arange(n_words, dtype=np.float64), rng.standard_normal(n_words)
    if emotion == "anger":
        percent = 25.0 * np.where(t % 2 == 0, 1.0, -1.0) * np.abs(1.0 + 0.3 * n)
    elif emotion == "happiness":
        percent = 22.0 * np.sin(2 * np.pi * t / 3.5 + rng.uniform(0.0, 2 * np.pi)) + 4.0 * n
    elif emotion == "fear":
        percent = 8.0 * n
    elif emotion == "sadness":
        percent = -3.0 * t + 2.0 * n
    elif emotion == "boredom":
        percent = 1.5 * n
    elif emotion == "disgust":
        percent = np.linspace(12.0, -12.0, n_words) + 12.0 * (t % 3 == 0) + 4.0 * n
    elif emotion == "neutral":
        percent = 5.0 * n
    else:
        raise UserError(f"nobody delivers the emotion {emotion!r}; known: {', '.join(DELIVERED_EMOTIONS)}")
    return ST_PER_PERCENT * percent


def draw_delivery(emotion: str, n_words: int, rng: np.random.Generator) -> Delivery:
    """An utterance's melody, and its level, rate, loudness and range with their confounders.

    Raises:
        UserError: the emotion is not one of `MANNERS`.
    """
    melody = melody_st(emotion, n_words, rng)
    manner, (level, rate, gain, width) = MANNERS[emotion], rng.standard_normal(4)
    return Delivery(
        word_pitch_st=tuple(melody.tolist()),
        level_st=float(manner.level_st + LEVEL_SD_ST * level),
        rate_scale=float(manner.rate_scale * np.exp(RATE_SD * rate)),
        gain_db=float(20.0 * np.log10(manner.gain * np.exp(GAIN_SD * gain))),
        range_scale=float(manner.range_scale * np.exp(RANGE_SD * width)),
    )
