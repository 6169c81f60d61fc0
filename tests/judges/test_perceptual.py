"""The perceptual judge: a distance, what teaches it, and how its orders are counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from vultus.core.errors import UserError
from vultus.core.seeds import generator, seed_everything
from vultus.judges import JudgeFold
from vultus.judges.distortions import STRENGTHS
from vultus.judges.perceptual import Config, PerceptualJudge, order_scores

SMALL = Config(crop_px=32, widths=(4, 4, 8, 8, 8))


@pytest.fixture
def judge() -> PerceptualJudge:
    seed_everything(1)
    return PerceptualJudge(SMALL)


def _pictures(n: int = 3, side: int = 40) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_distance_is_zero_for_equal_pictures_symmetric_and_positive(judge: PerceptualJudge) -> None:
    first, second = _pictures(), _pictures().flip(0)
    assert torch.equal(judge.distance(first, first), torch.zeros(3))
    there, back = judge.distance(first, second), judge.distance(second, first)
    assert torch.allclose(there, back)
    assert there[0] > 0
    assert torch.allclose(judge.distance(first[:1], second[:1]), there[:1], atol=1e-6)


def test_any_size_is_measured_and_features_have_64_numbers(judge: PerceptualJudge) -> None:
    assert judge.distance(_pictures(2, 48), -_pictures(2, 48)).shape == (2,)
    assert judge.features(_pictures(5, 50)).shape == (5, 64)
    with pytest.raises(ValueError, match="expected equal"):
        judge.distance(_pictures(2), _pictures(3))


def test_weights_below_zero_count_as_zero(judge: PerceptualJudge) -> None:
    with torch.no_grad():
        for weight in judge.weights:
            weight.fill_(-1.0)
    assert torch.equal(judge.distance(_pictures(), -_pictures()), torch.zeros(3))


def test_a_batch_holds_faces_with_two_damages(judge: PerceptualJudge, people: JudgeFold) -> None:
    batch, again = (judge.teach(people, generator(1, "x"), 10) for _ in range(2))
    assert batch["reference"].shape == batch["lesser"].shape == batch["greater"].shape == (10, 3, 32, 32)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert (batch["lesser"] != batch["reference"]).flatten(1).any(dim=1).all()


def test_it_learns_the_order_of_damages(judge: PerceptualJudge, people: JudgeFold) -> None:
    optimiser = torch.optim.AdamW(judge.parameters(), lr=3e-3)
    choices = []
    for step in range(30):
        losses = judge.losses(judge.teach(people, generator(1, step), 8))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        choices.append(float(losses["choice"].detach()))
    assert set(losses) == {"choice", "identity", "au"}
    assert np.mean(choices[-8:]) < 0.8 * np.mean(choices[:4])
    assert all(torch.isfinite(parameter).all() for parameter in judge.parameters())


def test_orders_are_counted_pair_by_pair() -> None:
    grades = np.array([STRENGTHS, np.array(STRENGTHS) / 4, STRENGTHS])
    right = np.broadcast_to(grades, (2, 3, 4)) + 0.0
    scores = order_scores(right, right, grades, n_taught=2, shift=1)
    assert scores == {"Order": 1.0, "UnseenOrder": 1.0, "Cross": 1.0, "CrossPSNR": 1.0, "Shift": 1.0}
    wrong = right.copy()
    wrong[:, 1] += 10  # a shift is the worst of all for the squared error
    scores = order_scores(right, wrong, grades, n_taught=2, shift=1)
    assert (scores["Cross"], scores["CrossPSNR"]) == (1.0, 0.0)
    scores = order_scores(-right, right, grades, n_taught=2, shift=1)
    assert (scores["Order"], scores["UnseenOrder"], scores["Shift"]) == (0.0, 0.0, 0.0)


def test_published_networks_need_their_weights(judge: PerceptualJudge, people: JudgeFold) -> None:
    with pytest.raises(UserError, match="alex or vgg16"):
        judge.load_published(Path("lpips.safetensors"))
    asked = cast(PerceptualJudge, SimpleNamespace(config=Config(network="alex")))
    with pytest.raises(UserError, match="weights is null"):
        PerceptualJudge.prepare(asked, people)
