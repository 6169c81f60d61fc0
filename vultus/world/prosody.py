"""How an emotion sounds: pitch level and range, contour, rate, loudness, spectral tilt.

Directions follow the vocal emotion literature (Murray and Arnott 1993; Scherer 2003): high arousal raises pitch,
range, rate, loudness and high-frequency energy, low arousal lowers them. The numbers are chosen for the embedded
world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.core.errors import UserError


@dataclass(frozen=True)
class Prosody:
    """Departure from the neutral voice at full strength."""

    pitch_st: float = 0.0
    """Pitch level in semitones."""
    range_scale: float = 1.0
    """Factor on the pitch range within words and phrases."""
    rate_scale: float = 1.0
    """Factor on the speaking rate."""
    gain_db: float = 0.0
    """Loudness in dB."""
    tilt_db_per_octave: float = 0.0
    """Spectral tilt above 500 Hz; negative is softer, positive is tenser."""
    slope_st: float = 0.0
    """Pitch of the last word minus the first, in semitones, on top of the voice's own declination."""
    accent_st: float = 0.0
    """Extra pitch on every second word, in semitones: the lilt of the sentence."""
    final_st: float = 0.0
    """Extra pitch on the last word, in semitones."""

    def scaled(self, strength: float) -> Prosody:
        """The same emotion felt at ``strength``: 0 neutral, 1 as given; up to 1.5."""
        if not 0.0 <= strength <= 1.5:
            raise ValueError(f"strength is {strength}, it must lie in 0..1.5")
        return Prosody(
            pitch_st=strength * self.pitch_st,
            range_scale=self.range_scale**strength,
            rate_scale=self.rate_scale**strength,
            gain_db=strength * self.gain_db,
            tilt_db_per_octave=strength * self.tilt_db_per_octave,
            slope_st=strength * self.slope_st,
            accent_st=strength * self.accent_st,
            final_st=strength * self.final_st,
        )

    def word_pitch_st(self, n_words: int, rng: np.random.Generator) -> np.ndarray:
        """Pitch of each word in semitones above the voice's neutral level.

        A take differs from the next by 0.35 st (standard deviation) a word, scaled with the range.

        Returns:
            (n_words,) float64.
        """
        position = np.linspace(0.0, 1.0, n_words) if n_words > 1 else np.zeros(1)
        accent = np.where(np.arange(n_words) % 2 == 1, 0.5, -0.5) * self.accent_st
        contour = self.pitch_st + self.slope_st * (position - 0.5) + accent
        contour += rng.normal(0.0, 0.35 * self.range_scale, n_words)
        contour[-1] += self.final_st
        return contour


EMOTION_PROSODY: dict[str, Prosody] = {
    "neutral": Prosody(),
    "happiness": Prosody(3.0, 1.6, 1.08, 2.5, 0.7, slope_st=0.5, accent_st=2.6, final_st=0.8),
    "sadness": Prosody(-2.0, 0.45, 0.78, -5.0, -1.8, slope_st=-1.0, accent_st=0.3, final_st=-0.4),
    "anger": Prosody(2.6, 1.45, 1.14, 5.0, 1.8, slope_st=-1.2, accent_st=3.0, final_st=-1.2),
    "fear": Prosody(4.6, 0.8, 1.24, -1.0, 0.3, slope_st=1.4, accent_st=0.8, final_st=1.0),
    "surprise": Prosody(4.0, 1.8, 1.02, 2.0, 0.6, slope_st=3.0, accent_st=1.6, final_st=3.6),
    "disgust": Prosody(-1.4, 1.05, 0.82, -0.5, -0.5, slope_st=-2.6, accent_st=1.4, final_st=-2.0),
    "boredom": Prosody(-1.6, 0.35, 0.80, -3.0, -1.2, slope_st=-0.8, accent_st=0.2, final_st=-0.6),
}
"""Emotion name -> prosody; the names are among ``tables.EMOTIONS``."""


def emotion_prosody(emotion: str, strength: float = 1.0) -> Prosody:
    """Prosody of an emotion at a strength.

    Raises:
        UserError: the emotion has no prosody; lists those that have.
    """
    if emotion not in EMOTION_PROSODY:
        raise UserError(f"no prosody for the emotion {emotion!r}; known: {', '.join(EMOTION_PROSODY)}")
    return EMOTION_PROSODY[emotion].scaled(strength)


def tilt_spectrum(wav: np.ndarray, sample_rate_hz: int, db_per_octave: float) -> np.ndarray:
    """Tilt a sound's spectrum above 500 Hz, zero phase; the gain is constant below that and above 4 kHz.

    Args:
        wav: (S,) float.
        sample_rate_hz: its rate.
        db_per_octave: slope between 500 Hz and 4 kHz.

    Returns:
        (S,) float32.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    if db_per_octave == 0.0:
        return wav.astype(np.float32)
    n_fft = next_fast_len(len(wav) + 256, real=True)
    frequency = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)
    octaves = np.log2(np.clip(frequency, 500.0, 4000.0) / 500.0)
    gain = 10.0 ** (db_per_octave * octaves / 20.0)
    tilted: np.ndarray = irfft(rfft(wav, n_fft) * gain, n_fft)[: len(wav)]
    return tilted.astype(np.float32)
