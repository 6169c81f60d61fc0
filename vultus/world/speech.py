"""Text -> sound with exact word and phone times.

The voice is eSpeak NG, run as a program of its own (``espeak_worker.py``); where it is not installed, the project's own
formant synthesiser (``formant.py``) gives the same record. An utterance is a pure function of its request: the same
bytes on every run, whatever was spoken before.

Times are integer samples at 16 kHz and become seconds only at use. A phone that begins with a closure (stops,
affricates) starts where the closure starts and names its release.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vultus.core.errors import UserError
from vultus.world.phones import SILENCE
from vultus.world.prosody import Prosody, emotion_prosody, tilt_spectrum

SAMPLE_RATE_HZ = 16_000
NEUTRAL_RATE_WPM = 160.0


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker."""

    sex: str
    """``female`` or ``male``."""
    espeak: str
    """eSpeak NG voice and variant."""
    f0_hz: float
    """Median pitch of neutral speech, measured."""
    vocal_tract: float
    """Formant factor of the fallback synthesiser; 1 is an average man."""

    @property
    def rhotic(self) -> bool:
        """The accent speaks the R of *car*."""
        return self.espeak.startswith(("en-us", "en-gb-scotland"))


VOICES: dict[str, Voice] = {
    "f1": Voice("female", "en+f1", 182, 1.15),
    "f2": Voice("female", "en-us+f2", 200, 1.18),
    "f3": Voice("female", "en+f3", 218, 1.20),
    "f4": Voice("female", "en-us+f4", 182, 1.12),
    "f5": Voice("female", "en-gb-scotland+f5", 210, 1.16),
    "f6": Voice("female", "en+linda", 230, 1.22),
    "f7": Voice("female", "en-us+belinda", 232, 1.17),
    "f8": Voice("female", "en+Annie", 242, 1.24),
    "f9": Voice("female", "en-us+grandma", 206, 1.14),
    "f10": Voice("female", "en+shelby", 187, 1.19),
    "m1": Voice("male", "en+m1", 96, 1.00),
    "m2": Voice("male", "en-us+m2", 103, 0.97),
    "m3": Voice("male", "en+m3", 108, 1.03),
    "m4": Voice("male", "en-us+m4", 96, 0.98),
    "m5": Voice("male", "en-gb-scotland+m5", 104, 1.01),
    "m6": Voice("male", "en+m6", 104, 0.95),
    "m7": Voice("male", "en-us+m7", 109, 1.04),
    "m8": Voice("male", "en+boris", 105, 0.99),
    "m9": Voice("male", "en-us+rob", 125, 1.05),
    "m10": Voice("male", "en+max", 105, 1.02),
}
"""Name -> voice; the first letter tells the sex."""


def voices_of(sex: str) -> tuple[str, ...]:
    """Names of the voices of a sex, ``female`` or ``male``."""
    return tuple(name for name, voice in VOICES.items() if voice.sex == sex)


@dataclass(frozen=True)
class SpeechRequest:
    """What to say and how."""

    text: str
    """Words and punctuation; a lone capital inside a sentence is a letter's name: ``A`` is *ay*, ``a`` the article."""
    voice: str = "m1"
    """Key of `VOICES`."""
    rate_wpm: float = NEUTRAL_RATE_WPM
    """Words per minute, 80..450."""
    pitch_st: float = 0.0
    """Semitones above the voice's own pitch, -5..8."""
    range_scale: float = 1.0
    """Factor on the voice's pitch range, 0 (monotone) .. 2."""
    emotion: str = "neutral"
    """Key of `prosody.EMOTION_PROSODY`."""
    strength: float = 1.0
    """Of the emotion: 0 neutral .. 1.5."""
    take: int = 0
    """The same words said again: other small pitch movements."""
    melody_st: tuple[float, ...] | None = None
    """Pitch of each word in semitones above ``pitch_st``, in place of the emotion's contour; one value a word."""
    gain_db: float = 0.0
    """Loudness on top of the emotion's."""


@dataclass(frozen=True)
class Word:
    """A word and its samples [start, end)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Phone:
    """A phone and its samples [start, end)."""

    arpa: str
    start: int
    end: int
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""
    word: int = -1
    """Index of its word; -1 for silence."""
    release: int = -1
    """For a stop or affricate: sample at which the closure opens; -1 for the others."""
    mnemonic: str = ""
    """The synthesiser's own name of the sound."""


@dataclass(frozen=True)
class Utterance:
    """Speech with its exact times: phones cover [0, n_samples) without gap or overlap, silences included."""

    request: SpeechRequest
    synthesiser: str
    """``espeak-ng`` or ``formant``."""
    wav: np.ndarray
    """(S,) float32 in -1..1, 16 kHz, mono."""
    words: tuple[Word, ...]
    phones: tuple[Phone, ...]
    gain_db: float
    """Loudness above the voice's neutral speech: the emotion's and the request's."""

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return len(self.wav)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.wav) / SAMPLE_RATE_HZ

    @property
    def transcript(self) -> str:
        """The words in lower case, without punctuation."""
        return " ".join(word.text for word in self.words)

    def padded(self, lead_s: float, total_s: float) -> Utterance:
        """The same speech after ``lead_s`` of silence in a clip of ``total_s``.

        Raises:
            ValueError: it does not fit.
        """
        lead, total = round(lead_s * SAMPLE_RATE_HZ), round(total_s * SAMPLE_RATE_HZ)
        tail = total - lead - self.n_samples
        if lead < 0 or tail < 0:
            raise ValueError(f"{self.duration_s:.3f} s of speech after {lead_s} s do not fit into {total_s} s")
        phones = [Phone(SILENCE, 0, lead)] if lead else []
        for phone in self.phones:
            release = phone.release if phone.release < 0 else phone.release + lead
            phones.append(replace(phone, start=phone.start + lead, end=phone.end + lead, release=release))
        if tail:
            phones.append(Phone(SILENCE, total - tail, total))
        words = tuple(replace(word, start=word.start + lead, end=word.end + lead) for word in self.words)
        return replace(self, wav=np.pad(self.wav, (lead, tail)), words=words, phones=merge_silences(phones))

    def units(self) -> list[dict[str, Any]]:
        """Rows of the ``units`` table without ``clip_id``: words, then phones, times in seconds."""
        rows = [("word", w.start, w.end, w.text) for w in self.words]
        rows += [("phone", p.start, p.end, p.arpa) for p in self.phones]
        return [
            {"tier": tier, "start_s": start / SAMPLE_RATE_HZ, "end_s": end / SAMPLE_RATE_HZ, "label": label}
            for tier, start, end, label in rows
        ]

    def record(self) -> dict[str, Any]:
        """Everything but the sound, ready for JSON; times in samples."""
        return {
            "text": self.transcript,
            "voice": self.request.voice,
            "emotion": self.request.emotion,
            "strength": self.request.strength,
            "rate_wpm": self.request.rate_wpm,
            "pitch_st": self.request.pitch_st,
            "range_scale": self.request.range_scale,
            "take": self.request.take,
            "melody_st": self.request.melody_st,
            "gain_db": self.request.gain_db,
            "synthesiser": self.synthesiser,
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "n_samples": self.n_samples,
            "words": [{"word": w.text, "start": w.start, "end": w.end} for w in self.words],
            "phones": [
                {"arpa": p.arpa, "start": p.start, "end": p.end, "stress": p.stress, "word": p.word,
                 "release": p.release, "mnemonic": p.mnemonic}
                for p in self.phones
            ],
        }  # fmt: skip


def constriction_s(phone: Phone) -> tuple[float, float]:
    """Start and end, in seconds, of what the articulators hold: a stop until its release, any other phone whole."""
    is_plosive = phone.release > phone.start and phone.arpa not in ("CH", "JH")
    return phone.start / SAMPLE_RATE_HZ, (phone.release if is_plosive else phone.end) / SAMPLE_RATE_HZ


def synthesise(text: str, voice: str = "m1", **how: Any) -> Utterance:
    """Speak one sentence; ``how`` are the further fields of `SpeechRequest`."""
    return synthesise_many([SpeechRequest(text, voice, **how)])[0]


def synthesise_many(requests: Iterable[SpeechRequest]) -> list[Utterance]:
    """Speak sentences, about 10 ms each.

    Raises:
        UserError: an unknown voice or emotion, or a text without words.
    """
    requests = list(requests)
    for request in requests:
        _check(request)
    if espeak_available():
        from vultus.world.espeak import speak

        return [speak(request) for request in requests]
    _say_that_espeak_is_missing()
    from vultus.world.formant import synthesise_formant

    return [synthesise_formant(request) for request in requests]


def espeak_available() -> bool:
    """The package ``espeakng-loader`` is installed and processes can be forked (its worker needs that)."""
    return hasattr(os, "fork") and importlib.util.find_spec("espeakng_loader") is not None


def synthesiser() -> str:
    """Name and version of what speaks here; sound and times of a sentence depend on it."""
    if espeak_available():
        return f"eSpeak NG (espeakng-loader {importlib.metadata.version('espeakng-loader')})"
    return "the built-in formant synthesiser"


@functools.cache
def _say_that_espeak_is_missing() -> None:
    print(
        "eSpeak NG is not installed (pip install vultus[speech]): the embedded world speaks with its own, plainer "
        "formant synthesiser.",
        file=sys.stderr,
    )


def _check(request: SpeechRequest) -> None:
    if request.voice not in VOICES:
        raise UserError(f"no voice {request.voice!r}; known: {', '.join(VOICES)}")
    if not 80 <= request.rate_wpm <= 450:
        raise UserError(f"rate_wpm is {request.rate_wpm}, it must lie in 80..450")
    emotion_prosody(request.emotion, request.strength)
    n_words = len(split_words(request.text))
    if not n_words:
        raise UserError(f"nothing to say in {request.text!r}: it holds no word")
    if request.melody_st is not None and len(request.melody_st) != n_words:
        raise UserError(f"melody_st has {len(request.melody_st)} values for the {n_words} words of {request.text!r}")


@dataclass(frozen=True)
class Token:
    """One word of a text."""

    written: str
    """As it stands in the text."""
    punctuation: str
    """What of ``,.;:?!`` follows it."""
    is_letter_name: bool
    """A letter's name is meant, not a word: a lone capital other than I inside a sentence."""

    @property
    def text(self) -> str:
        """The word in lower case."""
        return self.written.lower()


def split_words(text: str) -> list[Token]:
    """Words of a text with the punctuation that follows each."""
    tokens: list[Token] = []
    for word, after in re.findall(r"([A-Za-z][A-Za-z'’-]*|\d+)([^A-Za-z\d]*)", text):
        opens_sentence = not tokens or any(mark in tokens[-1].punctuation for mark in ".?!")
        is_letter_name = len(word) == 1 and word.isupper() and word != "I" and not opens_sentence
        punctuation = "".join(mark for mark in after if mark in ",.;:?!")
        tokens.append(Token(word.rstrip("'’-"), punctuation, is_letter_name))
    return tokens


def word_pitch_st(request: SpeechRequest, prosody: Prosody, n_words: int) -> np.ndarray:
    """Pitch of each word in semitones above the voice; a function of the request alone.

    Returns:
        (n_words,) float64.
    """
    if request.melody_st is not None:
        return request.pitch_st + np.array(request.melody_st)
    rng = np.random.default_rng(np.random.SeedSequence([request.take, zlib.crc32(request.text.encode())]))
    pitch_st: np.ndarray = request.pitch_st + prosody.word_pitch_st(n_words, rng)
    return pitch_st


def finish_sound(wav: np.ndarray, prosody: Prosody, gain_db: float) -> np.ndarray:
    """Spectral tilt of the emotion, and loudness; a peak above 0.98 lowers the whole utterance.

    Args:
        wav: (S,) in -1..1 at 16 kHz.
        prosody: the emotion.
        gain_db: of the request, added to the emotion's.

    Returns:
        (S,) float32.
    """
    tilted = tilt_spectrum(wav, SAMPLE_RATE_HZ, prosody.tilt_db_per_octave)
    # The tilt must not change the loudness: that is the gain's part.
    energy_before, energy_after = float(np.square(wav).sum()), float(np.square(tilted).sum())
    level = np.sqrt(energy_before / energy_after) if energy_after > 0 else 1.0
    level *= 10.0 ** ((prosody.gain_db + gain_db) / 20.0)
    peak = float(np.abs(tilted).max(initial=0.0)) * level
    finished: np.ndarray = (tilted * (level * min(1.0, 0.98 / max(peak, 1e-9)))).astype(np.float32)
    return finished


def word_times(tokens: Sequence[Token], phones: Sequence[Phone]) -> tuple[Word, ...]:
    """The words with the times of their phones."""
    words = []
    for i, token in enumerate(tokens):
        own = [phone for phone in phones if phone.word == i]
        words.append(Word(token.text, own[0].start, own[-1].end))
    return tuple(words)


def merge_silences(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    """The phones with neighbouring silences made one."""
    merged: list[Phone] = []
    for phone in phones:
        if merged and phone.arpa == SILENCE and merged[-1].arpa == SILENCE:
            merged[-1] = replace(merged[-1], end=phone.end)
        else:
            merged.append(phone)
    return tuple(merged)
