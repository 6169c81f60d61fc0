"""Baseline: statistics over the whole utterance, and the classifier of `ldf_ser`.

``global_small`` are 23 statistics of pitch, level and voicing: what a pitch histogram must be compared with, since both
see the same tracks. ``global_384`` is the feature set of the INTERSPEECH 2009 emotion challenge (Schuller, Steidl,
Batliner 2009), which adds cepstra. Input and output are those of `vultus.systems.speech_emotion.common`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vultus.audio.functionals import CHALLENGE_COLUMNS, SMALL_COLUMNS, global_384, global_small
from vultus.audio.prosody import Tracks
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.systems.speech_emotion.common import HEADLINE, PROTOCOL, Array, EmotionConfig, VectorSystem


@dataclass(frozen=True)
class Config(EmotionConfig):
    """Defaults: 23 statistics and a support vector machine with C = 1."""

    features: Literal["global_small", "global_384"] = "global_small"
    """Which statistics."""

    def columns(self) -> tuple[str, ...]:
        """Names of the statistics."""
        return SMALL_COLUMNS if self.features == "global_small" else CHALLENGE_COLUMNS

    def describe(self, tracks: Tracks, speaker_f0_hz: float, rng: np.random.Generator) -> Array:
        """The statistics of an utterance; neither the speaker's pitch nor chance is used."""
        return global_small(tracks) if self.features == "global_small" else global_384(tracks)


class GlobalSer(VectorSystem):
    """A classifier of global features."""


CARD = register(
    Card(
        key="global_ser",
        family="speech_emotion",
        role="baseline",
        title="Global prosodic statistics and a support vector machine",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=GlobalSer,
        train=TrainConfig(epochs=60, batch_size=32, optimizer="adam", learning_rate=1e-3, momentum=0.9),
        datasets=("emotional", "emodb"),
        protocol=PROTOCOL,
        headline=HEADLINE,
    )
)
