"""Speech emotion from local dynamic features: how pitch moves inside and between voiced runs, as histograms.

H. Guan, Z. Liu, L. Wang, J. Dang, R. Yu, "Speech Emotion Recognition Considering Local Dynamic Features", ISSP 2017,
Springer LNAI 10733 (arXiv 1803.07738). The paper's abstract states the idea (a probability distribution of local
dynamic pitch beside or instead of global features) and its result on the Berlin database; we could read neither the
exact features nor the tables. The features are `vultus.audio.local_dynamics`: `Config.describe` chooses and joins them
(section 2 of the paper), and `LdfSer` is the classifier of the standardised vector.

Where we deviate: everything but the idea is our reconstruction, which the card lists. Input and output are those of
`vultus.systems.speech_emotion.common`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vultus.audio.functionals import CHALLENGE_COLUMNS, SMALL_COLUMNS, global_384, global_small
from vultus.audio.local_dynamics import LocalDynamics, columns, local_dynamics
from vultus.audio.prosody import Tracks
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, Claim, register
from vultus.systems.speech_emotion.common import HEADLINE, PROTOCOL, Array, EmotionConfig, VectorSystem

_FIXED_REFERENCE_HZ = 150.0
"""Between the usual pitch of men and of women."""


@dataclass(frozen=True)
class Config(LocalDynamics, EmotionConfig):
    """Defaults: ldp, ppd, slope and jump, 60 values, and a support vector machine with C = 1."""

    features: Literal["ldf", "global_small", "global_384", "global+ldf"] = "ldf"
    """Local dynamic features, global ones, or global_small and local ones joined."""
    reference: Literal["utterance", "speaker", "none"] = "utterance"
    """Pitch of 0 st: median of the utterance, of all that the speaker says, or 150 Hz for everybody."""

    def __post_init__(self) -> None:
        LocalDynamics.__post_init__(self)
        EmotionConfig.__post_init__(self)

    def columns(self) -> tuple[str, ...]:
        """Names of the values: global ones first."""
        names = {"ldf": (), "global_384": CHALLENGE_COLUMNS}.get(self.features, SMALL_COLUMNS)
        return names + (columns(self) if "ldf" in self.features else ())

    def describe(self, tracks: Tracks, speaker_f0_hz: float, rng: np.random.Generator) -> Array:
        """Global statistics, histograms, or both."""
        parts: list[Array] = []
        if self.features == "global_384":
            parts.append(global_384(tracks))
        elif "global" in self.features:
            parts.append(global_small(tracks))
        if "ldf" in self.features:
            reference_hz = {"utterance": None, "speaker": speaker_f0_hz, "none": _FIXED_REFERENCE_HZ}[self.reference]
            parts.append(local_dynamics(tracks, self, reference_hz, rng))
        return np.concatenate(parts)


class LdfSer(VectorSystem):
    """A classifier of local dynamic features."""


CARD = register(
    Card(
        key="ldf_ser",
        family="speech_emotion",
        title="Speech Emotion Recognition Considering Local Dynamic Features",
        authors="H. Guan, Z. Liu, L. Wang, J. Dang, R. Yu",
        venue="International Seminar on Speech Production (Springer LNAI 10733)",
        year=2017,
        identifier="arXiv:1803.07738",
        config=Config,
        system=LdfSer,
        train=TrainConfig(epochs=60, batch_size=32, optimizer="adam", learning_rate=1e-3, momentum=0.9),
        datasets=("emotional", "emodb"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        reconstructed=(
            "The abstract names a local dynamic pitch probability distribution; its samples, bins and ranges are ours"
            " (vultus/audio/local_dynamics.py lists them).",
            "Pitch comes from a window-corrected autocorrelation, in semitones against the median of the utterance;"
            " the paper's tracker and reference are not known to us.",
            "The classifier (support vector machine, RBF kernel, C = 1) and leaving one speaker out are the field's"
            " usual choices of the time; the paper's are not known to us.",
            "The paper's tables could not be read, so no number of the paper stands beside ours.",
        ),
        data_licence="The Berlin database of emotional speech is free to download",
        claims=(
            Claim(
                name="local_over_global",
                sentence="The distribution of local dynamic pitch tells emotions better than global features.",
                metric="UAR",
                direction="higher",
                baseline={"features": "global_small"},
                paper_claim="said of the Berlin database in the abstract; the numbers could not be read",
            ),
            Claim(
                name="local_adds_to_global",
                sentence="Local dynamic features add to global ones.",
                metric="UAR",
                direction="higher",
                variant={"features": "global+ldf"},
                baseline={"features": "global_small"},
            ),
            Claim(
                name="local_over_global_linear",
                sentence="The first claim does not hang on the kernel: it holds with a linear one too.",
                metric="UAR",
                direction="higher",
                variant={"classifier": "svm_linear"},
                baseline={"classifier": "svm_linear", "features": "global_small"},
            ),
            Claim(
                name="order_matters",
                sentence="Local features tell less once the pitch values of each utterance are shuffled.",
                metric="UAR",
                direction="higher",
                baseline={"shuffle_time": True},
            ),
        ),
    )
)
