"""Silent speech recognition: words from ultrasound of the tongue and a lip camera, by a hybrid DNN-HMM.

Y. Ji, L. Liu, H. Wang, Z. Liu, Z. Niu and B. Denby, "Updating the silent speech challenge benchmark with deep
learning", Speech Communication 98, 2018, arXiv 1709.06818. The pipeline of its Kaldi recipe: DCT or auto-encoder
features of both streams, GMM-HMMs that align the training sentences from their transcripts, a network that tells the
state of a frame from its neighbourhood (`SscDnn`), its posteriors divided by the states' priors as scores,

    log p(x | s) = log P(s | x) - log P(s) + const,

and a search through lexicon and n-gram (`vultus.recognition`). Input and output are those of
`vultus.systems.silent_speech.common`; the result is a sentence of words for each utterance.

We deviate where the paper's text leaves the recipe open (`CARD.reconstructed`), and in the states: those of 43 single
phones, not tied triphones, as the window of the network covers the neighbours. There is no label smoothing: it lifts
the posteriors of impossible states, which the division by small priors then multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor, nn

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, Claim, register
from vultus.core.system import Phase
from vultus.recognition.hmm import NoPath, align, sentence_network
from vultus.recognition.lexicon import N_STATES
from vultus.recognition.recogniser import Recogniser, SpeechConfig, SpeechFold
from vultus.systems.silent_speech.common import HEADLINE, PROTOCOL

if TYPE_CHECKING:
    from vultus.core.loop import Run


@dataclass(frozen=True)
class Config(SpeechConfig):
    """Sizes are those of Kaldi's first neural recipe, which the paper's toolchain offers."""

    context: Literal[0, 2, 5] = 5
    """Frames on either side that the network sees."""
    layers: int = 4
    units: int = 1024
    activation: Literal["sigmoid", "relu"] = "sigmoid"
    """``relu`` with batch norm."""
    dropout: float = 0.0
    prior_division: bool = True
    """Divide posteriors by the states' priors; off, the posteriors themselves are the scores."""
    realign_with_dnn: bool = False
    """Align the training sentences once more with the network's scores, and train on."""


class SscDnn(Recogniser):
    """A window of features -> the state of its middle frame."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, reach=config.context)
        self.aligner.requires_grad_(False)
        width = (2 * config.context + 1) * self.n_features
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            if config.activation == "relu":
                layers += [nn.Linear(width, config.units, bias=False), nn.BatchNorm1d(config.units), nn.ReLU()]
            else:
                layers += [nn.Linear(width, config.units), nn.Sigmoid()]
            layers.append(nn.Dropout(config.dropout))
            width = config.units
        self.network = nn.Sequential(*layers, nn.Linear(width, N_STATES))

    def acoustic(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled likelihoods and posteriors."""
        context = self.config.context
        seen = window[:, self.reach - context : self.reach + context + 1]
        log_posterior = self.network(seen.flatten(1)).float().log_softmax(dim=1)
        return log_posterior - self.log_prior if self.config.prior_division else log_posterior, log_posterior

    def train_acoustic(self, run: Run) -> None:
        """Train the network on the mixtures' alignment, and once more on its own where that is asked for."""
        run.train_phase(self, Phase("acoustic", run.train))
        if self.config.realign_with_dnn:
            assert isinstance(run.fold, SpeechFold)
            self._realign(run.fold)
            run.train_phase(self, Phase("realigned", run.train))

    def _realign(self, fold: SpeechFold) -> None:
        classes: list[np.ndarray | None] = []
        self.eval()
        for utterance, x in zip(fold.utterances["train"], self.statics(fold, "train"), strict=True):
            network = sentence_network(utterance.words, fold.lexicon, self.config.topology)
            try:
                classes.append(network.state[align(self.scores(x), network)])
            except NoPath:
                classes.append(None)
        self.use_states(fold, classes)


CARD = register(
    Card(
        key="ssc_dnn",
        family="silent_speech",
        title="Updating the silent speech challenge benchmark with deep learning",
        authors="Yan Ji, Licheng Liu, Hongcui Wang, Zhilei Liu, Zhibin Niu, Bruce Denby",
        venue="Speech Communication",
        year=2018,
        identifier="arXiv:1709.06818",
        config=Config,
        system=SscDnn,
        train=TrainConfig(
            epochs=15, batch_size=256, optimizer="sgd", learning_rate=0.008, momentum=0.9, schedule="cosine",
            decay_factor=0.01, select="FrameAccuracy",
        ),
        datasets=("world", "ssc"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        paper_values={"ssc": {"WER": 0.0645, "WER@general_lm": 0.1144}},
        reconstructed=(
            "Which 30 DCT coefficients: the 5 x 6 low-frequency corner of each stream; 5, 10 and 20 are corners too.",
            "Normalisation: one z-score over all training frames.",
            "Size of the network: 4 layers of 1024 sigmoid units on 11 frames, without RBM pretraining.",
            "States of single phones in place of tied triphones; LDA without MLLT; no fMLLR, as there is one speaker.",
            "Training rate: one descent by a cosine in place of halvings on held-out data.",
            "No discriminative sequence training (MMI, MPE, sMBR).",
            "Acoustic scale: chosen on validation sentences for each system and language model.",
        ),
        data_licence="SSC archive: research use, see its owners (ESPCI Paris)",
        claims=(
            Claim(
                name="dnn_against_gmm",
                sentence="A DNN in place of Gaussian mixtures lowers the word error rate of the same recogniser.",
                metric="WER",
                direction="lower",
                baseline_system="ssc_gmm",
                paper_claim="WER 6.45 % against 17.4 % (SSC)",
            ),
            Claim(
                name="task_language_model",
                sentence="A language model of the task's own text lowers the word error rate against a general one.",
                metric="WER",
                direction="lower",
                baseline_metric="WER@general_lm",
                paper_claim="WER 6.45 % against 11.44 % (SSC)",
            ),
        ),
    )
)  # fmt: skip
