"""Baseline: the still picture, held for as long as the speech lasts.

It has perfect sharpness and identity, and a mouth that never moves. A talking head that is not clearly closer to the
true mouth than this one has learnt nothing. Nothing is trained. Input and output are those of
`vultus.systems.talking_heads.common`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vultus.core.history import HistoryRow
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, register
from vultus.core.system import Batch, System
from vultus.systems.talking_heads.common import HEADLINE, PROTOCOL, Prediction, TalkingConfig

if TYPE_CHECKING:
    from vultus.core.loop import Run


@dataclass(frozen=True)
class Config(TalkingConfig):
    """Frames and labels as every system of the family sees them."""


class StillFace(System):
    """No parameters; the weights file says for which size it stands."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("image_px", torch.tensor(config.image_px))

    def fit(self, run: Run) -> None:
        """Score the validation people, once."""
        self.eval()
        scores = run.fold.validate(self, run.train.batch_size)
        for name, value in scores.items():
            run.history.append(HistoryRow(run.fold.name, "still", 0, 0, "validation", name, value, 0.0))
        run.selected["still"] = {
            "epoch": 0, "metric": "MouthPSNR", "value": scores["MouthPSNR"], "steps": 0, "seconds": 0.0,
        }  # fmt: skip

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The L1 error that a talking head has to get below; nothing can lower it."""
        valid = batch["valid"]
        return {"reconstruction": (self._held(batch)[valid] - batch["video"][valid]).abs().mean()}

    def predict(self, batch: Batch) -> Prediction:
        """The still picture at every frame."""
        return Prediction(frames=self._held(batch) * batch["valid"][:, :, None, None, None])

    def _held(self, batch: Batch) -> Tensor:
        return batch["identity"].unsqueeze(1).expand_as(batch["video"])


CARD = register(
    Card(
        key="still_face",
        family="talking_heads",
        role="baseline",
        title="Still face",
        authors="",
        venue="",
        year=0,
        identifier="",
        config=Config,
        system=StillFace,
        train=TrainConfig(epochs=1, batch_size=4),
        datasets=("talking", "grid", "tcd_timit"),
        protocol=PROTOCOL,
        headline=HEADLINE,
    )
)
