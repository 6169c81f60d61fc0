"""From a labelled source domain and unlabelled target pictures to the classes of the target.

Xiao, Liu, Wu, "Teacher-Student Competition for Unsupervised Domain Adaptation" (TSC), ICPR 2020, arXiv 2010.09572. A
conventional network of domain adaptation is supervised by the source alone, so its features keep a source bias. TSC
adds a student of its own features that sees nothing but the target, and lets teacher and student compete, item by
item, for the label that the student learns.

* Teacher: `vultus.nn.domain_adversarial.AlignedClassifier`, CDAN+E (Long et al. 2018) or DANN.
* `compete`: who labels an item. `TscUda`: both networks; L_S and the order of a step.

Of the paper the abstract could be read and no formula, no table: the competition (more confident network wins, after a
warm-up in which the teacher always does), the student's start and its losses are a reconstruction [R] that shows the
claim. Without warm-up the untrained student wins with its own first guesses and collapses.

The two networks share no parameter and no gradient, so one optimiser over the sum of their losses makes the same steps
as two that follow each other; the labels come from the teacher before its step. Input: batches of
`vultus.systems.adaptation.common`; output: the student's class probabilities, with the teacher's and the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.registry import Card, Claim, register
from vultus.core.system import Batch
from vultus.losses.domain import entropy
from vultus.nn.domain_adversarial import AlignedClassifier, Classifier
from vultus.systems.adaptation.common import (
    HEADLINE,
    IMAGECLEF,
    OFFICE31,
    PROTOCOL,
    TRAIN,
    DomainConfig,
    DomainSystem,
    Prediction,
    printed,
)

Rule = Literal[
    "confidence", "calibrated", "margin", "entropy", "agree", "teacher", "student", "average", "prototype"
]  # fmt: skip


@dataclass(frozen=True)
class Config(DomainConfig):
    """Defaults: the paper's networks on pictures of 224 px, and the reconstructed competition."""

    teacher: Literal["dann", "cdan", "cdan_e"] = "cdan_e"
    """How the teacher is aligned."""
    discriminator: int = 1024
    """Units of the teacher's discriminator."""
    trade_off: float = 1.0
    """Weight of the adversarial loss."""
    competition: Rule = "confidence"
    """See `compete`; ``teacher`` is no competition, ``student`` training on one's own answers."""
    warmup: float = 0.15
    """Share of the training during which the teacher always wins."""
    weighting: Literal["none", "confidence", "threshold"] = "none"
    """Weight of an item in L_S: 1, the winner's confidence, or 1 from ``threshold`` on."""
    threshold: float = 0.5
    """Confidence from which an item counts, with ``weighting: threshold``."""
    student_init: Literal["pretrained", "random", "teacher"] = "pretrained"
    """Start of the student: published weights (where ``weights`` names a file), random, or a copy of the teacher at the
    end of the warm-up."""
    share_backbone: bool = False
    """The student stands on the teacher's backbone, and has no space of its own."""
    student_source_loss: float = 0.0
    """Weight of the source's labels in the student's loss; brings the source bias back."""
    feedback: float = 0.0
    """Weight of the labels that the student won in the teacher's loss."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a competition over B items; nothing of it carries a gradient."""

    label: Tensor
    """(B,) int64: class that the winner gives the item."""
    student_wins: Tensor
    """(B,) bool."""
    credibility: Tensor
    """(B,) 0..1: the winner's confidence."""
    counts: Tensor
    """(B,) bool: the item has a label to learn from."""


def compete(teacher: Tensor, student: Tensor, rule: Rule, may_win: bool, closeness: Tensor | None = None) -> Verdict:
    """Decide item by item whose answer becomes the label.

    The student wins where its score is strictly higher than the teacher's. Scores: ``confidence`` max p;
    ``calibrated`` max p after each network's logits are divided by the temperature at which its mean confidence equals
    the share of items on which both agree; ``margin`` first less second probability; ``entropy`` low entropy;
    ``prototype`` the closeness to the centre of the answered class. ``teacher`` and ``student`` name the winner
    themselves, ``average`` takes the class of highest mean probability, and ``agree`` labels only what both answer
    alike. [R]

    Example: p_T = (.6, .4), p_S = (.1, .9): ``confidence`` gives class 1, won by the student, credibility .9.

    Args:
        teacher: (B, C) logits.
        student: (B, C) logits.
        rule: see above.
        may_win: whether the warm-up is over; before it, the teacher labels every item under every rule.
        closeness: (2, B) of teacher and student, for ``prototype``.
    """
    teacher, student = teacher.detach().float(), student.detach().float()
    p_teacher, p_student = teacher.softmax(dim=1), student.softmax(dim=1)
    confidence_t, label_t = p_teacher.max(dim=1)
    confidence_s, label_s = p_student.max(dim=1)
    agree = label_t == label_s
    everyone, nobody = torch.ones_like(agree), torch.zeros_like(agree)
    if not may_win:
        return Verdict(label_t, nobody, confidence_t, everyone)
    if rule == "average":
        credibility, label = ((p_teacher + p_student) / 2).max(dim=1)
        return Verdict(label, (label == label_s) & ~agree, credibility, everyone)
    if rule == "agree":
        return Verdict(label_t, nobody, torch.minimum(confidence_t, confidence_s), agree)
    if rule == "teacher":
        wins = nobody
    elif rule == "student":
        wins = everyone
    elif rule == "calibrated":
        share = float(agree.float().mean())
        wins = _tempered(student, share).amax(dim=1) > _tempered(teacher, share).amax(dim=1)
    elif rule == "margin":
        wins = _margin(p_student) > _margin(p_teacher)
    elif rule == "entropy":
        wins = entropy(p_student) < entropy(p_teacher)
    elif rule == "prototype":
        assert closeness is not None
        wins = closeness[1] > closeness[0]
    else:
        wins = confidence_s > confidence_t
    return Verdict(
        torch.where(wins, label_s, label_t), wins, torch.where(wins, confidence_s, confidence_t), everyone
    )  # fmt: skip


def _margin(probability: Tensor) -> Tensor:
    best = probability.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def _tempered(logits: Tensor, mean_confidence: float) -> Tensor:
    """Probabilities at the temperature (1/20..20) that gives the mean confidence, by bisection of its logarithm."""
    low, high = -3.0, 3.0
    for _ in range(16):
        middle = (low + high) / 2
        confident = float((logits * math.exp(-middle)).softmax(dim=1).amax(dim=1).mean()) > mean_confidence
        low, high = (middle, high) if confident else (low, middle)
    return (logits * math.exp(-(low + high) / 2)).softmax(dim=1)


class Centres(nn.Module):
    """Running mean features of the items that a network answers with each class, for the rule ``prototype``."""

    MOMENTUM = 0.9

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(classes, features))
        self.centre: Tensor

    @torch.no_grad()
    def update(self, features: Tensor, answer: Tensor) -> None:
        """Move the centres of the classes answered in a batch: features (B, F), answer (B,)."""
        for c in sorted(set(answer.tolist())):
            mean, old = features[answer == c].mean(dim=0), self.centre[c]
            self.centre[c] = torch.where(old.any(), self.MOMENTUM * old + (1 - self.MOMENTUM) * mean, mean)

    def closeness(self, features: Tensor, answer: Tensor) -> Tensor:
        """(B,) cosine between an item and the centre of its class, which does not depend on the scale of a space."""
        return functional.cosine_similarity(features.detach(), self.centre[answer], dim=1)


class TscUda(DomainSystem):
    """Teacher and student; see the module's docstring."""

    is_copied: Tensor
    progress: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.teacher = AlignedClassifier(config, config.teacher, config.discriminator)
        self.student = Classifier(config)
        if config.student_init == "random" and config.weights:
            raise ValueError("student_init: random cannot be combined with published weights")
        if config.share_backbone:
            self.student.backbone = nn.Identity()
        self.centres = nn.ModuleList(Centres(config.classes, config.bottleneck) for _ in range(2))
        self.register_buffer("is_copied", torch.tensor(False))
        self.register_buffer("progress", torch.tensor(0.0))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L_T of the teacher, then L_S of the student on the labels that the competition gives."""
        config: Config = self.config
        self.progress.copy_(batch["progress"][0])
        losses, view = self.teacher.losses(batch, config.trade_off)
        if config.student_init == "teacher" and self._may_win() and not self.is_copied:
            self.student.load_state_dict(
                {k: v for k, v in self.teacher.classifier.state_dict().items() if k in self.student.state_dict()}
            )
            self.is_copied.fill_(True)
        features, logits = self._student(batch["target"], view.pooled)
        verdict = self._competition((view.features, view.logits), (features, logits))
        weight = verdict.counts.float()
        if config.weighting == "confidence":
            weight = weight * verdict.credibility
        elif config.weighting == "threshold":
            weight = weight * (verdict.credibility >= config.threshold)
        each = functional.cross_entropy(
            logits, verdict.label, reduction="none", label_smoothing=config.label_smoothing
        )  # fmt: skip
        losses["student"] = (weight * each).mean()
        if config.student_source_loss:
            source = batch["source"]
            pooled = self.teacher.classifier.backbone(source) if config.share_backbone else source
            on_source = functional.cross_entropy(
                self._student(source, pooled)[1], batch["label"], label_smoothing=config.label_smoothing
            )  # fmt: skip
            losses["student_source"] = config.student_source_loss * on_source
        if config.feedback:
            each = functional.cross_entropy(view.logits, verdict.label, reduction="none")
            losses["feedback"] = config.feedback * (verdict.student_wins * each).mean()
        return losses

    def predict(self, batch: Batch) -> Prediction:
        """The student's probabilities, with the teacher's and the labels that the two would give now."""
        classifier = self.teacher.classifier
        pooled = classifier.backbone(batch["target"])
        taught = classifier.classify(pooled)
        answered = self._student(batch["target"], pooled)
        verdict = self._competition(taught, answered)
        return Prediction(
            probability=answered[1].softmax(dim=1),
            teacher_probability=taught[1].softmax(dim=1),
            pseudo_label=functional.one_hot(verdict.label, self.config.classes).float(),
            student_wins=verdict.student_wins.float(),
        )

    def _may_win(self) -> bool:
        return float(self.progress) >= float(self.config.warmup)

    def _student(self, x: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """The student's features and logits; on a shared backbone no gradient reaches the teacher."""
        features, logits = self.student(pooled.detach() if self.config.share_backbone else x)
        return features, logits

    def _competition(self, taught: tuple[Tensor, Tensor], answered: tuple[Tensor, Tensor]) -> Verdict:
        """`compete` between (features, logits) of teacher and student."""
        closeness = None
        if self.config.competition == "prototype":
            near = []
            for centres, (features, logits) in zip(self.centres, (taught, answered), strict=True):
                assert isinstance(centres, Centres)
                answer = logits.detach().argmax(dim=1)
                if self.training:
                    centres.update(features.detach(), answer)
                near.append(centres.closeness(features, answer))
            closeness = torch.stack(near)
        return compete(taught[1], answered[1], self.config.competition, self._may_win(), closeness)


CARD = register(
    Card(
        key="tsc_uda",
        family="adaptation",
        title="Teacher-Student Competition for Unsupervised Domain Adaptation",
        authors="Ruixin Xiao, Zhilei Liu, Baoyuan Wu",
        venue="ICPR",
        year=2020,
        identifier="arXiv 2010.09572",
        config=Config,
        system=TscUda,
        train=TRAIN,
        datasets=("styles", "office31", "imageclef"),
        protocol=PROTOCOL,
        headline=(*HEADLINE, "TeacherAccuracy", "PseudoLabelAccuracy", "WinShare"),
        paper_values={
            "office31": printed("TeacherAccuracy", OFFICE31, (94.1, 98.6, 100.0, 92.9, 71.0, 69.3, 87.7)),
            "imageclef": printed("TeacherAccuracy", IMAGECLEF, (77.7, 90.7, 97.7, 91.3, 74.2, 94.3, 87.7)),
        },
        reconstructed=(
            "The abstract says that teacher and student compete for every target item's label, not how: here the more"
            " confident of the two wins, and the student cannot win during the first 15 % of the training.",
            "The student has the teacher's architecture, starts like it, sees target pictures alone and learns from"
            " hard labels of weight 1, from the first iteration on.",
            "TSC's own numbers were not found; the printed ones are those of its teacher, CDAN+E with ResNet-50, as"
            " Long et al. 2018 give them.",
        ),
        data_licence="Office-31 and ImageCLEF-DA: research use",
        claims=(
            Claim(
                name="above_teacher",
                sentence="The student, which sees the target alone, is more accurate on it than its teacher.",
                metric="Accuracy",
                direction="higher",
                baseline_metric="TeacherAccuracy",
            ),
            Claim(
                name="competition",
                sentence="Labels won in competition teach the student better than the teacher's labels alone.",
                metric="Accuracy",
                direction="higher",
                baseline={"competition": "teacher"},
            ),
            Claim(
                name="self_labels",
                sentence="Labels won in competition teach the student better than its own answers.",
                metric="Accuracy",
                direction="higher",
                baseline={"competition": "student"},
            ),
            Claim(
                name="above_source_only",
                sentence="Adaptation is more accurate on the target than the same network taught by the source alone.",
                metric="Accuracy",
                direction="higher",
                baseline_system="source_only",
            ),
        ),
    )
)  # fmt: skip
