from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vultus.losses.occurrence import cross_entropy, dice, occurrence_weights

ONE = torch.ones(1)


def log_probability(present: Tensor) -> Tensor:
    return torch.stack([(1 - present).log(), present.log()], dim=1)


def test_weights_of_published_rates() -> None:
    """BP4D, folds 1 and 2: the weights that the authors publish, from the rates of those people."""
    frames = torch.tensor([50601.0, 50166.0])
    rates = torch.tensor([
        [16.4, 16.1, 19.9, 41.6, 59.0, 57.6, 55.8, 40.0, 15.1, 31.8, 15.8, 14.0],
        [20.4, 13.1, 19.7, 46.5, 55.1, 55.7, 52.2, 51.3, 20.0, 36.6, 17.3, 15.7],
    ])  # fmt: skip
    rate = (frames[:, None] * rates).sum(0) / frames.sum() / 100
    published = torch.tensor([1.343, 1.690, 1.248, 0.561, 0.433, 0.436, 0.457, 0.541, 1.408, 0.723, 1.493, 1.667])
    weights = occurrence_weights(rate)
    assert weights.sum() == pytest.approx(12)
    torch.testing.assert_close(weights, published, atol=0.012, rtol=0)


def test_cross_entropy_by_hand() -> None:
    probability, target = torch.tensor([[0.8, 0.3], [0.4, 0.9]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weight = torch.tensor([0.5, 1.5])
    first = -(math.log(0.8) + math.log(0.6)) / 2
    second = -(math.log(0.7) + math.log(0.9)) / 2
    loss = cross_entropy(log_probability(probability), target, weight)
    assert float(loss) == pytest.approx((0.5 * first + 1.5 * second) / 2, rel=1e-6)


def test_entries_that_are_not_coded_add_nothing_and_get_no_gradient() -> None:
    probability = torch.tensor([[0.8, 0.3], [0.4, 0.9]], requires_grad=True)
    masked = torch.tensor([[1.0, -1.0], [-1.0, -1.0]])
    for loss in (
        cross_entropy(log_probability(probability), masked, torch.ones(2)),
        dice(probability, masked, torch.ones(2)),
        dice(probability, masked, torch.ones(2), "batch"),
    ):
        (gradient,) = torch.autograd.grad(loss, probability)
        assert (gradient != 0).tolist() == [[True, False], [False, False]]
    alone = cross_entropy(log_probability(torch.tensor([[0.8]])), torch.ones(1, 1), ONE)
    assert float(cross_entropy(log_probability(probability), masked, torch.ones(2))) == pytest.approx(float(alone) / 2)


def test_dice_of_one_row() -> None:
    assert float(dice(torch.tensor([[0.5]]), torch.tensor([[1.0]]), ONE)) == pytest.approx(1 - 2 / 2.25)
    assert float(dice(torch.tensor([[1.0]]), torch.tensor([[1.0]]), ONE)) == pytest.approx(0)


def test_dice_modes_differ_as_described() -> None:
    p, y = torch.tensor([[0.5], [0.2], [0.9]]), torch.tensor([[1.0], [0.0], [1.0]])
    overlap, squares = 2 * (0.5 + 0.9), (1 + 0.25) + 0.04 + (1 + 0.81)
    fraction = (overlap + 1) / (squares + 1)
    assert float(dice(p, y, ONE, "batch")) == pytest.approx(1 - fraction, rel=1e-6)
    assert float(dice(p, y, ONE, "legacy")) == pytest.approx(1 - fraction / 3, rel=1e-6)
    rows = [1 - 2 / 2.25, 1 - 1 / 1.04, 1 - 2.8 / 2.81]
    assert float(dice(p, y, ONE, "sample")) == pytest.approx(sum(rows) / 3, rel=1e-6)
    assert float(dice(p, y, ONE, "off")) == 0


def test_the_released_slip_weakens_the_gradient_by_the_batch_size() -> None:
    p, y = torch.rand(8, 3, requires_grad=True), (torch.rand(8, 3) > 0.5).float()
    right, slip = (torch.autograd.grad(dice(p, y, torch.ones(3), mode), p)[0] for mode in ("batch", "legacy"))
    torch.testing.assert_close(slip, right / 8)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 2, A\)"):
        cross_entropy(torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(3))
    with pytest.raises(ValueError, match="expected equal"):
        dice(torch.zeros(4, 3), torch.zeros(4, 2), torch.ones(3))
