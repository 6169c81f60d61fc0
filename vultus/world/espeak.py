"""eSpeak NG as the embedded world's voice: requests to its worker, events to words and phones.

The library itself runs in ``espeak_worker.py``, a program of its own.
"""

from __future__ import annotations

import atexit
import base64
import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from vultus.core.errors import UserError
from vultus.world.phones import SILENCE, STOPS, VOWELS, arpabet
from vultus.world.prosody import emotion_prosody
from vultus.world.speech import (
    SAMPLE_RATE_HZ,
    VOICES,
    Phone,
    SpeechRequest,
    Token,
    Utterance,
    finish_sound,
    merge_silences,
    split_words,
    word_pitch_st,
    word_times,
)

_ESPEAK_RATE_HZ = 22_050
_SILENT_STEP = 8
"""Largest absolute 16-bit value that counts as digital silence inside a closure."""
_SHORTEST_CLOSURE_S = 0.008
_MURMUR_SHARE = 0.6
"""Part of a voiced stop between voiced sounds in which the mouth is closed."""
_SHORTEST_L_S = 0.03
_PITCH_ST = (-5.82, -5.37, -3.66, -1.73, 0.0, 1.42, 4.22, 6.85, 8.54)
_PITCH_PARAMETER = (0, 10, 25, 40, 50, 60, 75, 90, 99)
"""Semitones above the voice's own pitch at eSpeak NG's pitch parameter, measured over nine settings of ``en``."""


class _EspeakWorker:
    """The child process; requests are answered one by one."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("espeak_worker.py")
        self._owner = os.getpid()
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
        """End the child; a process forked from its owner leaves it alone."""
        if os.getpid() != self._owner:
            return
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


def speak(request: SpeechRequest) -> Utterance:
    """Speak one checked request.

    Raises:
        UserError: eSpeak NG does not know the voice.
    """
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
    segments = _heard(_reported(answer["events"], starts, voice.rhotic), pcm)
    segments = _give_words_to_all(segments, tokens, request.voice)
    phones = _to_phones(segments, SAMPLE_RATE_HZ / _ESPEAK_RATE_HZ)
    wav = resample_poly(pcm.astype(np.float64) / 32768.0, 320, 441)
    return Utterance(
        request=request,
        synthesiser="espeak-ng",
        wav=finish_sound(wav[: phones[-1].end], prosody, request.gain_db),
        words=word_times(tokens, phones),
        phones=phones,
        gain_db=prosody.gain_db + request.gain_db,
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


def _reported(events: list[list[Any]], word_starts: Sequence[int], rhotic: bool) -> list[_Segment]:
    """Events -> phones with the times that eSpeak NG reports; silence after the last is left out."""
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
    while found and found[-1].arpa == SILENCE:
        found.pop()
    return _one_phone_each(found)


def _heard(phones: list[_Segment], pcm: np.ndarray) -> list[_Segment]:
    """Reported phones -> phones where their sound is: closures before bursts, an L after its vowel."""
    phones[0].start = 0
    loud = np.abs(pcm.astype(np.int32)) > _SILENT_STEP
    for before, phone in zip([None, *phones[:-1]], phones, strict=True):
        if phone.arpa in STOPS:
            _find_silent_closure(phone, before, loud)
    for phone in phones:
        if phone.arpa in STOPS and phone.release == phone.start:
            phone.release += round(_MURMUR_SHARE * (phone.end - phone.start))
        phone.release = min(phone.release, phone.end)
    for earlier, later in itertools.pairwise(phones):
        _give_time(earlier, later)
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
    utterance = speak(SpeechRequest(token.written, voice))
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
    return merge_silences(phones)
