"""Text -> sound with exact word and phone times.

The voice is eSpeak NG, run as a program of its own (``espeak_worker.py``); where it is not installed, the project's own
formant synthesiser (``formant.py``) gives the same record. An utterance is a pure function of its request: the same
bytes on every run, whatever was spoken before.

Times are integer samples at 16 kHz and become seconds only at use. A phone that begins with a closure (stops,
affricates) starts where the closure starts and names its release.
"""

from __future__ import annotations

import atexit
import base64
import functools
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from vultus.core.errors import UserError
from vultus.world.phones import SILENCE, STOPS, VOWELS, arpabet
from vultus.world.prosody import Prosody, emotion_prosody, tilt_spectrum

SAMPLE_RATE_HZ = 16_000
NEUTRAL_RATE_WPM = 160.0
_SILENT_STEP = 8
"""Largest absolute 16-bit value that counts as digital silence inside a closure."""
_SHORTEST_CLOSURE_S = 0.008
_MURMUR_SHARE = 0.6
"""Part of a voiced stop between voiced sounds in which the mouth is closed."""
_SHORTEST_L_S = 0.03


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
    """Words and punctuation; a capital letter alone is the letter's name (``A`` is *ay*, ``a`` the article)."""
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
    """Loudness of the emotion above neutral speech."""

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
        return replace(self, wav=np.pad(self.wav, (lead, tail)), words=words, phones=_merge_silences(phones))

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
        return [_speak_with_espeak(request) for request in requests]
    _say_that_espeak_is_missing()
    from vultus.world.formant import synthesise_formant

    return [synthesise_formant(request) for request in requests]


def espeak_available() -> bool:
    """The package ``espeakng-loader`` is installed and processes can be forked (its worker needs that)."""
    return hasattr(os, "fork") and importlib.util.find_spec("espeakng_loader") is not None


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
    if not split_words(request.text):
        raise UserError(f"nothing to say in {request.text!r}: it holds no word")


@dataclass(frozen=True)
class Token:
    """One word of a text: as written, and the punctuation after it."""

    written: str
    punctuation: str

    @property
    def text(self) -> str:
        """The word in lower case."""
        return self.written.lower()

    @property
    def is_letter_name(self) -> bool:
        """The name of a letter is spoken, not the word *a*."""
        return len(self.written) == 1 and self.written.isupper() and self.written != "I"


def split_words(text: str) -> list[Token]:
    """Words of a text with the punctuation that follows each."""
    found = re.findall(r"([A-Za-z][A-Za-z'’-]*|\d+)([^A-Za-z\d]*)", text)
    return [Token(word.rstrip("'’-"), "".join(c for c in after if c in ",.;:?!")) for word, after in found]


def word_pitch_st(request: SpeechRequest, prosody: Prosody, n_words: int) -> np.ndarray:
    """Pitch of each word in semitones above the voice; a function of the request alone.

    Returns:
        (n_words,) float64.
    """
    rng = np.random.default_rng(np.random.SeedSequence([request.take, zlib.crc32(request.text.encode())]))
    pitch_st: np.ndarray = request.pitch_st + prosody.word_pitch_st(n_words, rng)
    return pitch_st


def finish_sound(wav: np.ndarray, prosody: Prosody) -> np.ndarray:
    """Spectral tilt and loudness of the emotion; a peak above 0.98 lowers the whole utterance.

    Args:
        wav: (S,) in -1..1 at 16 kHz.
        prosody: the emotion.

    Returns:
        (S,) float32.
    """
    tilted = tilt_spectrum(wav, SAMPLE_RATE_HZ, prosody.tilt_db_per_octave)
    # The tilt must not change the loudness: that is the gain's part.
    energy_before, energy_after = float(np.square(wav).sum()), float(np.square(tilted).sum())
    level = np.sqrt(energy_before / energy_after) if energy_after > 0 else 1.0
    level *= 10.0 ** (prosody.gain_db / 20.0)
    peak = float(np.abs(tilted).max(initial=0.0)) * level
    finished: np.ndarray = (tilted * (level * min(1.0, 0.98 / max(peak, 1e-9)))).astype(np.float32)
    return finished


# eSpeak NG ------------------------------------------------------------------------------------------------------------

_ESPEAK_RATE_HZ = 22_050
_PITCH_ST = (-5.82, -5.37, -3.66, -1.73, 0.0, 1.42, 4.22, 6.85, 8.54)
_PITCH_PARAMETER = (0, 10, 25, 40, 50, 60, 75, 90, 99)
"""Semitones above the voice's own pitch at eSpeak NG's pitch parameter, measured over nine settings of ``en``."""


class _EspeakWorker:
    """The child process; requests are answered one by one."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("espeak_worker.py")
        self._process = subprocess.Popen(
            # -P keeps this folder's module names out of the child's import path
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        atexit.register(self.close)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and read its answer.

        Raises:
            UserError: the worker names an error.
            RuntimeError: the worker has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            raise RuntimeError(f"the eSpeak NG worker ended with code {self._process.wait()} on {request['text']!r}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        self._process.wait()


_workers: dict[int, _EspeakWorker] = {}


def _worker() -> _EspeakWorker:
    # Keyed by process: a forked child must not share its parent's pipe.
    if os.getpid() not in _workers:
        _workers[os.getpid()] = _EspeakWorker()
    return _workers[os.getpid()]


def _ssml(tokens: Sequence[Token], pitch_percent: Sequence[int]) -> tuple[str, list[int]]:
    """SSML with one pitch a word, and the offset at which each word's text starts."""
    text, starts = "<speak>", []
    for token, percent in zip(tokens, pitch_percent, strict=True):
        text += f'<prosody pitch="{percent}%">'
        starts.append(len(text))
        # Plain "a" is read as the article in any spelling, so the letter goes in as phonemes; these swallow a tag that
        # follows without a space.
        spoken = "[[eI]] " if token.is_letter_name and token.text == "a" else escape(token.text) + token.punctuation
        text += f"{spoken}</prosody> "
    return text + "</speak>", starts


def _speak_with_espeak(request: SpeechRequest) -> Utterance:
    from scipy.signal import resample_poly

    voice = VOICES[request.voice]
    prosody = emotion_prosody(request.emotion, request.strength)
    tokens = split_words(request.text)
    pitch_st = word_pitch_st(request, prosody, len(tokens))
    percent = np.rint(2.0 * np.interp(pitch_st, _PITCH_ST, _PITCH_PARAMETER)).astype(int)
    text, starts = _ssml(tokens, percent.tolist())
    answer = _worker().ask(
        {
            "text": text,
            "voice": voice.espeak,
            "rate_wpm": round(float(np.clip(request.rate_wpm * prosody.rate_scale, 80, 450))),
            "pitch": 50,
            "pitch_range": round(float(np.clip(50 * request.range_scale * prosody.range_scale, 0, 99))),
            "volume": 100,
        }
    )
    if answer["sample_rate_hz"] != _ESPEAK_RATE_HZ:
        raise RuntimeError(f"eSpeak NG speaks at {answer['sample_rate_hz']} Hz, {_ESPEAK_RATE_HZ} was expected")
    pcm = np.frombuffer(base64.b64decode(answer["pcm"]), "<i2")
    segments = _segments(answer["events"], pcm, starts, voice.rhotic)
    segments = _give_words_to_all(segments, tokens, request.voice)
    phones = _to_phones(segments, SAMPLE_RATE_HZ / _ESPEAK_RATE_HZ)
    wav = resample_poly(pcm.astype(np.float64) / 32768.0, 320, 441)
    return Utterance(
        request=request,
        synthesiser="espeak-ng",
        wav=finish_sound(wav[: phones[-1].end], prosody),
        words=_words(tokens, phones),
        phones=phones,
        gain_db=prosody.gain_db,
    )


@dataclass
class _Segment:
    """A phone in the synthesiser's own samples; ``release`` is the reported sample until the closure is found."""

    arpa: str
    start: int
    end: int
    release: int
    stress: int
    word: int
    mnemonic: str


def _segments(events: list[list[Any]], pcm: np.ndarray, word_starts: Sequence[int], rhotic: bool) -> list[_Segment]:
    """Events -> phones with closures found in the sound; trailing silence is left out."""
    found: list[_Segment] = []
    word = -1
    for event in events:
        if event[0] == "word":
            word = int(np.searchsorted(word_starts, event[2], side="right")) - 1
            continue
        _, sample, mnemonic = event
        if found:
            found[-1].end = sample
        names, stress = arpabet(mnemonic, rhotic)
        if names == ("R",) and found and found[-1].arpa.endswith(" R") and found[-1].word == word:
            names = ()  # the R of *car* said as a sound of its own: one R, not two
        if names:
            in_word = -1 if names == (SILENCE,) else word
            found.append(_Segment(" ".join(names), sample, sample, sample, stress, in_word, mnemonic))
    phones = _one_phone_each(found)
    while phones and phones[-1].arpa == SILENCE:
        phones.pop()
    phones[0].start = 0
    loud = np.abs(pcm.astype(np.int32)) > _SILENT_STEP
    for before, phone in itertools.pairwise([None, *phones]):
        if phone is not None and phone.arpa in STOPS:
            _find_silent_closure(phone, before, loud)
    for phone in phones:
        if phone.arpa in STOPS and phone.release == phone.start:
            phone.release += round(_MURMUR_SHARE * (phone.end - phone.start))
        phone.release = min(phone.release, phone.end)
    for before, phone in itertools.pairwise(phones):
        _give_time(before, phone)
    return [phone for phone in phones if phone.end > phone.start]


def _one_phone_each(segments: Iterable[_Segment]) -> list[_Segment]:
    """Divide segments of two phones; the first takes 60 % of the time."""
    divided: list[_Segment] = []
    for segment in segments:
        first, *second = segment.arpa.split()
        border = segment.end - round(0.4 * (segment.end - segment.start)) if second else segment.end
        divided.append(replace(segment, arpa=first, end=border))
        if second:
            divided.append(replace(segment, arpa=second[0], start=border, release=border))
    return divided


def _give_time(before: _Segment, phone: _Segment) -> None:
    """An L after a vowel sounds inside the vowel's reported time, its own is empty: it gets the last 40 % of both."""
    empty = phone.end - phone.start < (_SHORTEST_L_S * _ESPEAK_RATE_HZ if phone.arpa == "L" else 1)
    if empty and phone.word == before.word and before.arpa in VOWELS:
        before.end = phone.start = phone.end - round(0.4 * (phone.end - before.start))


def _find_silent_closure(stop: _Segment, before: _Segment | None, loud: np.ndarray) -> None:
    """Let a stop begin with the silence before its burst, which is where eSpeak NG reports it.

    Voiced stops between voiced sounds have none: their murmur lies inside the reported time.
    """
    earliest = 0 if before is None else before.start
    heard = np.flatnonzero(loud[earliest : stop.release])
    silence_from = earliest + int(heard[-1]) + 1 if len(heard) else earliest
    if stop.release - silence_from >= _SHORTEST_CLOSURE_S * _ESPEAK_RATE_HZ:
        stop.start = silence_from
        if before is not None:
            before.end = silence_from


def _give_words_to_all(segments: list[_Segment], tokens: Sequence[Token], voice: str) -> list[_Segment]:
    """Divide the phones of linked words.

    eSpeak NG speaks pairs like *of the* as one word and reports only the first; the phones go to the words so that
    each comes nearest to its pronunciation alone.
    """
    reported = sorted({segment.word for segment in segments if segment.word >= 0})
    if len(reported) == len(tokens):
        return segments
    if reported[0] != 0:
        raise RuntimeError(f"eSpeak NG reported no first word in {[token.text for token in tokens]}")
    for first, stop in zip(reported, [*reported[1:], len(tokens)], strict=True):
        if stop - first == 1:
            continue
        linked = [segment for segment in segments if segment.word == first]
        alone = [_pronunciation(token, voice) for token in tokens[first:stop]]
        cuts = divide_phones([segment.arpa for segment in linked], alone)
        for word, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(linked)], strict=True), start=first):
            for segment in linked[start:end]:
                segment.word = word
    return segments


@functools.lru_cache(maxsize=4096)
def _pronunciation(token: Token, voice: str) -> tuple[str, ...]:
    utterance = _speak_with_espeak(SpeechRequest(token.written, voice))
    return tuple(phone.arpa for phone in utterance.phones if phone.arpa != SILENCE)


def divide_phones(phones: Sequence[str], pronunciations: Sequence[Sequence[str]]) -> list[int]:
    """Cut a phone string into consecutive words.

    Minimises the summed edit distance of the pieces to the words' pronunciations; each piece holds at least one phone.

    Args:
        phones: the string; at least as long as there are words.
        pronunciations: of each word alone.

    Returns:
        the cut positions, one fewer than words.
    """
    n, k = len(phones), len(pronunciations)
    if n < k:
        raise ValueError(f"{n} phones cannot be divided among {k} words")
    cost = np.full((k + 1, n + 1), np.inf)
    cut_before = np.zeros((k + 1, n + 1), int)
    cost[0, 0] = 0.0
    for word in range(1, k + 1):
        for end in range(word, n + 1):
            for start in range(word - 1, end):
                total = cost[word - 1, start] + _edit_distance(phones[start:end], pronunciations[word - 1])
                if total < cost[word, end]:
                    cost[word, end], cut_before[word, end] = total, start
    cuts, end = [], n
    for word in range(k, 1, -1):
        end = int(cut_before[word, end])
        cuts.append(end)
    return cuts[::-1]


def _edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def _to_phones(segments: Sequence[_Segment], factor: float) -> tuple[Phone, ...]:
    phones = [
        Phone(
            arpa=s.arpa,
            start=round(s.start * factor),
            end=round(s.end * factor),
            stress=s.stress,
            word=s.word,
            release=round(s.release * factor) if s.arpa in STOPS else -1,
            mnemonic=s.mnemonic,
        )
        for s in segments
    ]
    return _merge_silences(phones)


def _merge_silences(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    merged: list[Phone] = []
    for phone in phones:
        if merged and phone.arpa == SILENCE and merged[-1].arpa == SILENCE:
            merged[-1] = replace(merged[-1], end=phone.end)
        else:
            merged.append(phone)
    return tuple(merged)


def _words(tokens: Sequence[Token], phones: Sequence[Phone]) -> tuple[Word, ...]:
    words = []
    for i, token in enumerate(tokens):
        own = [phone for phone in phones if phone.word == i]
        words.append(Word(token.text, own[0].start, own[-1].end))
    return tuple(words)
