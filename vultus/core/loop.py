"""The training loop: one readable function on one device, which Lightning Fabric brings with its precision.

Set the rate, step, accumulate, clip; at the end of each epoch validate, keep the best weights by the validation metric,
write the checkpoint. A run that is killed at any moment and started again ends with the same weights and metrics, bit
for bit: batches are a pure function of (seed, epoch, step), and the checkpoint holds everything else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vultus.core.checkpoints import Checkpoint, copy_weights, read_checkpoint, write_checkpoint
from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.core.history import History, HistoryRow
from vultus.core.seeds import random_state, restore_random_state, seed_everything
from vultus.core.system import Batch, Fold, Phase, System


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop; a card holds the paper's, ``params.yaml`` overrides them under ``train``."""

    epochs: int = 12
    batch_size: int = 16
    steps_per_epoch: int = 0
    """Optimiser steps in an epoch; 0 = as many as the training people's data fill."""
    accumulate: int = 1
    """Batches whose gradients are averaged into one optimiser step."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    """Nesterov momentum of sgd; first beta of adam and adamw."""
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine", "inverse"] = "constant"
    """``inverse``: ``(1 + 10 q)^-0.75`` with q the share of the phase that is done (Ganin and Lempitsky 2015)."""
    decay_factor: float = 0.1
    """Of schedule ``step``: factor at each decay; of ``cosine``: share of the rate that is left at the end."""
    decay_epochs: int = 1
    """Of schedule ``step``: epochs between decays."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly from near 0."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient; 0 = no clipping."""
    select: str = ""
    """Validation metric that selects the epoch; empty = the last epoch."""
    select_goal: Literal["max", "min"] = "max"
    validate_every: int = 1
    """Epochs between validations; the last epoch is always validated."""
    checkpoint_every: int = 500
    """Optimiser steps between checkpoints within an epoch; there is always one at an epoch's end."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Of the training steps; predictions are made in float32."""
    channels_last: bool = False
    """Memory format of 4-dimensional weights: faster convolutions on most CPUs and GPUs, equal up to rounding."""
    device: str = "auto"
    """Accelerator as Lightning Fabric names it: auto, cpu, cuda, mps."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} must be at least 1, not {getattr(self, name)}")

    def rate_factor(self, step: int, steps_per_epoch: int) -> float:
        """Share of the initial learning rate that holds at a step (from 0) of the phase."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "step":
            return float(warmup * self.decay_factor ** (step // steps_per_epoch // self.decay_epochs))
        if self.schedule == "cosine":
            progress = step / max(1, self.epochs * steps_per_epoch - 1)
            return warmup * (self.decay_factor + (1 - self.decay_factor) * 0.5 * (1 + math.cos(math.pi * progress)))
        if self.schedule == "inverse":
            return float(warmup * (1 + 10 * step / (self.epochs * steps_per_epoch)) ** -0.75)
        return warmup


@dataclass
class Run:
    """One training: a system's fold, settings, and where it keeps its resume files."""

    fold: Fold
    train: TrainConfig
    seed: int
    folder: Path
    """Resume files, ``history.jsonl``; outside the stage's outputs."""
    history: History
    about: dict[str, Any] = field(default_factory=dict)
    """Configuration and code version, written into each checkpoint."""
    selected: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each phase ended with: selected epoch, its validation value, steps, seconds."""

    def label(self, phase: str) -> str:
        """What a progress bar calls this training: system, fold, phase."""
        return " ".join(str(part) for part in (self.about.get("system"), self.fold.name, phase) if part)

    def train_phase(self, system: System, phase: Phase) -> None:
        """Train ``system`` through a phase, from where an earlier attempt stopped; ends with the selected weights."""
        train_phase(self, system, phase)


@dataclass
class _Progress:
    """What changes while training, as it stands in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best_value: float | None = None
    best_epoch: int = -1
    running: dict[str, float] = field(default_factory=dict)
    """Sums of the losses since the epoch began."""


def train_phase(run: Run, system: System, phase: Phase) -> None:
    """See `Run.train_phase`.

    Raises:
        UserError: a loss is not finite, or the validation does not give the metric that selects.
    """
    from lightning_fabric import Fabric  # seconds to import, and only training needs it

    config, path = phase.train, run.folder / f"{phase.name}.safetensors"
    fabric = Fabric(accelerator=config.device, devices=1, precision=config.precision)
    seed_everything(run.seed)
    system.begin_phase(phase)
    if config.channels_last:
        system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(system.param_groups(config.learning_rate), config)
    initial_rates = [group["lr"] for group in optimizer.param_groups]
    model, wrapped = fabric.setup(system, optimizer)
    model.mark_forward_method("losses")
    steps = config.steps_per_epoch or max(1, run.fold.steps_per_epoch(config.batch_size) // config.accumulate)
    total = config.epochs * steps

    progress, best_weights = _Progress(), dict[str, Tensor]()
    checkpoint = read_checkpoint(path)
    if checkpoint is not None:
        progress = _Progress(**checkpoint.values["progress"])
        best_weights = {name: value.to(fabric.device) for name, value in checkpoint.best_weights.items()}
        system.load_state_dict(checkpoint.weights)
        optimizer.load_state_dict(checkpoint.optimizer)
        run.history.restore(checkpoint.values["history"])
        restore_random_state(checkpoint.random, checkpoint.values["random"])
    started = time.perf_counter() - progress.seconds

    def save() -> None:
        progress.seconds = time.perf_counter() - started
        random_tensors, random_values = random_state()
        values = {
            "progress": asdict(progress),
            "history": [asdict(row) for row in run.history.rows],
            "random": random_values,
            "seed": run.seed,
            "train": asdict(config),
            **run.about,
        }
        write_checkpoint(
            path, Checkpoint(copy_weights(system), best_weights, optimizer.state_dict(), random_tensors, values)
        )

    def record(epoch: int, split: str, name: str, value: float) -> None:
        seconds = round(time.perf_counter() - started, 3)
        run.history.append(HistoryRow(run.fold.name, phase.name, epoch, progress.step, split, name, value, seconds))

    system.train()
    batches = _prefetch(
        system, run.fold, phase, range(progress.step * config.accumulate, total * config.accumulate), steps
    )
    for step in track(range(progress.step, total), run.label(phase.name)):
        factor = config.rate_factor(step, steps)
        for group, rate in zip(optimizer.param_groups, initial_rates, strict=True):
            group["lr"] = rate * factor
        for _ in range(config.accumulate):
            losses = model.losses(fabric.to_device(next(batches)))
            fabric.backward(torch.stack(list(losses.values())).sum() / config.accumulate)
            for name, value in losses.items():
                progress.running[name] = progress.running.get(name, 0.0) + float(value.detach()) / config.accumulate
        if config.clip_norm:
            fabric.clip_gradients(model, wrapped, max_norm=config.clip_norm, error_if_nonfinite=False)
        wrapped.step()
        wrapped.zero_grad(set_to_none=True)
        progress.step = step + 1
        broken = [name for name, value in progress.running.items() if not math.isfinite(value)]
        if broken:
            raise UserError(
                f"the loss {broken[0]!r} of {run.fold.name} is not finite at step {step}: lower train.learning_rate"
                " or set train.clip_norm"
            )
        epoch, in_epoch = divmod(progress.step, steps)
        if in_epoch:
            if progress.step % config.checkpoint_every == 0:
                save()
            continue
        epoch -= 1
        for name, value in progress.running.items():
            record(epoch, "train", name, value / steps)
        record(epoch, "train", "total", sum(progress.running.values()) / steps)
        progress.running = {}
        if (epoch + 1) % config.validate_every == 0 or progress.step == total:
            scores = run.fold.validate(system.eval(), config.batch_size)
            system.train()
            for name, value in scores.items():
                record(epoch, "validation", name, value)
            if _is_better(config, scores, progress.best_value):
                progress.best_value, progress.best_epoch = scores.get(config.select), epoch
                best_weights = copy_weights(system)
        save()

    system.load_state_dict(best_weights)
    system.eval()
    run.selected[phase.name] = {
        "epoch": progress.best_epoch,
        "metric": config.select or "last epoch",
        "value": progress.best_value,
        "steps": progress.step,
        "seconds": round(progress.seconds, 3),
    }


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration over parameter groups that carry their own ``lr``."""
    decay, momentum = config.weight_decay, config.momentum
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=momentum, nesterov=momentum > 0, weight_decay=decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, betas=(momentum, 0.999), weight_decay=decay)


def _is_better(config: TrainConfig, scores: dict[str, float], best: float | None) -> bool:
    if not config.select:
        return True
    if config.select not in scores:
        raise UserError(f"train.select is {config.select!r}; the validation gives {', '.join(scores) or 'nothing'}")
    value = scores[config.select]
    if best is None or math.isnan(best):
        return True
    return value > best if config.select_goal == "max" else value < best


def _prefetch(system: System, fold: Fold, phase: Phase, micro_steps: range, steps_per_epoch: int) -> Iterator[Batch]:
    """Batches in order, drawn in a thread two ahead of the step that uses them."""
    per_epoch = steps_per_epoch * phase.train.accumulate
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Batch]] = []
        for at in micro_steps:
            waiting.append(pool.submit(system.draw, fold, phase, *divmod(at, per_epoch)))
            if len(waiting) > 2:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
