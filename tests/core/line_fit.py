"""A system and a fold that know nothing of images: they fit a noisy linear map. Run as a script to be killed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.seeds import generator, seed_everything
from vultus.core.system import Batch, Fold, Phase, System

TRUTH = torch.linspace(-1, 1, 8)


@dataclass(frozen=True)
class Config:
    dropout: float = 0.2


class LineFit(System):
    """Dropout makes the result depend on torch's generator, batch norm on the buffers."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.net = nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(16, 1)
        )

    def phases(self, train: TrainConfig) -> tuple[Phase, ...]:
        return (Phase("first", train), Phase("second", train))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        error = self.net(batch["x"]).squeeze(1) - batch["y"]
        return {"squared": (error**2).mean(), "absolute": 0.1 * error.abs().mean()}

    def predict(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.net(batch["x"]).squeeze(1)


class LineFold(Fold):
    def __init__(self, seed: int, pause_s: float = 0.0) -> None:
        self.name, self.split_hash, self.fingerprint = "line", "0", "0"
        self.seed, self.pause_s = seed, pause_s

    def steps_per_epoch(self, batch_size: int) -> int:
        return 64 // batch_size

    def _batch(self, *key: str | int, size: int) -> Batch:
        rng = generator(self.seed, *key)
        x = torch.from_numpy(rng.normal(size=(size, 8)).astype("float32"))
        return {"x": x, "y": x @ TRUTH + 0.1 * torch.from_numpy(rng.normal(size=size).astype("float32"))}

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        time.sleep(self.pause_s)
        return self._batch("train", epoch, step, size=batch_size)

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        batch = self._batch("validation", size=64)
        return {"MSE": float(((system.predict(batch) - batch["y"]) ** 2).mean())}


SETTINGS = TrainConfig(
    epochs=3, batch_size=8, optimizer="adamw", learning_rate=0.01, select="MSE", select_goal="min", checkpoint_every=3
)


def fit(folder: Path, seed: int = 1, pause_s: float = 0.0, train: TrainConfig = SETTINGS) -> tuple[LineFit, Run]:
    """A whole training whose resume files lie in ``folder``."""
    seed_everything(seed)
    system = LineFit(Config())
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(LineFold(seed, pause_s), train, seed, folder, History(folder / "history.jsonl"))
    system.fit(run)
    return system, run


if __name__ == "__main__":
    out = Path(sys.argv[1])
    trained, finished = fit(out / "resume", pause_s=float(sys.argv[2]))
    trained.save(out)
    rows = finished.history.frame().drop(columns="seconds").to_dict("records")
    (out / "result.json").write_text(
        json.dumps(
            {
                "rows": rows,
                "selected": {
                    name: {key: value for key, value in entry.items() if key != "seconds"}
                    for name, entry in finished.selected.items()
                },
            }
        )
    )
