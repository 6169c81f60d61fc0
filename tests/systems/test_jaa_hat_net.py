from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.systems.jaa_batches import small_batch
from vultus.systems.action_units import jaa_net
from vultus.systems.action_units.jaa_hat_net import PRESETS, Config, JaaHatNet, occlude

SMALL = Config(aus=(1, 12, 25), unit=1, image_px=64)

PARTS = {
    "region": "trunk.region", "align conv": "trunk.align.features", "align hidden": "trunk.align.hidden",
    "landmark layer": "trunk.align.landmarks", "refinement": "trunk.refine", "local branch": "trunk.local",
    "local head": "heads", "global": "trunk.whole", "classifier": "classifier",
}  # fmt: skip


def build(**changes: object) -> JaaHatNet:
    torch.manual_seed(0)
    system = JaaHatNet(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]
    system.trunk.align.start_at(small_batch()["landmarks"].mean(0))
    torch.nn.init.normal_(system.trunk.align.landmarks.weight, std=0.01)  # a zero layer would hide gradients below it
    return system


def reached(system: JaaHatNet, *losses: str) -> set[str]:
    """Parts in which every parameter's gradient exists and some value is not zero."""
    system.zero_grad(set_to_none=True)
    values = system.losses(small_batch())
    torch.stack([values[name] for name in losses]).sum().backward()
    parts = set()
    for part, path in PARTS.items():
        gradients = [p.grad for p in system.get_submodule(path).parameters()]
        if any(g is not None and g.abs().sum() > 0 for g in gradients):
            assert all(g is not None for g in gradients), f"{part} is reached only in part"
            parts.add(part)
    return parts


def test_parameters_at_paper_size() -> None:
    system = JaaHatNet(Config())
    assert sum(parameter.numel() for parameter in system.heads[0].parameters()) == 256_194
    assert sum(parameter.numel() for parameter in system.parameters()) == 25_237_182


@pytest.mark.parametrize(
    ("losses", "parts"),
    [
        (("softmax", "dice"), {"region", "align conv", "global", "classifier"}),
        (("local_softmax", "local_dice"), {"region", "refinement", "local branch", "local head"}),
        (("align",), {"region", "align conv", "align hidden", "landmark layer"}),
    ],
)
def test_gradient_map(losses: tuple[str, ...], parts: set[str]) -> None:
    """The table of the method: which loss trains which part."""
    assert reached(build(), *losses) == parts


def test_without_the_detachment_the_final_loss_shapes_the_maps() -> None:
    both = {"region", "align conv", "global", "classifier", "refinement", "local branch"}
    assert reached(build(detach_local=False), "softmax", "dice") == both


def test_no_loss_ties_the_maps_to_the_predefined_ones() -> None:
    assert list(build().losses(small_batch())) == ["softmax", "dice", "local_softmax", "local_dice", "align"]
    assert "refine" in build(lambda_refine=1e-7).losses(small_batch())


def test_every_preset_builds_and_v1_is_jaa_net() -> None:
    for name, changes in PRESETS.items():
        losses = build(**changes).losses(small_batch())
        assert all(torch.isfinite(value) for value in losses.values()), name
    old = jaa_net.JaaNet(jaa_net.Config(aus=(1, 12, 25), unit=1, image_px=64))
    new = build(**PRESETS["v1"])
    new.load_state_dict(old.state_dict())  # the same modules under the same names
    first, second = old.losses(small_batch()), new.losses(small_batch())
    assert {k: float(v.detach()) for k, v in first.items()} == {k: float(v.detach()) for k, v in second.items()}


def test_the_head_that_answers_can_be_chosen() -> None:
    batch, answers = small_batch(), {}
    for head in ("final", "local", "mean"):
        with torch.no_grad():
            prediction = build(predict_from=head).eval().predict(batch)
        answers[head] = prediction.au_probability
        assert prediction.local_probability is not None
    torch.testing.assert_close(answers["mean"], (answers["final"] + answers["local"]) / 2)
    assert not torch.equal(answers["final"], answers["local"])


def test_contradictory_switches_are_refused() -> None:
    with pytest.raises(ValueError, match="without local_loss there are no branch heads"):
        Config(local_loss=False)


def test_occlusion_covers_its_part_and_depends_on_the_row_alone() -> None:
    image, row = torch.ones(2, 3, 64, 64), torch.tensor([5, 9])
    assert occlude(image, "upper", row)[:, :, :32].abs().sum() == 0
    assert (occlude(image, "upper", row)[:, :, 32:] == 1).all()
    assert occlude(image, "lower", row)[:, :, 32:].abs().sum() == 0
    block = occlude(image, "random_block", row)
    assert (block == 0).sum().item() == 2 * 3 * 32 * 32
    assert torch.equal(block[1:], occlude(image[1:], "random_block", row[1:]))
    assert (image == 1).all()
