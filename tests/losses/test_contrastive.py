from __future__ import annotations

import math

import pytest
import torch

from vultus.losses.contrastive import info_nce


def test_closed_forms() -> None:
    alike = torch.nn.functional.normalize(torch.ones(5, 3), dim=1)
    assert float(info_nce(alike, alike, 7.0)) == pytest.approx(math.log(5), abs=1e-6)
    orthogonal = torch.eye(4)
    assert float(info_nce(orthogonal, orthogonal, 3.0)) == pytest.approx(math.log(1 + 3 * math.exp(-3)), abs=1e-6)


def test_both_directions_count() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.nn.functional.normalize(torch.randn(6, 3, generator=generator), dim=1) for _ in range(2))
    losses = []
    for a, b in ((left, right), (right, left)):
        for i in range(6):
            weights = [math.exp(4 * float(a[i] @ b[j])) for j in range(6)]
            losses.append(-math.log(weights[i] / sum(weights)))
    assert float(info_nce(left, right, 4.0)) == pytest.approx(sum(losses) / 12, abs=1e-5)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="alike"):
        info_nce(torch.zeros(3, 2), torch.zeros(4, 2), 1.0)
