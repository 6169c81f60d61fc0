"""Phones -> intensities of the facial action units of speech, frame by frame.

Viseme classes with FACS intensities, blended by dominance functions, one group of action units at a time (lips,
rounding, spreading, jaw, ...). Class grouping follows the common English viseme sets; the split of lip and jaw is that
of FACS-based lip animation (JALI, Edwards et al. 2016); the numbers are a reconstruction. Bilabial closure is a hard
constraint: whatever the blend says, the lips meet in P, B and M.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vultus.data.tables import ACTION_UNITS
from vultus.world.coarticulation import dominance_weights
from vultus.world.phones import SILENCE, VOWELS
from vultus.world.speech import SAMPLE_RATE_HZ, Phone, Utterance, constriction_s
from vultus.world.tongue import tongue_parameters

SPEECH_AUS: tuple[int, ...] = (*ACTION_UNITS, 19)
"""Columns of `SpeechMotion.au_intensity`: FACS numbers; 19 shows the tongue between the teeth."""


@dataclass(frozen=True)
class _Group:
    """Action units that move together, with their time constants."""

    aus: tuple[int, ...]
    theta_before_s: float
    theta_after_s: float


_GROUPS = {
    "lips": _Group((25, 24, 23, 17), 0.032, 0.032),
    "labiodental": _Group((28, 10), 0.030, 0.030),
    "rounding": _Group((18, 22), 0.070, 0.045),
    "spreading": _Group((20, 12, 16), 0.050, 0.050),
    "jaw": _Group((26, 27), 0.055, 0.055),
    "tongue": _Group((19,), 0.028, 0.028),
}
_GROUP_NAMES = tuple(_GROUPS)


@dataclass(frozen=True)
class Viseme:
    """What the face does for a class of phones at full articulation of a neutral speaker."""

    targets: dict[int, float]
    """FACS number -> intensity 0..5; the others are 0."""
    alpha: float
    """Dominance over the neighbours."""
    alpha_of: dict[str, float] = field(default_factory=dict)
    """Groups with another dominance."""

    def dominance(self) -> np.ndarray:
        """(G,) dominance of each group."""
        return np.array([self.alpha_of.get(name, self.alpha) for name in _GROUP_NAMES])


_LIPS_ONLY = {"rounding": 0.3, "spreading": 0.3, "tongue": 0.5}
VISEMES: dict[str, Viseme] = {
    "SIL": Viseme({26: 0.2}, 0.6),
    "PBM": Viseme({26: 0.5, 24: 3.0, 23: 1.5, 17: 1.5}, 5.0, {**_LIPS_ONLY, "labiodental": 2.0, "jaw": 0.5}),
    "FV": Viseme({25: 1.0, 26: 0.8, 23: 0.5, 17: 0.5, 10: 1.0, 28: 2.0}, 5.0, {**_LIPS_ONLY, "jaw": 0.8}),
    "TH": Viseme({25: 1.8, 26: 1.3, 20: 0.5, 16: 0.5, 19: 1.0}, 0.6, {"tongue": 2.0}),
    "TDNL": Viseme({25: 1.5, 26: 1.0, 20: 0.5}, 0.2, {"jaw": 0.4, "tongue": 1.0}),
    "SZ": Viseme({25: 1.5, 26: 0.4, 20: 1.5, 12: 0.7, 16: 0.7}, 0.8, {"jaw": 1.5}),
    "SH": Viseme({25: 2.0, 26: 0.6, 18: 1.5, 22: 3.5, 10: 0.7, 16: 0.7}, 2.5),
    "KG": Viseme({25: 1.5, 26: 1.2}, 0.1, {"jaw": 0.3, "tongue": 1.0}),
    "HH": Viseme({25: 1.5, 26: 1.2}, 0.02),
    "R": Viseme({25: 1.5, 26: 0.9, 18: 2.0, 22: 1.5}, 1.5),
    "W": Viseme({25: 0.7, 26: 0.5, 23: 1.0, 18: 4.5, 22: 2.5}, 3.0),
    "J": Viseme({25: 1.3, 26: 0.6, 20: 2.0, 12: 0.8}, 1.5),
    "IY": Viseme({25: 1.7, 26: 1.0, 20: 2.5, 12: 1.0, 10: 0.3}, 1.0),
    "EH": Viseme({25: 2.5, 26: 2.2, 20: 1.5, 12: 0.5, 10: 0.3}, 1.0),
    "AE": Viseme({25: 3.0, 26: 3.3, 27: 0.5, 20: 1.5, 10: 0.7, 16: 0.5}, 1.0),
    "AA": Viseme({25: 3.2, 26: 4.2, 27: 1.0}, 1.0),
    "AH": Viseme({25: 2.7, 26: 2.9}, 1.0),
    "AO": Viseme({25: 2.7, 26: 3.0, 18: 2.0, 22: 2.5}, 1.5),
    "OW": Viseme({25: 2.0, 26: 1.8, 18: 3.0, 22: 2.0}, 1.5),
    "UW": Viseme({25: 1.0, 26: 0.9, 23: 0.5, 18: 4.0, 22: 2.5}, 2.0),
    "AX": Viseme({25: 1.5, 26: 1.5}, 0.5),
}
"""Class -> viseme."""

VISEME_OF: dict[str, tuple[str, ...]] = {
    "SIL": ("SIL",),
    **dict.fromkeys(("P", "B", "M"), ("PBM",)),
    **dict.fromkeys(("F", "V"), ("FV",)),
    **dict.fromkeys(("TH", "DH"), ("TH",)),
    **dict.fromkeys(("T", "D", "N", "L", "DX"), ("TDNL",)),
    **dict.fromkeys(("S", "Z"), ("SZ",)),
    **dict.fromkeys(("SH", "ZH", "CH", "JH"), ("SH",)),
    **dict.fromkeys(("K", "G", "NG"), ("KG",)),
    "HH": ("HH",),
    **dict.fromkeys(("R", "ER", "AXR"), ("R",)),
    "W": ("W",),
    "Y": ("J",),
    **dict.fromkeys(("IY", "IH"), ("IY",)),
    "EH": ("EH",),
    "AE": ("AE",),
    "AA": ("AA",),
    "AH": ("AH",),
    "AO": ("AO",),
    **dict.fromkeys(("UW", "UH"), ("UW",)),
    "AX": ("AX",),
    "EY": ("EH", "IY"),
    "AY": ("AA", "IY"),
    "AW": ("AA", "UW"),
    "OY": ("AO", "IY"),
    "OW": ("OW", "UW"),
}
"""ARPAbet phone -> its viseme, or the two of a diphthong, each held for half of it."""

SHORTEST_REST_S = 0.15
"""Shorter pauses are spoken through: the mouth does not return to rest."""
_STRESS_SCALE = {0: 0.75, 1: 1.15, 2: 1.0}


@dataclass(frozen=True)
class SpeechMotion:
    """The speaking face at N video frames; frame i is centred at (i + 0.5) / fps."""

    au_intensity: np.ndarray
    """(N, A) float32, 0..5, columns `SPEECH_AUS`."""
    closed: np.ndarray
    """(N,) bool: the lips meet (P, B, M); nothing may open them."""
    tongue: np.ndarray
    """(N, 10) float32, 0..1, columns `tongue.TONGUE_PARAMETERS`."""


def speech_aus(utterance: Utterance, fps: float, n_frames: int) -> SpeechMotion:
    """Facial motion of an utterance.

    Args:
        utterance: placed in its clip by `Utterance.padded`; beyond its end the mouth rests.
        fps: frame rate of the video in Hz.
        n_frames: its length.

    Returns:
        the motion at the frame centres.
    """
    times_s = (np.arange(n_frames) + 0.5) / fps
    au_intensity = _blend(utterance, times_s)
    loudness = _loudness(utterance, times_s)
    jaw = [SPEECH_AUS.index(au) for au in _GROUPS["jaw"].aus]
    au_intensity[:, jaw] *= (0.8 + 0.4 * loudness)[:, None]
    labiodental = _held_frames(utterance.phones, ("F", "V"), times_s, 0.2, 0.8)
    closed = _held_frames(utterance.phones, ("P", "B", "M"), times_s, 0.2, 0.9)
    _at_least(au_intensity, labiodental, {28: 2.0, 10: 0.8})
    _at_most(au_intensity, labiodental, {25: 1.0, 26: 1.5, 27: 0.0, 24: 0.0})
    _at_least(au_intensity, closed, {24: 2.5})
    _at_most(au_intensity, closed, {25: 0.0, 26: 1.0, 27: 0.0, 28: 0.0, 10: 0.3, 16: 0.0, 19: 0.0})
    return SpeechMotion(
        au_intensity=np.clip(au_intensity, 0.0, 5.0).astype(np.float32),
        closed=closed,
        tongue=tongue_parameters(utterance, fps, n_frames),
    )


def _blend(utterance: Utterance, times_s: np.ndarray) -> np.ndarray:
    """(N, A) blended targets."""
    targets, dominance, start_s, end_s = [], [], [], []
    last = len(utterance.phones) - 1
    for i, phone in enumerate(utterance.phones):
        start, end = constriction_s(phone)
        if phone.arpa == SILENCE and 0 < i < last and end - start < SHORTEST_REST_S:
            continue
        names = VISEME_OF[phone.arpa]
        for part, name in enumerate(names):
            targets.append(_target(VISEMES[name], phone))
            dominance.append(VISEMES[name].dominance())
            start_s.append(start + part * (end - start) / len(names))
            end_s.append(start + (part + 1) * (end - start) / len(names))
    rest = VISEMES["SIL"]
    for start, end in ((start_s[0] - 1.0, start_s[0]), (end_s[-1], max(end_s[-1] + 1.0, times_s[-1] + 1.0))):
        targets.append(_target(rest, Phone(SILENCE, 0, 0)))
        dominance.append(rest.dominance())
        start_s.append(start)
        end_s.append(end)
    weight = dominance_weights(
        times_s,
        np.array(start_s),
        np.array(end_s),
        np.array(dominance),
        np.array([group.theta_before_s for group in _GROUPS.values()]),
        np.array([group.theta_after_s for group in _GROUPS.values()]),
    )
    target = np.array(targets)
    blended = np.zeros((len(times_s), len(SPEECH_AUS)))
    for g, group in enumerate(_GROUPS.values()):
        columns = [SPEECH_AUS.index(au) for au in group.aus]
        blended[:, columns] = weight[:, :, g] @ target[:, columns]
    return blended


def _target(viseme: Viseme, phone: Phone) -> np.ndarray:
    """(A,) intensities; stress opens or reduces a vowel's mouth."""
    target = np.zeros(len(SPEECH_AUS))
    for au, intensity in viseme.targets.items():
        target[SPEECH_AUS.index(au)] = intensity
    if phone.arpa in VOWELS:
        opening = [SPEECH_AUS.index(au) for au in (25, 26, 27)]
        target[opening] *= _STRESS_SCALE[phone.stress]
    return target


def _loudness(utterance: Utterance, times_s: np.ndarray) -> np.ndarray:
    """(N,) RMS over 120 ms relative to the 95th percentile of neutral speech, 0..1.5."""
    n_window, hop = int(0.12 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ // 100
    power = np.concatenate([[0.0], np.cumsum(np.square(utterance.wav.astype(np.float64)))])
    at = np.arange(0, utterance.n_samples + 1, hop)
    low, high = np.maximum(at - n_window // 2, 0), np.minimum(at + n_window // 2, utterance.n_samples)
    rms = np.sqrt((power[high] - power[low]) / n_window)
    spoken = rms[rms > 1e-4]
    if not len(spoken):
        return np.zeros(len(times_s))
    reference = np.percentile(spoken, 95) / 10.0 ** (utterance.gain_db / 20.0)
    loudness = np.interp(times_s, at / SAMPLE_RATE_HZ, rms / reference, right=0.0)
    clipped: np.ndarray = np.clip(loudness, 0.0, 1.5)
    return clipped


def _held_frames(
    phones: tuple[Phone, ...], names: tuple[str, ...], times_s: np.ndarray, low: float, high: float
) -> np.ndarray:
    """(N,) bool: frames in the share low..high of each named phone's constriction, at least one a phone."""
    held = np.zeros(len(times_s), bool)
    half_frame_s = (times_s[1] - times_s[0]) / 2 if len(times_s) > 1 else np.inf
    for phone in phones:
        if phone.arpa not in names:
            continue
        start, end = constriction_s(phone)
        length = end - start
        inside = (times_s >= start + low * length) & (times_s <= start + high * length)
        if not inside.any():
            middle = start + (low + high) / 2 * length
            nearest = int(np.argmin(np.abs(times_s - middle)))
            inside[nearest] = abs(times_s[nearest] - middle) <= half_frame_s + 1e-9
        held |= inside
    return held


def _at_least(au_intensity: np.ndarray, frames: np.ndarray, bounds: dict[int, float]) -> None:
    for au, bound in bounds.items():
        column = SPEECH_AUS.index(au)
        au_intensity[frames, column] = np.maximum(au_intensity[frames, column], bound)


def _at_most(au_intensity: np.ndarray, frames: np.ndarray, bounds: dict[int, float]) -> None:
    for au, bound in bounds.items():
        column = SPEECH_AUS.index(au)
        au_intensity[frames, column] = np.minimum(au_intensity[frames, column], bound)
