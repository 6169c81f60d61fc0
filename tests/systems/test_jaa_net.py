from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from tests.systems.jaa_batches import small_batch
from vultus.core.errors import UserError
from vultus.nn.jaa import start_from
from vultus.systems.action_units.jaa_net import Config, JaaNet

SMALL = Config(aus=(1, 12, 25), unit=1, image_px=64)


def build(**changes: object) -> JaaNet:
    torch.manual_seed(0)
    system = JaaNet(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]
    system.trunk.align.start_at(small_batch()["landmarks"].mean(0))
    return system


def test_parameters_at_paper_size() -> None:
    assert sum(parameter.numel() for parameter in JaaNet(Config()).parameters()) == 22_162_854


def test_losses_carry_their_weights() -> None:
    """E = E_softmax + E_dice + 0.5 E_align + 1e-7 E_r with E_r summed over cells."""
    batch = small_batch()
    losses = build().losses(batch)
    assert list(losses) == ["softmax", "dice", "align", "refine"]
    twice = build(lambda_align=1.0, lambda_refine=2e-7).losses(batch)
    torch.testing.assert_close(twice["align"], 2 * losses["align"])
    torch.testing.assert_close(twice["refine"], 2 * losses["refine"])
    # 3 AUs x 16 x 16 cells, each at least the entropy of its target and about log 2 before training
    assert 3 * 256 * 0.05e-7 < losses["refine"] < 3 * 256 * 3e-7


def test_switches_remove_their_part() -> None:
    batch = small_batch()
    assert "dice" not in build(dice_mode="off").losses(batch)
    assert "align" not in build(use_align_loss=False).losses(batch)
    assert "refine" not in build(lambda_refine=0.0).losses(batch)
    assert "refine" not in build(attention="fixed").losses(batch)
    for changes in ({"use_global": False}, {"use_align_feat": False}, {"attention": "none"}, {"region": "plain"}):
        assert sum(p.numel() for p in build(**changes).parameters()) < sum(p.numel() for p in build().parameters())


def test_the_final_loss_reaches_every_part() -> None:
    """Other than in `jaa_hat_net`, the joint classifier teaches branches and refinement nets."""
    system = build()
    system.losses(small_batch())["softmax"].backward()
    for part in ("region", "align.features", "refine", "local", "whole"):
        module = system.trunk.get_submodule(part)
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters()), part
        assert any(p.grad.abs().sum() > 0 for p in module.parameters() if p.grad is not None), part
    assert system.trunk.align.landmarks.weight.grad is None


def test_not_coded_units_change_no_loss() -> None:
    system, batch = build().eval(), small_batch()
    masked = {**batch, "au_occurrence": torch.where(torch.arange(3) == 1, -1.0, batch["au_occurrence"])}
    two = build(aus=(1, 25)).losses({**batch, "au_occurrence": batch["au_occurrence"][:, [0, 2]]})
    assert torch.isfinite(system.losses(masked)["softmax"])
    assert system.losses({**batch, "au_occurrence": torch.full((4, 3), -1.0)})["softmax"] == 0
    assert two["softmax"] > 0


def test_start_from_a_network_for_other_action_units(tmp_path: Path) -> None:
    """DISFA from BP4D: shared parts and matching AUs are copied, AU25 takes AU23, AU9 and the classifier stay fresh."""
    donor = build(aus=(1, 12, 23))
    for parameter in donor.parameters():
        torch.nn.init.normal_(parameter)
    donor.save(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"aus": [1, 12, 23]}))
    fresh = JaaNet(dataclasses.replace(SMALL, aus=(12, 25, 9)))
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    start_from(fresh, str(tmp_path), (12, 25, 9))
    after, given = fresh.state_dict(), donor.state_dict()
    for target, source in (("region.0.conv", "region.0.conv"), ("whole.0", "whole.0"), ("align.hidden", "align.hidden"),
                           ("local.0.0", "local.1.0"), ("refine.1.0", "refine.2.0")):  # fmt: skip
        assert torch.equal(after[f"trunk.{target}.weight"], given[f"trunk.{source}.weight"]), target
    for kept in ("trunk.local.2.0.weight", "classifier.0.weight", "classifier.1.bias"):
        assert torch.equal(after[kept], before[kept]), kept


def test_start_from_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config.start_from: .*weights.safetensors is missing"):
        start_from(build(), str(tmp_path), SMALL.aus)
    wider = build(unit=2)
    safetensors.torch.save_file(wider.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"aus": [1, 12, 25]}))
    with pytest.raises(UserError, match="has other sizes"):
        start_from(build(), str(tmp_path), SMALL.aus)
