"""The base classes: a system, the data of one fold as a system sees it, and a family's contract.

Nothing here knows what a batch holds. A batch is a dictionary of tensors; what is in it is written in the family's
``common.py``. Systems that do not fit the shared loop (an SVM, two optimisers, an HMM) override `System.fit`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import safetensors.torch
from torch import Tensor, nn

from vultus.core.errors import UserError

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment
    from vultus.core.loop import Run, TrainConfig
    from vultus.core.results import ResultRow

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """One part of a training with settings of its own; a finished phase is not repeated after a restart."""

    name: str
    train: TrainConfig


class Fold(ABC):
    """The data of one fold: training batches, and a score on its validation people.

    A training batch is a pure function of (seed, epoch, step). That is all a restart needs to go on with the very batch
    at which it was killed: no loader state is kept.
    """

    name: str
    split_hash: str
    fingerprint: str
    """Hash of the data and of the split: part of the key under which checkpoints are kept."""

    @abstractmethod
    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of training batches in an epoch."""

    @abstractmethod
    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """The batch at ``step`` of ``epoch``, both from 0, drawn from training people alone."""

    @abstractmethod
    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """Metrics on the validation people, in evaluation mode; model selection sees nothing else."""


class System(nn.Module, ABC):
    """A published system or a baseline.

    Subclasses take their Config alone and are complete without data. What the training people teach before the first
    step (class weights, a mean shape, a vocabulary) is set in `prepare` and kept in buffers, so that the weights file
    holds it.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def prepare(self, fold: Fold) -> None:
        """Learn facts of the training people, once, before the first step."""

    def phases(self, train: TrainConfig) -> Sequence[Phase]:
        """The parts of the training, in order."""
        return (Phase("train", train),)

    def begin_phase(self, phase: Phase) -> None:
        """Freeze, thaw or reset parts before a phase; also called when a phase is resumed."""

    def draw(self, fold: Fold, phase: Phase, epoch: int, step: int) -> Batch:
        """The training batch of a step; override for episodes, pairs or two domains. Pure in (seed, epoch, step)."""
        return fold.training_batch(epoch, step, phase.train.batch_size)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named losses, already weighted; their sum is minimised."""

    @abstractmethod
    def predict(self, batch: Batch) -> Any:
        """The family's ``Prediction`` for a batch."""

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser, each with its ``lr`` at the start."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": learning_rate}]

    def fit(self, run: Run) -> None:
        """Train on ``run.fold`` and end with the selected weights."""
        self.prepare(run.fold)
        for phase in self.phases(run.train):
            run.train_phase(self, phase)

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors``: parameters and buffers."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        safetensors.torch.save_file(tensors, folder / "weights.safetensors")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or belongs to another configuration.
        """
        path = folder / "weights.safetensors"
        try:
            self.load_state_dict(safetensors.torch.load_file(path))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run the train stage of this system first") from None
        except RuntimeError as error:
            first = str(error).splitlines()[1:2]
            raise UserError(
                f"{path} does not fit this configuration ({' '.join(first).strip()}): train again"
            ) from None


@dataclass(frozen=True)
class Evaluation:
    """What a family makes of a trained system on the test people of all folds."""

    predictions: pd.DataFrame
    """One row a test item: ``dataset, clip_id, frame, subject, fold``, then the family's columns and the targets."""
    rows: list[ResultRow]
    metrics: dict[str, float]
    replicates: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Metric -> its bootstrap replicates (R,): what the claims subtract pair by pair. Two systems that are scored with
    one seed on the same subjects have drawn the same subjects in replicate r."""
    warnings: tuple[str, ...] = ()
    """Sentences about numbers that have no value or mean less than they seem to."""


class Family(ABC):
    """The contract of a family, implemented once in its ``common.py`` as the object ``FAMILY``."""

    name: str

    @abstractmethod
    def folds(self, experiment: Experiment) -> list[Fold]:
        """The folds of the experiment's protocol, opened."""

    @abstractmethod
    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """Predictions and targets for the test people of a fold, one row an item."""

    @abstractmethod
    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """Metrics with their intervals from the predictions of all folds."""

    @abstractmethod
    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """Draw into ``folder``; returns ``{file name: caption}``."""

    def charts(self, evaluation: Evaluation, experiment: Experiment, folder: Path) -> dict[str, str]:
        """Draw what all folds say together, such as confusions, into ``folder``; returns ``{file name: caption}``."""
        return {}
