"""The LPIPS formula against a loop over places, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vultus.metrics.perceptual import perceptual_distance, unit_channels


def _stages(seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 4, 3, 5, generator=rng), torch.randn(2, 6, 2, 2, generator=rng)]


def test_one_place_gives_the_example() -> None:
    f, g = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    assert perceptual_distance([f], [g], [torch.ones(2)]).item() == pytest.approx(2.0)


def test_agrees_with_a_loop_over_stages_and_places() -> None:
    first, second, weights = _stages(0), _stages(1), [torch.rand(4), torch.rand(6)]
    expected = np.zeros(2)
    for f, g, w in zip(first, second, weights, strict=True):
        a, b = f.double().numpy(), g.double().numpy()
        height, width = a.shape[2:]
        for n, y, x in np.ndindex(2, height, width):
            p, q = a[n, :, y, x], b[n, :, y, x]
            difference = p / np.linalg.norm(p) - q / np.linalg.norm(q)
            expected[n] += (w.double().numpy() * difference**2).sum() / (height * width)
    assert np.allclose(perceptual_distance(first, second, weights).numpy(), expected, atol=1e-5)


def test_equal_pictures_are_at_zero_and_the_distance_is_symmetric() -> None:
    first, second, weights = _stages(0), _stages(1), [torch.ones(4), torch.ones(6)]
    assert torch.equal(perceptual_distance(first, first, weights), torch.zeros(2))
    assert torch.allclose(perceptual_distance(first, second, weights), perceptual_distance(second, first, weights))


def test_the_length_of_a_channel_vector_does_not_matter() -> None:
    first, second, weights = _stages(0), _stages(1), [torch.ones(4), torch.ones(6)]
    brighter = [7 * f for f in first]
    assert torch.allclose(
        perceptual_distance(first, second, weights), perceptual_distance(brighter, second, weights), atol=1e-5
    )
    assert torch.equal(unit_channels(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))


def test_wrong_stages_are_told() -> None:
    first, weights = _stages(0), [torch.ones(4), torch.ones(6)]
    with pytest.raises(ValueError, match="as many stages"):
        perceptual_distance(first, first[:1], weights)
    with pytest.raises(ValueError, match="weights"):
        perceptual_distance(first, first, weights[::-1])
