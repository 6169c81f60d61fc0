"""What is special in au_talker: shapes of both sizes, padding, frozen parts, one optimiser for two players."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract.toys import smoke_experiment
from vultus.core import registry
from vultus.core.experiment import Experiment
from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.system import Batch, Phase
from vultus.losses.adversarial import discriminator_loss, generator_loss
from vultus.systems.talking_heads.au_talker import (
    AUDIO_ONLY,
    CARD,
    AuClassifier,
    AudioEncoder,
    AudioToAu,
    AuTalker,
    Config,
    FrameDiscriminator,
    IdentityEncoder,
    ImageDecoder,
)
from vultus.systems.talking_heads.common import TalkingFold

SMALL: dict[str, Any] = {
    "image_px": 32, "width": 0.125, "z_dim": 8, "au_dim": 4, "hidden": 16, "audio_width": 0.125, "shared_trunk": True,
}  # fmt: skip


def batch(size: int = 32, n: int = 2, length: int = 3, valid: list[int] | None = None) -> Batch:
    rng = torch.Generator().manual_seed(0)
    lengths = torch.tensor(valid or [length] * n)
    return {
        "video": torch.rand(n, length, 3, size, size, generator=rng) * 2 - 1,
        "identity": torch.rand(n, 3, size, size, generator=rng) * 2 - 1,
        "mfcc": torch.randn(n, length, 12, 28, generator=rng),
        "au_occurrence": (torch.rand(n, length, 5, generator=rng) < 0.5).float(),
        "mouth": torch.zeros(n, length, size, size),
        "valid": torch.arange(length) < lengths[:, None],
        "row": torch.zeros(n, length, dtype=torch.int64),
    }


def small(**changes: Any) -> AuTalker:
    torch.manual_seed(0)
    return AuTalker(Config(**{**SMALL, **changes}))


@pytest.fixture(scope="module")
def experiment(roots: dict[str, Path]) -> Experiment:
    return smoke_experiment("au_talker", roots["talking_heads"])


def fold_of(experiment: Experiment) -> TalkingFold:
    fold = registry.family("talking_heads").folds(experiment)[0]
    assert isinstance(fold, TalkingFold)
    return fold


def test_shapes_at_the_papers_size() -> None:
    config = Config()
    windows, valid = torch.randn(1, 4, 12, 28), torch.ones(1, 4, dtype=torch.bool)
    one = AudioToAu(1, config.au_dim, 1.0).eval()
    assert [tuple(layer.weight.shape[:2]) for layer in one.window if isinstance(layer, torch.nn.Conv2d)] == [
        (8, 1), (32, 8), (64, 32), (128, 64), (256, 128)
    ]  # fmt: skip
    codes, logits = one(windows, valid)
    assert (codes.shape, logits.shape) == ((1, 4, 64), (1, 4, 1))
    assert AudioEncoder(config).eval()(windows[0, :, None]).shape == (4, 512)
    code, maps = IdentityEncoder(config)(torch.randn(1, 3, 112, 112))
    assert code.shape == (1, 512)
    assert [tuple(grid.shape[1:]) for grid in maps] == [(16, 56, 56), (32, 28, 28), (64, 14, 14), (128, 7, 7)]
    assert ImageDecoder(config, 1024)(torch.randn(1, 1024), maps, torch.zeros(1, 3, 112, 112)).shape == (1, 3, 112, 112)
    assert FrameDiscriminator(config)(torch.randn(1, 3, 112, 112)).shape == (1, 1, 7, 7)
    classifier = AuClassifier(config)
    assert classifier.answer[0].in_features == 640  # 128 x 1 x 5, the released size
    assert classifier.eval()(torch.randn(2, 3, 112, 112)).shape == (2, 1)


def test_the_generators_input_is_1344_wide_at_the_papers_size() -> None:
    with torch.device("meta"):
        fusion = AuTalker(Config()).fusion
    assert isinstance(fusion, torch.nn.GRU)
    assert (fusion.input_size, fusion.hidden_size) == (1344, 1024)


@pytest.mark.parametrize("size", [32, 80])
@pytest.mark.parametrize("length", [1, 5])
def test_frames_have_the_size_and_length_that_are_asked_for(size: int, length: int) -> None:
    with torch.no_grad():
        frames = small(image_px=size).eval().predict(batch(size, 2, length)).frames
    assert frames is not None
    assert frames.shape == (2, length, 3, size, size)


def test_a_size_that_cannot_be_halved_four_times_is_refused() -> None:
    with pytest.raises(ValueError, match="image_px must be a multiple of 16"):
        Config(image_px=72)


@pytest.mark.parametrize(
    "changes",
    [
        AUDIO_ONLY, {"use_gru": False}, {"use_frame_disc": False}, {"au_source": "oracle"}, {"au_source": "shuffled"},
        {"finetune": True}, {"shared_trunk": False}, {"paint_change": True},
    ],
)  # fmt: skip
def test_every_switch_trains_and_draws(changes: dict[str, Any]) -> None:
    system = small(**changes)
    for phase in system.phases(TrainConfig()):
        system.begin_phase(phase)
        losses = system.train().losses(batch())
        torch.stack(list(losses.values())).sum().backward()
    names = {name.split(".")[0] for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}
    assert ("discriminator" in names) == ("use_frame_disc" not in changes)
    assert ("classifiers" in names) == ("lambda_au" not in changes)
    assert {"audio", "identity", "fusion", "decoder"} <= names
    assert system.eval().predict(batch()).frames is not None


def test_the_oracle_hears_nothing_and_the_labels_matter() -> None:
    system, first = small(au_source="oracle").eval(), batch()
    second = {**first, "au_occurrence": 1 - first["au_occurrence"]}
    with torch.no_grad():
        a, b = system.predict(first), system.predict(second)
    assert a.au_from_speech is None
    assert a.frames is not None
    assert b.frames is not None
    assert not torch.equal(a.frames, b.frames)


@pytest.mark.parametrize("phase", ["audio_to_au", "classifier", "generator"])
def test_frames_after_a_clips_end_count_for_nothing(phase: str) -> None:
    """Other pictures, sound and labels beyond the end change no loss and no gradient."""
    first = batch(n=2, length=4, valid=[4, 2])
    second = {name: value.clone() for name, value in first.items()}
    second["video"][1, 2:], second["mfcc"][1, 2:], second["au_occurrence"][1, 2:] = 0.3, 9.0, 1.0
    totals, gradients = [], []
    for inputs in (first, second):
        system = small()
        system.begin_phase(Phase(phase, CARD.train))
        system.train()
        torch.manual_seed(1)
        loss = torch.stack(list(system.losses(inputs).values())).sum()
        loss.backward()
        totals.append(loss.detach())
        gradients.append([p.grad for p in system.parameters() if p.grad is not None])
    torch.testing.assert_close(totals[0], totals[1])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_one_optimiser_makes_the_published_step_of_both_players() -> None:
    """The generator gets no gradient from the discriminator's loss, nor the other way round."""
    system = small(au_source="oracle", lambda_au=0.0, lambda_gan=0.5).train()
    inputs = batch()
    torch.stack(list(system.losses(inputs).values())).sum().backward()
    together = {name: p.grad.clone() for name, p in system.named_parameters() if p.grad is not None}

    twin = small(au_source="oracle", lambda_au=0.0, lambda_gan=0.5).train()
    frames = twin.generate(inputs)
    real = inputs["video"].flatten(0, 1)
    own = [p for name, p in twin.named_parameters() if not name.startswith("discriminator.")]
    generator_side = (frames - real).abs().mean() + 0.5 * generator_loss(twin.discriminator(frames))
    expected = list(torch.autograd.grad(generator_side, own, retain_graph=True))
    judge = discriminator_loss(twin.discriminator(real), twin.discriminator(frames.detach()))
    expected += torch.autograd.grad(judge, list(twin.discriminator.parameters()))
    names = [name for name, _ in twin.named_parameters() if not name.startswith("discriminator.")]
    names += [f"discriminator.{name}" for name, _ in twin.discriminator.named_parameters()]
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(together[name], gradient, msg=name)
    rates = [group["lr"] for group in system.param_groups(2e-4)]
    assert rates == [2e-4, system.config.discriminator_learning_rate]


def test_what_was_taught_before_stays_as_it_is_while_the_generator_learns(
    experiment: Experiment, tmp_path: Path
) -> None:
    fold, system = fold_of(experiment), experiment.build()
    assert isinstance(system, AuTalker)
    system.prepare(fold)
    system.begin_phase(Phase("generator", experiment.train))
    before = {name: value.clone() for name, value in system.state_dict().items()}
    Run(fold, experiment.train, 1, tmp_path, History()).train_phase(system, Phase("generator", experiment.train))
    changed = {
        name.split(".")[0] for name, value in system.state_dict().items() if not torch.equal(value, before[name])
    }
    assert not changed & {"classifiers", "audio_to_au"}
    assert changed >= {"audio", "decoder", "discriminator", "fusion", "identity"}
    assert not system.train().classifiers.training
    assert not system.audio_to_au.training


def test_a_training_that_is_killed_ends_with_the_same_bytes(experiment: Experiment, tmp_path: Path) -> None:
    """In the generator's phase, where two players move: the second half is trained by another process, as it were."""
    longer = dataclasses.replace(experiment.train, epochs=2, steps_per_epoch=2, checkpoint_every=1)
    fold, states = fold_of(experiment), []
    for killed_at in (None, 3):
        folder = tmp_path / str(killed_at)
        folder.mkdir()
        if killed_at is not None:
            system = experiment.build()
            assert isinstance(system, AuTalker)
            draw, drawn = system.draw, []

            def dying(*args: Any, draw: Any = draw, drawn: list[int] = drawn) -> Batch:
                drawn.append(1)
                if args[1].name == "generator" and len(drawn) > 6:
                    raise KeyboardInterrupt
                made: Batch = draw(*args)
                return made

            system.draw = dying  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                system.fit(Run(fold, longer, 1, folder, History()))
        system = experiment.build()
        system.fit(Run(fold, longer, 1, folder, History()))
        states.append(system.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_a_single_clip_can_be_learnt_by_heart(experiment: Experiment) -> None:
    config = dataclasses.replace(
        experiment.config, width=0.5, hidden=192, lambda_au=0.0, use_frame_disc=False, flip=False
    )
    experiment = dataclasses.replace(experiment, config=config)
    fold = fold_of(experiment)
    system = experiment.build()
    assert isinstance(system, AuTalker)
    system.prepare(fold)
    clip = fold.whole(fold.of["train"].iloc[0])
    clip = {name: value[:, :8] if value.ndim > 1 and name != "identity" else value for name, value in clip.items()}
    system.begin_phase(Phase("generator", experiment.train))
    system.train()
    optimizer = torch.optim.Adam(system.param_groups(1e-3))
    for _ in range(300):
        loss = system.losses(clip)["reconstruction"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.02
