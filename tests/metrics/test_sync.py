from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vultus.metrics.sync import shift_distances, sync_scores


def circle(n: int, turns: float = 1.0) -> Tensor:
    """Points that go evenly round a unit circle: two that are k apart have distance 2 sin(pi k turns / n)."""
    angle = torch.arange(n, dtype=torch.float64) * (2 * torch.pi * turns / n)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_closed_form_on_a_circle() -> None:
    points = circle(60)
    distances = shift_distances(points, points, max_shift=4)
    chords = [2 * torch.sin(torch.tensor(torch.pi * k / 60, dtype=torch.float64)).item() for k in (4, 3, 2, 1, 0)]
    assert distances.tolist() == pytest.approx(chords + chords[3::-1], abs=1e-7)
    scores = sync_scores(points, points, max_shift=4)
    assert scores.distance == pytest.approx(0, abs=1e-7)
    assert scores.confidence == pytest.approx(chords[2], abs=1e-7)
    assert scores.offset_frames == 0


@pytest.mark.parametrize("late", [-3, 0, 2, 5])
@pytest.mark.parametrize("valid_only", [True, False])
def test_late_sound_gives_a_negative_offset(late: int, valid_only: bool) -> None:
    """A sound that is ``late`` frames late stands at the index i + late of its picture i."""
    track = torch.randn(80, 8, generator=torch.Generator().manual_seed(0))
    pictures, sounds = track[10:70], track[10 - late : 70 - late]
    assert sync_scores(pictures, sounds, valid_only=valid_only).offset_frames == -late


def test_padding_of_the_public_tool_against_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    visual, audio = torch.randn(7, 3, generator=generator), torch.randn(7, 3, generator=generator)
    for k, value in zip(range(-2, 3), shift_distances(visual, audio, 2, valid_only=False), strict=True):
        partners = [audio[i + k] if 0 <= i + k < 7 else torch.zeros(3) for i in range(7)]
        assert float(value) == pytest.approx(
            sum(float((v - a).norm()) for v, a in zip(visual, partners, strict=True)) / 7
        )


def test_valid_windows_are_those_with_all_partners() -> None:
    generator = torch.Generator().manual_seed(2)
    visual, audio = torch.randn(9, 3, generator=generator), torch.randn(9, 3, generator=generator)
    for k, value in zip(range(-2, 3), shift_distances(visual, audio, 2), strict=True):
        assert float(value) == pytest.approx(sum(float((visual[i] - audio[i + k]).norm()) for i in range(2, 7)) / 5)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, d\) alike"):
        shift_distances(torch.zeros(40, 3), torch.zeros(40, 4))
    with pytest.raises(ValueError, match="30 windows are too few"):
        shift_distances(torch.zeros(30, 3), torch.zeros(30, 3))
