from __future__ import annotations

import numpy as np
import pytest
import torch

from vultus.judges.mouth import HEIGHT_PX, LARGEST_PX, WIDTH_PX, Cut, Jitter, grey_faces


def dots(x: float, y: float, clips: int, side: int = 80) -> torch.Tensor:
    """Dark faces with a bright round dot at (x, y) of -1..1."""
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    dot = torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * 0.05**2))
    return (20 + 200 * dot).expand(clips, 3, side, side)


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("side", [80, 200])
def test_points_move_with_the_picture(drawn: bool, side: int) -> None:
    jitter = Jitter(noise=0.0)
    cut = Cut.draw(6, np.random.default_rng(0), jitter) if drawn else Cut.still(6)
    region = cut.regions(dots(0.15, 0.3, 6, side))
    assert region.shape == (6, 3, HEIGHT_PX, WIDTH_PX)
    place = region[:, 0].flatten(1).argmax(dim=1)
    found = torch.stack([(place % WIDTH_PX + 0.5) * 2 / WIDTH_PX - 1, (place // WIDTH_PX + 0.5) * 2 / HEIGHT_PX - 1], 1)
    expected = cut.points(torch.tensor([0.15, 0.3]).expand(6, 1, 2))[:, 0]
    assert (found - expected).abs().max() < 0.06 + (0.04 if side > LARGEST_PX else 0)
    assert cut.mirrored.any() == drawn


def test_still_region_is_the_middle_of_the_lower_half() -> None:
    corners = Cut.still(1).points(torch.tensor([[[-0.6, -0.05], [0.6, 0.95], [0.0, 0.45]]]))[0]
    assert torch.allclose(corners, torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]), atol=1e-6)


def test_a_clip_has_mean_0_and_deviation_1_whatever_its_light() -> None:
    generator = torch.Generator().manual_seed(0)
    dim = torch.randint(10, 60, (2, 4, 80, 80), generator=generator)
    region = Cut.still(2).regions(dim)
    assert region.mean(dim=(1, 2, 3)).abs().max() < 1e-4
    assert (region.std(dim=(1, 2, 3)) - 1).abs().max() < 0.05
    assert torch.allclose(Cut.still(2).regions(3 * dim), region, atol=0.05)


def test_changes_are_a_function_of_the_generator() -> None:
    face = torch.randint(0, 255, (3, 2, 80, 80), generator=torch.Generator().manual_seed(1))
    one, other = (Cut.draw(3, np.random.default_rng(5), Jitter()).regions(face) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, Cut.draw(3, np.random.default_rng(6), Jitter()).regions(face))


def test_grey_weighs_colours_as_television_does() -> None:
    face = np.zeros((1, 2, 2, 3), np.uint8)
    face[0, 0, 0], face[0, 1, 1] = (255, 0, 0), (255, 255, 255)
    assert grey_faces(face).tolist() == [[[76, 0], [0, 255]]]
