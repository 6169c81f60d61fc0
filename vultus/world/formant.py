"""The project's own voice: a source-filter formant synthesiser with the same record as eSpeak NG's.

Used where eSpeak NG is not installed. A pulse train (voice) and noise (breath, bursts, friction) pass through
resonators whose formants glide between the targets of the phones (vowels: Peterson and Barney 1952; consonant loci:
Delattre, Liberman and Cooper 1955). Times are exact by construction: each phone is planned, then sounded.

Time-varying filtering is done per 5 ms frame in the frequency domain and overlap-added, so that a whole utterance is a
few array operations.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.world.phones import DIPHTHONGS, FRICATIVES, NASALS, SILENCE, STOPS, VOICELESS, VOWELS
from vultus.world.pronounce import pronounce
from vultus.world.prosody import Prosody, emotion_prosody
from vultus.world.speech import (
    NEUTRAL_RATE_WPM,
    SAMPLE_RATE_HZ,
    VOICES,
    Phone,
    SpeechRequest,
    Token,
    Utterance,
    finish_sound,
    split_words,
    word_pitch_st,
    word_times,
)

Floats = npt.NDArray[np.float64]

VOWEL_FORMANTS_HZ: dict[str, tuple[float, float, float]] = {
    "IY": (270, 2290, 3010), "IH": (390, 1990, 2550), "EH": (530, 1840, 2480), "AE": (660, 1720, 2410),
    "AA": (730, 1090, 2440), "AO": (570, 840, 2410), "UH": (440, 1020, 2240), "UW": (300, 870, 2240),
    "AH": (640, 1190, 2390), "ER": (490, 1350, 1690), "AXR": (490, 1350, 1690), "AX": (500, 1450, 2450),
}  # fmt: skip
"""F1 F2 F3 of men, Peterson and Barney 1952; the schwa is that of a neutral tube."""
_DIPHTHONG_PARTS = {"EY": ("EH", "IH"), "AY": ("AA", "IH"), "AW": ("AA", "UH"), "OY": ("AO", "IH"), "OW": ("AO", "UW")}
_CONSONANT_FORMANTS_HZ: dict[str, tuple[float, float, float]] = {
    **dict.fromkeys(("P", "B", "M", "F", "V"), (300, 900, 2300)),
    **dict.fromkeys(("T", "D", "N", "S", "Z", "TH", "DH", "DX"), (300, 1800, 2600)),
    **dict.fromkeys(("SH", "ZH", "CH", "JH"), (300, 1950, 2500)),
    "L": (360, 1150, 2600), "R": (350, 1200, 1600), "W": (300, 700, 2200), "Y": (270, 2250, 2950),
}  # fmt: skip
_VELAR_FRONT_HZ, _VELAR_BACK_HZ = (300.0, 2300.0, 2700.0), (300.0, 1300.0, 2300.0)
_FRICTION_HZ: dict[str, tuple[float, float, float]] = {
    "S": (4000, 7800, 0.060), "Z": (4000, 7800, 0.040), "SH": (2000, 5000, 0.060), "ZH": (2000, 5000, 0.040),
    "CH": (2000, 5500, 0.060), "JH": (2000, 5500, 0.045), "F": (1000, 7800, 0.014), "V": (1000, 7800, 0.009),
    "TH": (1400, 7800, 0.012), "DH": (1400, 7800, 0.007), "T": (3000, 7800, 0.060), "D": (3000, 7800, 0.040),
    "P": (500, 2500, 0.040), "B": (500, 2500, 0.030),
}  # fmt: skip
"""Band of the friction or burst noise and its RMS, beside a voice of RMS 0.12."""
_VOICE_RMS = 0.12
_BANDWIDTHS_HZ = (60.0, 90.0, 120.0, 180.0)
_F4_HZ = 3500.0
_DURATION_S = {"stressed": 0.130, "unstressed": 0.070, "diphthong": 0.180, "sonorant": 0.065, "fricative": 0.095,
               "stop": 0.075, "affricate": 0.110, "pause": 0.120}  # fmt: skip
_BURST_S = 0.025
_FRAME = 80
"""Samples between two filters: 5 ms."""
_N_FFT = 512
_GLIDE_FRAMES = 10
"""50 ms: formants glide across a border."""


@dataclass
class _Plan:
    """One phone before it sounds; times in samples."""

    arpa: str
    stress: int
    word: int
    start: int
    end: int

    @property
    def release(self) -> int:
        """End of the closure of a stop; -1 for the others."""
        if self.arpa not in STOPS:
            return -1
        open_s = 2 * _BURST_S if self.arpa in ("CH", "JH") else _BURST_S
        return max(self.start + (self.end - self.start) // 3, self.end - round(open_s * SAMPLE_RATE_HZ))


def synthesise_formant(request: SpeechRequest) -> Utterance:
    """Speak a request; a function of the request alone."""
    voice = VOICES[request.voice]
    prosody = emotion_prosody(request.emotion, request.strength)
    tokens = split_words(request.text)
    rng = np.random.default_rng(np.random.SeedSequence([request.take, zlib.crc32(request.text.encode()), 1]))
    plan = _plan(tokens, request.rate_wpm * prosody.rate_scale / NEUTRAL_RATE_WPM, rng)
    n_samples = plan[-1].end
    f0_hz = _pitch(plan, request, prosody, len(tokens), n_samples, voice.f0_hz)
    wav = _sound(plan, f0_hz, voice.vocal_tract, rng)
    phones = tuple(Phone(p.arpa, p.start, p.end, p.stress, p.word, p.release, mnemonic=p.arpa) for p in plan)
    return Utterance(
        request=request,
        synthesiser="formant",
        wav=finish_sound(wav, prosody, request.gain_db),
        words=word_times(tokens, phones),
        phones=phones,
        gain_db=prosody.gain_db + request.gain_db,
    )


def _plan(tokens: Sequence[Token], rate: float, rng: np.random.Generator) -> list[_Plan]:
    """Phones with their times; punctuation inside the sentence is a pause."""
    plan: list[_Plan] = []
    at = 0
    for i, token in enumerate(tokens):
        sounds = [(arpa, stress, i) for arpa, stress in pronounce(token.text, token.is_letter_name)]
        if token.punctuation and i + 1 < len(tokens):
            sounds.append((SILENCE, 0, -1))
        for arpa, stress, word in sounds:
            seconds = _DURATION_S[_duration_class(arpa, stress)] / rate * np.exp(0.1 * rng.standard_normal())
            # the last syllable is drawn out
            if i + 1 == len(tokens) and arpa in VOWELS:
                seconds *= 1.35
            n_samples = max(round(seconds * SAMPLE_RATE_HZ), 3 * _FRAME)
            plan.append(_Plan(arpa, stress, word, at, at + n_samples))
            at += n_samples
    return plan


def _duration_class(arpa: str, stress: int) -> str:
    if arpa == SILENCE:
        return "pause"
    if arpa in DIPHTHONGS:
        return "diphthong"
    if arpa in VOWELS:
        return "stressed" if stress else "unstressed"
    if arpa in ("CH", "JH"):
        return "affricate"
    if arpa in STOPS:
        return "stop"
    return "fricative" if arpa in FRICATIVES else "sonorant"


def _pitch(
    plan: Sequence[_Plan], request: SpeechRequest, prosody: Prosody, n_words: int, n_samples: int, f0_hz: float
) -> Floats:
    """(S,) pitch in Hz: word levels, declination of 2 st, and a bump of 2..5 st on stressed vowels."""
    range_scale = request.range_scale * prosody.range_scale
    levels_st = word_pitch_st(request, prosody, n_words)
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    middles_s, middle_st = [], []
    for word in range(n_words):
        own = [p for p in plan if p.word == word]
        middles_s.append((own[0].start + own[-1].end) / 2 / SAMPLE_RATE_HZ)
        middle_st.append(levels_st[word])
    contour_st = np.interp(time_s, middles_s, middle_st) + range_scale * (1.0 - 2.0 * time_s / time_s[-1])
    for p in plan:
        if p.arpa in VOWELS and p.stress:
            centre_s, half_s = (p.start + p.end) / 2 / SAMPLE_RATE_HZ, (p.end - p.start) / SAMPLE_RATE_HZ
            contour_st += 2.0 * range_scale * np.exp(-(((time_s - centre_s) / half_s) ** 2))
    pitch_hz: Floats = f0_hz * 2.0 ** (contour_st / 12.0)
    return pitch_hz


def _sound(plan: Sequence[_Plan], f0_hz: Floats, vocal_tract: float, rng: np.random.Generator) -> Floats:
    """(S,) the filtered sources."""
    n_samples = plan[-1].end
    voicing, breath = _amplitudes(plan, n_samples)
    voiced_source = _glottal_pulses(f0_hz, rng) * voicing
    noise = rng.standard_normal(n_samples)
    formants_hz = _formant_tracks(plan, -(-n_samples // _FRAME) + 1) * vocal_tract
    through_tract = _filter_frames(voiced_source + 0.06 * noise * breath, _tract_response(formants_hz))
    through_tract *= _VOICE_RMS / max(float(np.sqrt(np.square(through_tract[voicing > 0.5]).mean())), 1e-9)
    friction = np.zeros(n_samples)
    for p in plan:
        if p.arpa in _FRICTION_HZ or p.arpa in ("K", "G"):
            friction[p.start : p.end] += _friction(p, plan, noise[p.start : p.end])
    return through_tract + friction


def _amplitudes(plan: Sequence[_Plan], n_samples: int) -> tuple[Floats, Floats]:
    """(S,) level of the voice and of aspiration, with 8 ms ramps."""
    voicing, breath = np.zeros(n_samples), np.zeros(n_samples)
    aspiration = round(0.03 * SAMPLE_RATE_HZ)
    for i, p in enumerate(plan):
        if p.arpa in VOWELS:
            voicing[p.start : p.end] = 1.0 if p.stress else 0.75
            # a voiceless stop delays the voice of the vowel after it
            if i and plan[i - 1].arpa in ("P", "T", "K", "CH"):
                delay = min(aspiration, (p.end - p.start) // 3)
                voicing[p.start : p.start + delay] = 0.0
                breath[p.start : p.start + delay] = 0.5
        elif p.arpa in NASALS:
            voicing[p.start : p.end] = 0.45
        elif p.arpa == "HH":
            breath[p.start : p.end] = 0.8
        elif p.arpa in STOPS:
            if p.arpa not in VOICELESS and i and plan[i - 1].arpa not in (SILENCE, *VOICELESS):
                voicing[p.start : p.release] = 0.03  # the murmur behind closed lips
        elif p.arpa in FRICATIVES:
            voicing[p.start : p.end] = 0.0 if p.arpa in VOICELESS else 0.35
        elif p.arpa != SILENCE:
            voicing[p.start : p.end] = 0.6
    ramp = np.hanning(round(0.008 * SAMPLE_RATE_HZ))
    smooth_voicing, smooth_breath = (np.convolve(a, ramp / ramp.sum(), mode="same") for a in (voicing, breath))
    # The ramps must not leak into closures and pauses.
    for p in plan:
        if p.arpa == SILENCE or (p.arpa in STOPS and p.arpa in VOICELESS):
            stop = p.end if p.arpa == SILENCE else p.release
            smooth_voicing[p.start : stop] = 0.0
            smooth_breath[p.start : stop] = 0.0
    return smooth_voicing, smooth_breath


def _glottal_pulses(f0_hz: Floats, rng: np.random.Generator) -> Floats:
    """(S,) differentiated glottal flow: a rounded pulse and a sharp closure each period, 1 % jitter."""
    drift = np.cumsum(rng.standard_normal(len(f0_hz) // 160 + 2))
    jitter = 0.01 * np.interp(np.arange(len(f0_hz)) / 160, np.arange(len(drift)), np.tanh(drift / 10))
    phase = np.cumsum(f0_hz * (1.0 + jitter) / SAMPLE_RATE_HZ) % 1.0
    # Rosenberg's pulse, differentiated: opens over 40 % of the period, closes over 16 %.
    opening, closing = phase / 0.40, (phase - 0.40) / 0.16
    flow = np.where(phase < 0.40, 0.5 * np.pi / 0.40 * np.sin(np.pi * opening), 0.0)
    falling = (phase >= 0.40) & (phase < 0.56)
    source = np.where(falling, -0.5 * np.pi / 0.16 * np.sin(0.5 * np.pi * np.clip(closing, 0, 1)), flow)
    # A sharper closure than Rosenberg's: raises the upper formants by about 3 dB an octave.
    sharper: Floats = 0.08 * np.append(source[:1], source[1:] - 0.7 * source[:-1])
    return sharper


def _formant_tracks(plan: Sequence[_Plan], n_frames: int) -> Floats:
    """(n_frames, 4) formant frequencies of a man, gliding over 50 ms at each border."""
    tracks = np.zeros((n_frames, 4))
    tracks[:, 3] = _F4_HZ
    for i, p in enumerate(plan):
        first, last = p.start // _FRAME, max(p.start // _FRAME + 1, p.end // _FRAME)
        span = slice(first, min(last + 1, n_frames))
        at = np.linspace(0.0, 1.0, span.stop - span.start)[:, None]
        begin, end = phone_formants_hz(plan, i)
        tracks[span, :3] = np.array(begin) + (np.array(end) - np.array(begin)) * np.clip((at - 0.3) / 0.4, 0, 1)
    tracks[plan[-1].end // _FRAME :, :3] = tracks[plan[-1].end // _FRAME - 1, :3]
    padded = np.pad(tracks, ((_GLIDE_FRAMES // 2, _GLIDE_FRAMES // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _GLIDE_FRAMES + 1, axis=0)
    smooth: Floats = windows.mean(axis=-1)
    return smooth


def phone_formants_hz(plan: Sequence[_Plan], i: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Planned F1 F2 F3 of a man at the start and the end of phone ``i``."""
    arpa = plan[i].arpa
    if arpa in _DIPHTHONG_PARTS:
        first, second = _DIPHTHONG_PARTS[arpa]
        return VOWEL_FORMANTS_HZ[first], VOWEL_FORMANTS_HZ[second]
    if arpa in VOWEL_FORMANTS_HZ:
        return VOWEL_FORMANTS_HZ[arpa], VOWEL_FORMANTS_HZ[arpa]
    if arpa in ("K", "G", "NG"):
        locus = _VELAR_FRONT_HZ if _beside_front_vowel(plan, i) else _VELAR_BACK_HZ
        return locus, locus
    if arpa in _CONSONANT_FORMANTS_HZ:
        return _CONSONANT_FORMANTS_HZ[arpa], _CONSONANT_FORMANTS_HZ[arpa]
    # Breath and silence take the mouth of what follows, or of what was before.
    for j in (*range(i + 1, len(plan)), *range(i - 1, -1, -1)):
        if plan[j].arpa not in ("HH", SILENCE):
            begin, end = phone_formants_hz(plan, j)
            return (begin, begin) if j > i else (end, end)
    return VOWEL_FORMANTS_HZ["AX"], VOWEL_FORMANTS_HZ["AX"]


def _beside_front_vowel(plan: Sequence[_Plan], i: int) -> bool:
    beside = [plan[j].arpa for j in (i + 1, i - 1) if 0 <= j < len(plan) and plan[j].arpa in VOWELS]
    return bool(beside) and beside[0] in ("IY", "IH", "EH", "AE", "EY", "AY")


def _tract_response(formants_hz: Floats) -> npt.NDArray[np.complex128]:
    """(n_frames, _N_FFT // 2 + 1) response of the cascade of four resonators, gain 1 at 0 Hz, and of the radiation."""
    omega = 2.0 * np.pi * np.arange(_N_FFT // 2 + 1) / _N_FFT
    z = np.exp(-1j * omega)
    response = np.ones((len(formants_hz), len(omega)), complex)
    for k, bandwidth_hz in enumerate(_BANDWIDTHS_HZ):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        angle = 2.0 * np.pi * formants_hz[:, k] / SAMPLE_RATE_HZ
        b = 2.0 * radius * np.cos(angle)[:, None]
        c = -(radius**2)
        response *= (1.0 - b - c) / (1.0 - b * z - c * z**2)
    return response


def _filter_frames(source: Floats, response: npt.NDArray[np.complex128]) -> Floats:
    """Filter with a response that changes every 5 ms: Hann-windowed frames of 10 ms, overlap-added."""
    n_samples, length = len(source), 2 * _FRAME
    n_frames = len(response)
    padded = np.zeros((n_frames + 1) * _FRAME)
    padded[_FRAME : _FRAME + n_samples] = source[: len(padded) - _FRAME]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::_FRAME][:n_frames] * window
    filtered = np.fft.irfft(np.fft.rfft(frames, _N_FFT) * response, _N_FFT)
    # Overlap-add, one sixth of the output block at a time.
    n_parts = -(-_N_FFT // _FRAME)
    filtered = np.pad(filtered, ((0, 0), (0, n_parts * _FRAME - _N_FFT)))
    blocks = np.zeros((n_frames + n_parts, _FRAME))
    for part in range(n_parts):
        blocks[part : part + n_frames] += filtered[:, part * _FRAME : (part + 1) * _FRAME]
    return blocks.reshape(-1)[_FRAME : _FRAME + n_samples]


def _friction(p: _Plan, plan: Sequence[_Plan], noise: Floats) -> Floats:
    """(n,) noise of a fricative, or of a stop's burst after its release."""
    if p.arpa in ("K", "G"):
        front = _beside_front_vowel(plan, plan.index(p))
        low_hz, high_hz, level = (2000.0, 4500.0, 0.05) if front else (900.0, 2600.0, 0.05)
        level *= 0.6 if p.arpa == "G" else 1.0
    else:
        low_hz, high_hz, level = _FRICTION_HZ[p.arpa]
    spectrum = np.fft.rfft(noise)
    frequency = np.fft.rfftfreq(len(noise), 1.0 / SAMPLE_RATE_HZ)
    edge_hz = 0.15 * low_hz + 100.0
    band = 1.0 / (1.0 + np.exp(-(frequency - low_hz) / edge_hz * 4)) / (1.0 + np.exp((frequency - high_hz) / 100.0))
    sound = np.fft.irfft(spectrum * band, len(noise))
    sound *= level / max(float(np.sqrt(np.square(sound).mean())), 1e-9)
    at = np.arange(len(noise))
    if p.arpa not in STOPS:
        ramp = max(1, min(len(noise) // 4, round(0.02 * SAMPLE_RATE_HZ)))
        return sound * np.minimum(1.0, np.minimum(at, len(noise) - 1 - at) / ramp)
    since = at - (p.release - p.start)
    decay_s = 0.05 if p.arpa in ("CH", "JH") else 0.009
    return sound * np.where(since >= 0, np.exp(-since / (decay_s * SAMPLE_RATE_HZ)), 0.0)
