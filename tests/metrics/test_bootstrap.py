from __future__ import annotations

import numpy as np
import pytest

from vultus.metrics.bootstrap import draws, interval, resample
from vultus.metrics.occurrence import Array


def mean(sums: Array) -> Array:
    return np.asarray(sums[..., 0] / sums[..., 1])


def test_each_resample_draws_as_many_people_as_there_are() -> None:
    drawn = draws(7, seed=1, resamples=50)
    assert (drawn.sum(axis=1) == 7).all()
    assert np.array_equal(drawn, draws(7, seed=1, resamples=50))


def test_one_resample_equals_the_metric_of_the_people_drawn() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=rng.integers(1, 9)) for _ in range(5)]
    sums = np.array([[g.sum(), len(g)] for g in groups])
    value, samples = resample([sums], mean, seed=3)
    assert value == pytest.approx(np.concatenate(groups).mean())
    counts = draws(5, seed=3)[17].astype(int)
    drawn = np.concatenate([g for g, times in zip(groups, counts, strict=True) for _ in range(times)])
    assert samples[17] == pytest.approx(drawn.mean())


def test_folds_are_scored_one_by_one_and_averaged() -> None:
    value, _ = resample([np.array([[2.0, 1.0]]), np.array([[4.0, 1.0], [6.0, 3.0]])], mean, seed=0)
    assert value == pytest.approx((2.0 + 10 / 4) / 2)


def test_the_interval_covers_a_known_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        people = rng.normal(size=(40, 1))
        _, samples = resample([np.concatenate([people, np.ones((40, 1))], axis=1)], mean, seed=trial)
        low, high = interval(samples)
        covered += bool(low <= 0 <= high)
    assert 0.88 <= covered / 200 <= 0.99


def test_resamples_without_a_value_do_not_count() -> None:
    samples = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    low, high = interval(samples)
    assert 0 <= low[0] < high[0] <= 1
    assert np.isnan(low[1])
    assert np.isnan(high[1])
