"""Baseline: the classical recogniser of the Silent Speech Challenge, Gaussian mixtures in hidden Markov models.

The HTK and Kaldi GMM-HMM rows of the paper of `ssc_dnn`: the same features, lexicon, language models and alignment as
there, and the mixtures that made the alignment score the frames. It owns its fit, as Viterbi training has no gradient:
flat start, single Gaussians on features with deltas, then LDA and mixtures (`vultus.recognition.training`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch
from vultus.recognition.recogniser import Recogniser, SpeechConfig
from vultus.systems.silent_speech.common import HEADLINE, PROTOCOL


@dataclass(frozen=True)
class Config(SpeechConfig):
    """The features and the search are those of `ssc_dnn`."""

    acoustic: Literal["mono_gmm", "lda_gmm"] = "lda_gmm"
    """Mixtures on features with deltas, or on the LDA of windows."""


class SscGmm(Recogniser):
    """Scores are those of the mixtures; posteriors follow from them by Bayes' rule."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, space="deltas" if config.acoustic == "mono_gmm" else "lda")

    def acoustic(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """See `Recogniser.acoustic`."""
        log_likelihood = self.mixture_scores(window)
        return log_likelihood, (log_likelihood + self.log_prior).log_softmax(dim=1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log-likelihood of the frame under its aligned state: what a pass of the training lowers."""
        if "window" not in batch:
            return super().losses(batch)
        log_likelihood = self.mixture_scores(batch["window"])
        return {"negative_log_likelihood": -log_likelihood.gather(1, batch["state"][:, None]).mean()}


CARD = register(
    Card(
        key="ssc_gmm",
        family="silent_speech",
        role="baseline",
        title="GMM-HMM silent speech recogniser",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=SscGmm,
        train=TrainConfig(epochs=1, batch_size=256),
        datasets=("world", "ssc"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        paper_values={"ssc": {"WER": 0.174}},
    )
)
