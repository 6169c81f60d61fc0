"""Baseline: what the language model knows of a sentence whose length and amount of movement are all that is seen.

It answers what a word error rate must be asked here: how much of the sentence do tongue and lips tell, and how much the
text alone? Each frame is reduced to how fast its features change, which tells pauses from speech and no phone from
another; the search then finds the likeliest words of about that length. Input and output are those of
`vultus.systems.silent_speech.common`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch
from vultus.recognition.lexicon import N_STATES, STATES_PER_PHONE
from vultus.recognition.recogniser import Recogniser, SpeechConfig
from vultus.recognition.training import Alignment
from vultus.systems.silent_speech.common import HEADLINE, PROTOCOL

if TYPE_CHECKING:
    from vultus.core.loop import Run


@dataclass(frozen=True)
class Config(SpeechConfig):
    """No state is ever aligned by what it looks like: the first and last moments of a sentence are its silences."""

    alignment: Alignment = "flat"
    mono_passes: int = 0
    lda_passes: int = 0
    gaussians: int = 1
    acoustic_scales: tuple[float, ...] = (0.3,)
    word_costs: tuple[float, ...] = (-4.0, 0.0, 4.0)
    max_active: int = 500
    """Little tells the paths apart, so that nearly all of them would be followed."""


class DurationOnly(Recogniser):
    """A Gaussian of the frames' movement in silence (0), and one in speech (1)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.aligner.requires_grad_(False)
        self.movement_mean = nn.Parameter(torch.zeros(2))
        self.movement_log_scale = nn.Parameter(torch.zeros(2))

    def acoustic(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """All states of silence score alike, and all states of speech."""
        both = self._log_density(_movement(window, self.reach))
        is_speech = (torch.arange(N_STATES, device=window.device) >= STATES_PER_PHONE).long()
        log_likelihood = both[:, is_speech]
        return log_likelihood, (log_likelihood + self.log_prior).log_softmax(dim=1)

    def train_acoustic(self, run: Run) -> None:
        """Mean and deviation of the movement in each kind of frame."""
        batch = self._frames.batch(torch.arange(len(self._frames.state)).numpy(), self.reach)
        movement, kind = _movement(batch["window"], self.reach), _kind(batch["state"])
        with torch.no_grad():
            for which in (0, 1):
                values = movement[kind == which]
                self.movement_mean[which] = values.mean()
                self.movement_log_scale[which] = (values.std() + 1e-3).log()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log-likelihood of the movement, which mean and deviation minimise."""
        both = self._log_density(_movement(batch["window"], self.reach))
        return {"negative_log_likelihood": -both.gather(1, _kind(batch["state"])[:, None]).mean()}

    def _log_density(self, movement: Tensor) -> Tensor:
        distance = (movement[:, None] - self.movement_mean) / self.movement_log_scale.exp()
        return -0.5 * (distance.square() + math.log(2 * math.pi)) - self.movement_log_scale


def _movement(window: Tensor, middle: int) -> Tensor:
    """(B,) log of the mean squared change of the features over the frame."""
    return ((window[:, middle + 1] - window[:, middle - 1]).square().mean(dim=1) + 1e-4).log()


def _kind(state: Tensor) -> Tensor:
    return (state >= STATES_PER_PHONE).long()


CARD = register(
    Card(
        key="duration_only",
        family="silent_speech",
        role="baseline",
        title="Length and movement alone, with the language model",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=DurationOnly,
        train=TrainConfig(epochs=1, batch_size=256),
        datasets=("world", "ssc"),
        protocol=PROTOCOL,
        headline=HEADLINE,
    )
)
