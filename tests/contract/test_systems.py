"""What every system must keep, whatever it learns; nothing here is written for one system."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contract.toys import TOYS, smoke_experiment
from vultus.core import registry
from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.core.experiment import Experiment
from vultus.core.history import History
from vultus.core.loop import Run
from vultus.core.system import Batch, Fold, Phase, System

SYSTEMS = registry.keys()
Made = tuple[Experiment, Fold, System]


@pytest.fixture(scope="module", params=SYSTEMS)
def made(request: pytest.FixtureRequest, roots: dict[str, Path]) -> Made:
    """An experiment on toy data, its first fold, and a system that has seen its training people but made no step."""
    experiment = smoke_experiment(request.param, roots[registry.family_of(request.param)])
    fold = registry.family(experiment.card.family).folds(experiment)[0]
    system = experiment.build()
    system.prepare(fold)
    return experiment, fold, system


def draw(experiment: Experiment, fold: Fold, system: System, step: int = 0) -> Batch:
    return system.draw(fold, Phase("train", experiment.train), 0, step)


def fit(experiment: Experiment, fold: Fold, folder: Path) -> System:
    folder.mkdir()
    system = experiment.build()
    system.fit(Run(fold, experiment.train, experiment.seed, folder, History()))
    return system


def values(prediction: Any) -> dict[str, tuple[Tensor, Any]]:
    """Field -> its tensor and metadata; fields that this system does not give are left out."""
    fields = {field.name: (getattr(prediction, field.name), field.metadata) for field in dataclasses.fields(prediction)}
    return {name: entry for name, entry in fields.items() if entry[0] is not None}


def total(system: System, batch: Batch) -> float:
    with torch.no_grad():
        return float(torch.stack(list(system.losses(batch).values())).sum())


def test_every_family_with_systems_has_toy_data() -> None:
    assert {registry.family_of(key) for key in SYSTEMS} <= set(TOYS)


def test_losses_are_named_finite_scalars(made: Made) -> None:
    experiment, fold, system = made
    losses = system.train().losses(draw(experiment, fold, system))
    assert losses
    for name, value in losses.items():
        assert value.shape == (), name
        assert torch.isfinite(value), name


def test_predictions_have_the_shape_and_range_that_they_declare(made: Made) -> None:
    experiment, fold, system = made
    batch = draw(experiment, fold, system)
    with torch.no_grad():
        prediction = values(system.eval().predict(batch))
    sizes = {"B": len(next(iter(batch.values())))}
    assert prediction
    for name, (value, about) in prediction.items():
        assert torch.isfinite(value).all(), name
        assert value.dtype == torch.float32, name
        letters = about["shape"].split()
        assert value.ndim == len(letters), name
        for letter, size in zip(letters, value.shape, strict=True):
            assert sizes.setdefault(letter, size) == size, f"{name}: two sizes for {letter}"
        if about["range"] is not None:
            low, high = about["range"]
            assert value.min() >= low, name
            assert value.max() <= high, name


def test_every_parameter_gets_a_gradient(made: Made) -> None:
    """In the phases that train it; counted after one step, since a layer at zero passes nothing to those below."""
    experiment, fold, _ = made
    system = experiment.build().train()
    system.prepare(fold)
    waiting = {name for name, parameter in system.named_parameters() if parameter.requires_grad}
    for phase in system.phases(experiment.train):
        system.begin_phase(phase)
        for parameter in system.parameters():
            parameter.grad = None
        trained = {name: p for name, p in system.named_parameters() if p.requires_grad}
        if not trained:
            continue
        optimizer = torch.optim.SGD(system.param_groups(1e-3))
        for step in range(2):
            optimizer.step()  # the first one finds no gradients and does nothing
            optimizer.zero_grad(set_to_none=True)
            batch = system.draw(fold, phase, 0, step)
            torch.stack(list(system.losses(batch).values())).sum().backward()
        for name, parameter in system.named_parameters():
            if name in trained:
                assert parameter.grad is not None, name
                assert torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.abs().max() > 0, name
            else:
                assert parameter.grad is None, name
        waiting -= set(trained)
    assert not waiting, "no phase trains these"


def test_parameter_groups_hold_each_trainable_parameter_once(made: Made) -> None:
    _, _, system = made
    grouped = [id(parameter) for group in system.param_groups(0.1) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in system.parameters() if p.requires_grad)


def test_the_same_result_alone_and_inside_a_batch(made: Made) -> None:
    experiment, fold, system = made
    batch = draw(experiment, fold, system)
    with torch.no_grad():
        together = values(system.eval().predict(batch))
        for row in (0, 3):
            alone = values(system.predict({name: value[row : row + 1] for name, value in batch.items()}))
            for name in together:
                torch.testing.assert_close(alone[name][0][0], together[name][0][row], atol=1e-4, rtol=1e-4)


def test_save_and_load(made: Made, tmp_path: Path) -> None:
    experiment, fold, system = made
    batch = draw(experiment, fold, system)
    system.eval().save(tmp_path)
    fresh = experiment.card.system(experiment.config)
    fresh.load(tmp_path)
    with torch.no_grad():
        first, second = values(system.predict(batch)), values(fresh.eval().predict(batch))
    assert all(torch.equal(first[name][0], second[name][0]) for name in first)


def test_loading_says_what_is_missing_or_does_not_fit(made: Made, tmp_path: Path) -> None:
    experiment, _, system = made
    with pytest.raises(UserError, match=r"weights\.safetensors is missing: run the train stage"):
        system.load(tmp_path)
    state = {name: torch.zeros(3, *value.shape) for name, value in system.state_dict().items()}
    fresh = experiment.card.system(experiment.config)
    fresh.state_dict = lambda *_: state  # type: ignore[method-assign,assignment]
    fresh.save(tmp_path)
    with pytest.raises(UserError, match="does not fit this configuration"):
        system.load(tmp_path)


def test_a_batch_is_a_pure_function_of_epoch_and_step(made: Made) -> None:
    experiment, fold, system = made
    first = draw(experiment, fold, system, step=1)
    draw(experiment, fold, system, step=0)
    again = draw(experiment, fold, system, step=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = draw(experiment, fold, system, step=0)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_same_seed_same_weights(made: Made, tmp_path: Path) -> None:
    experiment, fold, _ = made
    first, second = (fit(experiment, fold, tmp_path / name).state_dict() for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls_in_a_debug_run(made: Made, tmp_path: Path) -> None:
    experiment, fold, system = made
    longer = dataclasses.replace(
        experiment.train, epochs=5, steps_per_epoch=5, batch_size=16, optimizer="adamw", learning_rate=3e-3,
        schedule="constant", select="",
    )  # fmt: skip
    experiment = dataclasses.replace(experiment, train=longer)
    batch = draw(experiment, fold, system)
    before = total(system.train(), batch)
    trained = fit(experiment, fold, tmp_path / "run")
    after = total(trained.train(), batch)
    assert after < 0.95 * before if any(True for _ in system.parameters()) else after == before


def test_an_unknown_key_of_the_configuration_lists_the_known_ones(made: Made) -> None:
    experiment, _, _ = made
    known = dataclasses.fields(experiment.config)[0].name
    with pytest.raises(UserError, match=rf"has no key 'opticks'; known keys: .*{known}"):
        section(experiment.card.config, {"opticks": 1}, "systems.x.config")


def test_every_field_of_the_configuration_has_a_default(made: Made) -> None:
    experiment, _, _ = made
    assert dataclasses.is_dataclass(experiment.card.config)
    assert experiment.card.config() is not None
