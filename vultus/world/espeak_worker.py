"""eSpeak NG behind a pipe: one JSON request a line on stdin, one JSON answer a line on stdout.

A program of its own, started by ``vultus.world.speech`` and sharing no memory with it, because eSpeak NG is
GPL-3.0-or-later and a process-wide singleton with state. Needs the package ``espeakng-loader``, which carries
library and voice data.

Request: ``{"text", "voice", "rate_wpm", "pitch", "pitch_range", "volume"}``; the text is SSML with ``[[...]]``
phoneme input. Answer: ``{"sample_rate_hz", "pcm", "events"}``, or ``{"error": sentence}``; pcm is base64 of int16
little-endian, an event is ``["word", sample, text_position_from_0, length]`` or ``["phone", sample, mnemonic]``.

eSpeak NG's audio depends on what it said before (pitch flutter, a time-seeded noise source). So the parent only
initialises it, and each request is spoken by a child forked from that untouched state with the noise seeded: the answer
is a function of the request alone, for every voice.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
from typing import Any

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_UTF8, _SSML, _PHONEMES = 0x01, 0x10, 0x100
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_POS_CHARACTER = 1
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The initialised library; `speak` may be called once, in a forked child."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        data_path = os.fsencode(espeakng_loader.get_data_path())
        self.sample_rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _PHONEME_EVENTS | _DONT_EXIT)
        if self.sample_rate_hz <= 0:
            raise OSError(f"eSpeak NG did not start with the data in {os.fsdecode(data_path)}")
        self._pcm = bytearray()
        self._events: list[list[Any]] = []
        self._callback = _Callback(self._receive)  # the library keeps no reference of its own
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, n_samples: int, events: Any) -> int:
        if samples and n_samples > 0:
            self._pcm += ctypes.string_at(samples, 2 * n_samples)
        i = 0
        while events[i].type != _EVENT_END:
            event = events[i]
            if event.type == _EVENT_WORD:
                self._events.append(["word", event.sample, event.text_position - 1, event.length])
            elif event.type == _EVENT_PHONEME:
                self._events.append(["phone", event.sample, event.id.string.decode("utf-8", "replace")])
            i += 1
        return 0

    def speak(self, request: dict[str, Any]) -> dict[str, Any]:
        """Speak one request; see the top of the file for the two dictionaries."""
        if self._library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            return {"error": f"eSpeak NG has no voice {request['voice']!r}"}
        for parameter, value in (
            (_RATE, request["rate_wpm"]),
            (_VOLUME, request["volume"]),
            (_PITCH, request["pitch"]),
            (_RANGE, request["pitch_range"]),
            (_WORD_GAP, 0),
        ):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._library.espeak_ng_SetRandSeed(1)
        text = request["text"].encode() + b"\0"
        if self._library.espeak_Synth(text, len(text), 0, _POS_CHARACTER, 0, _UTF8 | _SSML | _PHONEMES, None, None):
            return {"error": f"eSpeak NG could not speak {request['text']!r}"}
        pcm = base64.b64encode(bytes(self._pcm)).decode("ascii")
        return {"sample_rate_hz": self.sample_rate_hz, "pcm": pcm, "events": self._events}


def main() -> None:
    """Answer requests until stdin closes."""
    espeak = Espeak()
    # eSpeak NG may print to the process's stdout: keep the protocol's pipe apart from it.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                answer = espeak.speak(json.loads(line))
            except (KeyError, ValueError, TypeError) as error:
                answer = {"error": f"bad request: {error!r}"}
            print(json.dumps(answer), file=answers, flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            print(
                json.dumps({"error": f"eSpeak NG crashed (status {status}) on {line.strip()}"}),
                file=answers,
                flush=True,
            )


if __name__ == "__main__":
    main()
