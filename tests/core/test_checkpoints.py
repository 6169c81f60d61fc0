from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vultus.core.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from vultus.core.errors import UserError


def example() -> Checkpoint:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weights = dict(layer.state_dict())
    return Checkpoint(weights, weights, optimizer.state_dict(), {"torch": torch.get_rng_state()}, {"step": 3, "x": 0.1})


def test_round_trip(tmp_path: Path) -> None:
    written = example()
    write_checkpoint(tmp_path / "a.safetensors", written)
    read = read_checkpoint(tmp_path / "a.safetensors")
    assert read is not None
    assert read.values == written.values
    assert all(torch.equal(read.weights[name], written.weights[name]) for name in written.weights)
    assert torch.equal(read.random["torch"], written.random["torch"])
    fresh = torch.optim.AdamW(torch.nn.Linear(3, 2).parameters(), lr=0.5)
    fresh.load_state_dict(read.optimizer)
    state = fresh.state_dict()
    assert json.dumps(state["param_groups"]) == json.dumps(written.optimizer["param_groups"])  # tuples become lists
    for index, values in written.optimizer["state"].items():
        assert all(torch.equal(state["state"][index][name], value) for name, value in values.items())


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "a.safetensors") is None


def test_a_cut_file_is_named_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, example())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"a\.safetensors is damaged .* delete it"):
        read_checkpoint(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, example())
    before = path.read_bytes()
    broken = example()
    broken.values["bad"] = object()
    with pytest.raises(TypeError):
        write_checkpoint(path, broken)
    assert path.read_bytes() == before
