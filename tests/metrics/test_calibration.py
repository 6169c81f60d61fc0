from __future__ import annotations

import numpy as np
import pytest

from vultus.metrics.calibration import ece, reliability

P = np.array([0.05, 0.10, 0.15, 0.30, 0.35, 0.55, 0.60, 0.80, 0.90, 1.0])[:, None]
Y = np.array([0, 0, 1, 0, 1, 0, 1, 1, 1, 1])[:, None]


@pytest.mark.parametrize(("bins", "value"), [(5, 0.15), (10, 0.24)])
def test_vectors_computed_by_hand(bins: int, value: float) -> None:
    sums = reliability(P, Y, bins=bins).sum(axis=0)
    assert ece(sums)[0] == pytest.approx(value, abs=1e-12)


def test_bins_hold_their_counts() -> None:
    """Closed on the right: 0.6 lies in (0.4, 0.6], 0.8 in (0.6, 0.8]; 0 in the first, 1 in the last bin."""
    assert reliability(P, Y, bins=5)[0, 0, :, 0].tolist() == [3, 2, 2, 1, 2]
    edges = reliability(np.array([[0.0], [1.0]]), np.array([[0], [1]]), bins=15)[0, 0, :, 0]
    assert edges[0] == 1
    assert edges[-1] == 1
    assert edges.sum() == 2


def test_a_constant_predictor_at_the_base_rate_is_calibrated() -> None:
    y = np.array([[1], [0], [0], [0]])
    assert ece(reliability(np.full((4, 1), 0.25), y).sum(axis=0))[0] == pytest.approx(0)


def test_against_a_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.random((300, 3)), (rng.random((300, 3)) < 0.4).astype(float)
    y[rng.random(y.shape) < 0.2] = -1
    got = ece(reliability(p, y, rng.integers(0, 4, 300)).sum(axis=0))
    for k in range(3):
        coded, total = y[:, k] >= 0, 0.0
        for b in range(15):
            inside = coded & (p[:, k] > b / 15) & (p[:, k] <= (b + 1) / 15)
            if inside.any():
                total += inside.sum() / coded.sum() * abs(y[inside, k].mean() - p[inside, k].mean())
        assert got[k] == pytest.approx(total)


def test_probabilities_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1"):
        reliability(np.array([[1.2]]), np.array([[1]]))
