from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from vultus.losses.adversarial import discriminator_loss, generator_loss


def test_an_undecided_discriminator() -> None:
    zeros = torch.zeros(2, 1, 3, 3)
    assert float(discriminator_loss(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(zeros)) == pytest.approx(math.log(2))


def test_they_are_the_binary_cross_entropies_of_real_and_fake() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    entropy = functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(discriminator_loss(real, fake), entropy(real, ones) + entropy(fake, zeros))
    torch.testing.assert_close(generator_loss(fake), entropy(fake, ones))
