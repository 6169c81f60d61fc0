from __future__ import annotations

import math

import pytest
import torch

from vultus.losses.alignment import landmark_loss, refinement_loss


def test_landmark_loss_by_hand() -> None:
    target = torch.zeros(2, 3, 2)
    prediction = target.clone()
    prediction[0, 1] = torch.tensor([3.0, 4.0])
    loss = landmark_loss(prediction, target, torch.tensor([5.0, 60.0]))
    assert float(loss) == pytest.approx(25 / (2 * 25) / 2)


def test_the_eye_distance_enters_squared_once() -> None:
    """The released list files hold its square; taking that for the distance makes the loss d^2 times too small."""
    prediction, target, d = torch.rand(4, 49, 2) * 90, torch.rand(4, 49, 2) * 90, torch.full((4,), 60.0)
    right, slip = landmark_loss(prediction, target, d), landmark_loss(prediction, target, d**2)
    assert float(right / slip) == pytest.approx(3600, rel=1e-4)


def test_absent_points_add_nothing_and_no_nan_flows_back() -> None:
    target = torch.zeros(1, 2, 2)
    target[0, 1] = torch.nan
    prediction = torch.ones(1, 2, 2, requires_grad=True)
    loss = landmark_loss(prediction, target, torch.ones(1))
    assert loss.item() == 1.0
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert gradient.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]


def test_refinement_loss_sums_over_cells_and_units() -> None:
    refined, drawn = torch.full((2, 3, 4, 4), 0.5), torch.zeros(2, 3, 4, 4)
    assert float(refinement_loss(refined, drawn)) == pytest.approx(3 * 16 * math.log(2), rel=1e-5)


def test_saturated_maps_give_finite_losses_and_gradients() -> None:
    refined = torch.tensor([0.0, 1.0, 1.0, 0.0]).reshape(1, 1, 2, 2).requires_grad_()
    loss = refinement_loss(refined, torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 2, 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert refined.grad is not None
    assert torch.isfinite(refined.grad).all()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="expected equal"):
        landmark_loss(torch.zeros(2, 98), torch.zeros(2, 98), torch.ones(2))
    with pytest.raises(ValueError, match="expected equal"):
        refinement_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 5, 5))
