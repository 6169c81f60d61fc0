"""The performances against the published statistics that they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.world import performance
from vultus.world.muscles import AUS
from vultus.world.performance import COPULA_AUS, TASKS

BP4D_AUS = COPULA_AUS[:12]
BP4D_SD_OVER_PEOPLE = np.array([16.8, 16.5, 15.5, 14.2, 19.2, 18.4, 16.0, 17.3, 15.0, 14.1, 11.0, 10.7])


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """(people, tasks, T, 12) occurrence of a population as large as BP4D, half as long."""
    columns = [performance.column(au) for au in BP4D_AUS]
    people = []
    for person in range(41):
        rng = np.random.default_rng([11, person])
        habit = performance.habits(rng)
        clips = [performance.expression(task, habit, 250, rng) for task in TASKS]
        people.append([performance.occurrence(clip, speaking=False)[:, columns] for clip in clips])
    return np.array(people)


def test_base_rates_are_those_of_bp4d(labels: np.ndarray) -> None:
    wanted = performance.pooled_rates()[:12]
    assert np.abs(labels.mean(axis=(0, 1, 2)) - wanted).max() < 0.09


def test_tasks_differ_as_in_bp4d(labels: np.ndarray) -> None:
    by_task = labels.mean(axis=(0, 2))
    wanted = np.stack([performance.base_rates(task)[:12] for task in TASKS])
    assert np.corrcoef(by_task.ravel(), wanted.ravel())[0, 1] > 0.93


def test_base_rates_spread_over_people_as_in_bp4d(labels: np.ndarray) -> None:
    rates = 100 * labels.mean(axis=(1, 2))
    spread = rates.std(axis=0)
    assert np.all(spread > 0.5 * BP4D_SD_OVER_PEOPLE)
    assert np.all(spread < 1.6 * BP4D_SD_OVER_PEOPLE)
    assert abs(spread.mean() - BP4D_SD_OVER_PEOPLE.mean()) < 3.0


def test_co_occurrence_is_that_of_bp4d(labels: np.ndarray) -> None:
    phi = np.corrcoef(labels.reshape(-1, 12), rowvar=False)
    published = {pair: value for pair, value in performance._PHI.items() if set(pair) <= set(BP4D_AUS)}
    assert len(published) == 32
    errors = [phi[BP4D_AUS.index(i), BP4D_AUS.index(j)] - value for (i, j), value in published.items()]
    assert np.abs(errors).mean() < 0.06
    assert np.abs(errors).max() < 0.2


def test_runs_last_as_long_as_published() -> None:
    """Mean run in clips of BP4D's median length (490 frames), within a third of the published mean."""
    runs: dict[int, list[int]] = {au: [] for au in BP4D_AUS}
    for person in range(24):
        rng = np.random.default_rng([12, person])
        habit = performance.habits(rng)
        for task in TASKS:
            present = performance.occurrence(performance.expression(task, habit, 490, rng), speaking=False)
            for au in BP4D_AUS:
                edges = np.diff(np.concatenate([[0], present[:, performance.column(au)], [0]]))
                runs[au] += list(np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1))
    for au, lengths in runs.items():
        assert np.mean(lengths) == pytest.approx(performance._MEAN_RUN_FRAMES[au], rel=0.34), f"AU{au}"


def test_tetrachoric_against_sampling() -> None:
    rho = performance._tetrachoric(np.array([0.4]), np.array([0.2]), np.array([0.5]))[0]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(400_000)
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(400_000)
    assert np.corrcoef(x > np.quantile(x, 0.8), y > np.quantile(y, 0.5))[0, 1] == pytest.approx(0.4, abs=0.01)


def test_onset_is_smooth_and_offset_slower() -> None:
    pulse = np.zeros((150, 1))
    pulse[20:80] = 5.0
    followed = performance._onset_apex_offset(pulse, 25.0)[:, 0]
    assert np.abs(np.diff(followed)).max() < 0.9
    assert followed[79] > 4.95
    assert followed[149] < 0.05
    rise = np.flatnonzero(followed > 4.5)[0] - 20
    fall = np.flatnonzero(followed[80:] < 0.5)[0]
    assert 5 < rise < fall < 25


def test_intensity_never_leaves_the_scale_and_pressed_lips_are_closed() -> None:
    rng = np.random.default_rng(3)
    for task in TASKS:
        clip = performance.expression(task, performance.habits(rng), 300, rng)
        assert clip.min() >= 0
        assert clip.max() <= 5
        pressed = clip[:, performance.column(24)] >= 2
        assert clip[pressed][:, performance.column(25)].max(initial=0) == 0


def test_occurrence_threshold() -> None:
    intensity = np.zeros((2, len(AUS)), np.float32)
    intensity[:, performance.column(12)] = [1.9, 2.0]
    intensity[:, performance.column(25)] = [0.9, 1.0]
    still = performance.occurrence(intensity, speaking=False)
    talking = performance.occurrence(intensity, speaking=True)
    assert still[:, performance.column(12)].tolist() == [0, 1]
    assert still[:, performance.column(25)].tolist() == [0, 0]
    assert talking[:, performance.column(12)].tolist() == [0, 1]
    assert talking[:, performance.column(25)].tolist() == [0, 1]


def test_speech_keeps_closed_lips_closed_and_articulators_to_the_phones() -> None:
    visemes = np.zeros((4, len(AUS)), np.float32)
    visemes[:, performance.column(25)] = [0.0, 0.5, 2.0, 3.0]
    visemes[:2, performance.column(24)] = 3.0
    smile = np.zeros_like(visemes)
    for au, level in ((12, 3.0), (25, 4.0), (10, 2.0), (26, 3.0), (1, 2.5)):
        smile[:, performance.column(au)] = level
    both = performance.add_speech(smile, visemes)
    np.testing.assert_allclose(both[:, performance.column(25)], visemes[:, performance.column(25)])
    np.testing.assert_allclose(both[:, performance.column(26)], 0.0)
    np.testing.assert_allclose(both[:, performance.column(10)], [0.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(both[:, performance.column(1)], 2.5)
    with pytest.raises(ValueError, match="same shape"):
        performance.add_speech(smile[:2], visemes)


def test_acted_emotions_show_their_prototype() -> None:
    rng = np.random.default_rng(4)
    for emotion, prototype in performance.PROTOTYPES.items():
        always = [au for au, share in prototype.items() if share == 1.0]
        never = set(AUS) - set(prototype)
        clip = performance.emotional_expression(emotion, 75, rng)
        if 24 not in prototype:
            assert all(clip[40:, performance.column(au)].mean() > 1.4 for au in always), emotion
        assert all(clip[:, performance.column(au)].max() == 0 for au in never), emotion


def test_blinks_come_at_the_rate_of_people_at_rest_and_close_the_eyes() -> None:
    count, seconds = 0, 0.0
    for clip in range(40):
        closed = performance.blinks(750, np.random.default_rng(clip))
        assert closed.min() >= 0
        assert closed.max() <= 5
        shut = closed > 3.5
        starts = np.flatnonzero(np.diff(shut.astype(int)) == 1)
        count += len(starts)
        seconds += 30
    assert 12 < 60 * count / seconds < 22
    assert closed.max() > 4


def test_gaze_and_pose_move_as_little_as_people_do() -> None:
    eyes = np.concatenate([performance.gaze(250, np.random.default_rng(i)) for i in range(30)])
    assert eyes.std(axis=0) == pytest.approx([0.1, 0.05], abs=0.05)
    poses = np.stack([performance.head_pose(250, np.random.default_rng(i)) for i in range(60)])
    held = poses.mean(axis=1).std(axis=0)
    assert held[1] == pytest.approx(0.16, abs=0.05)
    assert held[1] > held[0] > held[2]
    per_second = np.abs(np.diff(poses, axis=1)).max() * 25
    assert per_second < 4.0


def test_same_generator_same_performance() -> None:
    one, two = (performance.expression("T3", np.zeros(len(COPULA_AUS)), 40, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_performance_checks_its_shapes() -> None:
    with pytest.raises(ValueError, match="expected shapes"):
        performance.Performance(
            np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), np.zeros((3, 6), np.float32)
        )
