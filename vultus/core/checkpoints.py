"""Resume files: everything that a training needs to go on as if it had never stopped.

One safetensors file a phase: the tensors (weights, best weights, optimiser, generator states) and, as JSON in the
header, the plain values (step, best value, history, full configuration, seed, code version). It replaces its
predecessor in one move, so that a kill leaves the old file or the new one. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vultus.core.errors import UserError


@dataclass
class Checkpoint:
    """The contents of a resume file."""

    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    """Weights of the best epoch so far; empty before the first validation."""
    optimizer: dict[str, Any]
    """As ``Optimizer.state_dict`` gives it."""
    random: dict[str, Tensor]
    """Generator states, the tensor part of `seeds.random_state`."""
    values: dict[str, Any]
    """Plain values that JSON can hold."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a resume file in one move."""
    tensors, optimizer = _flatten(checkpoint.optimizer)
    parts = {
        "weights": checkpoint.weights,
        "best": checkpoint.best_weights,
        "optimizer": tensors,
        "random": checkpoint.random,
    }
    # clone: parameters that share memory are refused by safetensors
    flat = {
        f"{part}/{name}": v.detach().cpu().clone().contiguous() for part, ts in parts.items() for name, v in ts.items()
    }
    header = {"values": json.dumps(checkpoint.values), "optimizer": json.dumps(optimizer)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".writing")
    safetensors.torch.save_file(flat, partial, metadata=header)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a resume file; None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): delete it to train from the start") from None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}, "random": {}}
    for name, value in flat.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    return Checkpoint(
        weights=parts["weights"],
        best_weights=parts["best"],
        optimizer=_unflatten(parts["optimizer"], json.loads(header["optimizer"])),
        random=parts["random"],
        values=json.loads(header["values"]),
    )


def _flatten(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {"param_groups": state.get("param_groups", []), "state": {}}
    for index, values in state.get("state", {}).items():
        plain["state"][str(index)] = {}
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}/{name}"] = value
            else:
                plain["state"][str(index)][name] = value
    return tensors, plain


def _unflatten(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in plain["state"].items()}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        state[int(index)][key] = value
    return {"state": state, "param_groups": plain["param_groups"]}


def copy_weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of parameters and buffers that later steps do not change."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
