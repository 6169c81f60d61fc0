"""The contrastive loss against its example and a loop over pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from vultus.losses.metric_learning import supervised_contrastive


def test_example() -> None:
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    value = supervised_contrastive(rows, torch.tensor([0, 0, 1]), 1.0)
    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_agrees_with_a_loop_over_pairs() -> None:
    rows = functional.normalize(torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    label = [0, 1, 0, 2, 1, 0, 3]
    terms = []
    for i in range(7):
        scores = {a: math.exp(float(rows[i] @ rows[a]) / 0.2) for a in range(7) if a != i}
        partners = [p for p in scores if label[p] == label[i]]
        if partners:
            terms.append(sum(-math.log(scores[p] / sum(scores.values())) for p in partners) / len(partners))
    value = supervised_contrastive(rows, torch.tensor(label), 0.2)
    assert value.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_gradient_pulls_one_label_together() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]], requires_grad=True)
    supervised_contrastive(rows, torch.tensor([0, 0, 1]), 0.5).backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()
    with torch.no_grad():
        moved = rows - 0.1 * rows.grad
    assert (moved[0] @ moved[1]) > (rows[0] @ rows[1])


def test_no_partner_gives_zero_and_wrong_shapes_are_told() -> None:
    rows = torch.eye(3)
    assert supervised_contrastive(rows, torch.arange(3), 0.1).item() == 0.0
    with pytest.raises(ValueError, match=r"\(B, d\)"):
        supervised_contrastive(rows, torch.arange(2), 0.1)
