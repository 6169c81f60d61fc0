from __future__ import annotations

import math

import pytest
import torch

from vultus.losses.au import speech_au_loss


def test_the_example_of_the_docstring() -> None:
    value = speech_au_loss(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), torch.ones(1))
    assert float(value) == pytest.approx(math.log(2) + 0.2)


def test_against_the_published_formula() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(40, 3), (torch.rand(40, 3) < 0.3).float()
    q, expected = logits.sigmoid(), 0.0
    for k in range(3):
        p, y = q[:, k], target[:, k]
        entropy = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
        overlap = 1 - (2 * (p * y).sum() + 1) / ((p**2).sum() + (y**2).sum() + 1)
        expected += float(entropy + overlap) / 3
    assert float(speech_au_loss(logits, target, torch.ones(3))) == pytest.approx(expected, rel=1e-5)


def test_frames_that_are_not_coded_count_for_nothing() -> None:
    logits, target = torch.tensor([[1.0], [-2.0]]), torch.tensor([[1.0], [0.0]])
    more, unknown = torch.cat([logits, torch.full((3, 1), 9.0)]), torch.cat([target, torch.full((3, 1), -1.0)])
    weight = torch.ones(1)
    torch.testing.assert_close(speech_au_loss(more, unknown, weight), speech_au_loss(logits, target, weight))


def test_a_positive_weight_pushes_towards_present() -> None:
    logits, target = torch.zeros(4, 1, requires_grad=True), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    light, heavy = (
        torch.autograd.grad(speech_au_loss(logits, target, torch.tensor([weight])), logits)[0][0, 0]
        for weight in (1.0, 5.0)
    )
    assert heavy < light < 0


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="expected equal"):
        speech_au_loss(torch.zeros(2, 1), torch.zeros(2, 3), torch.ones(1))
