"""Losses of domain adaptation against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from vultus.losses.domain import domain_adversarial, entropy, entropy_weights, reversal_strength


def test_entropy_of_sure_and_even_answers() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(entropy(p), torch.tensor([0.0, math.log(3)]))


def test_sure_items_weigh_more_and_no_gradient_flows() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], requires_grad=True)
    weight = entropy_weights(p)
    torch.testing.assert_close(weight, torch.tensor([8 / 7, 6 / 7]))
    assert not weight.requires_grad


def test_a_discriminator_that_knows_nothing_pays_two_log_two() -> None:
    nothing = torch.zeros(4)
    assert float(domain_adversarial(nothing, nothing)) == pytest.approx(2 * math.log(2))
    source, target = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.1])
    weights = torch.tensor([1.5, 0.5]), torch.tensor([0.2, 1.8])
    by_hand = -(weights[0] * source.sigmoid().log()).mean() - (weights[1] * (1 - target.sigmoid()).log()).mean()
    torch.testing.assert_close(domain_adversarial(source, target, *weights), by_hand)
    with pytest.raises(ValueError, match=r"expected \(B,\) logits"):
        domain_adversarial(source[:, None], target)


def test_the_reversal_grows_from_nothing_to_one() -> None:
    assert reversal_strength(0.0) == 0.0
    assert reversal_strength(0.5) == pytest.approx(0.98661, abs=1e-5)
    assert reversal_strength(1.0) == pytest.approx(0.99991, abs=1e-5)
