"""Seeds and determinism, set in one place.

Data and augmentation never draw from a global generator: they ask `generator` for one that is keyed by what it is for,
so that a batch is the same whether or not another was drawn before it. The global generators (initial weights, dropout,
third-party code) are seeded by `seed_everything`, and their states travel in the checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vultus.core.errors import UserError


def generator(seed: int, *name: str | int) -> np.random.Generator:
    """A generator that belongs to ``(seed, name...)`` alone.

    Args:
        seed: the experiment's seed.
        name: what the numbers are for, e.g. ``("crop", epoch, step)``.
    """
    digest = hashlib.sha256(json.dumps([seed, *name]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, and ask torch for deterministic kernels (a warning where none exists)."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  third-party code draws from it
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling empty memory costs a tenth of a step, and nothing here reads it
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of the global generators, as tensors and as plain values that JSON can hold."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    version, internal, gauss_next = random.getstate()
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    plain = {"numpy": [str(name), position, has_gauss, gauss], "python": [version, list(internal), gauss_next]}
    return tensors, plain


def restore_random_state(tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Put back what `random_state` gave.

    Raises:
        UserError: the states come from another kind of device.
    """
    name, position, has_gauss, gauss = plain["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    version, internal, gauss_next = plain["python"]
    random.setstate((version, tuple(internal), gauss_next))
    torch.set_rng_state(tensors["torch"])
    if torch.cuda.is_available():
        if "cuda" not in tensors:
            raise UserError("the checkpoint was written without a GPU: delete .cache/vultus/checkpoints to start anew")
        torch.cuda.set_rng_state(tensors["cuda"])
