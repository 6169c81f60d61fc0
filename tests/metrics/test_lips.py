from __future__ import annotations

import numpy as np
import pytest

from vultus.metrics.lips import MOUTH, correlation, eye_distance, lmd, mouth_opening, squared_au_error


def face(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 10, (n, 68, 2))


def test_a_moved_mouth_has_no_landmark_distance() -> None:
    truth = face()
    moved = truth.copy()
    moved[:, MOUTH] += (5.0, -3.0)
    np.testing.assert_allclose(lmd(moved, truth), 0, atol=1e-12)


def test_landmark_distance_of_a_wider_mouth() -> None:
    truth = np.zeros((2, 68, 2))
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    truth[:, MOUTH] = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 4
    wider = truth * 1.25
    np.testing.assert_allclose(lmd(wider, truth), 1.0)


def test_landmark_distance_ignores_the_rest_of_the_face() -> None:
    truth = face()
    other = truth.copy()
    other[:, :48] += 100
    np.testing.assert_allclose(lmd(other, truth), 0, atol=1e-12)


def test_mouth_opening_and_eye_distance() -> None:
    points = np.zeros((1, 68, 2))
    points[0, [61, 62, 63], 1], points[0, [67, 66, 65], 1] = 10, (12, 13, 14)
    points[0, 42:48, 0] = 30
    assert mouth_opening(points).tolist() == [3.0]
    assert eye_distance(points).tolist() == [30.0]


def test_squared_au_error() -> None:
    np.testing.assert_allclose(squared_au_error(np.array([[0.0, 5.0]]), np.array([[2.0, 4.0]])), [[4.0, 1.0]])


def test_correlation_of_courses() -> None:
    course = np.array([0.0, 1.0, 3.0, 2.0])
    assert correlation(course, 2 * course + 1) == pytest.approx(1.0)
    assert correlation(course, -course) == pytest.approx(-1.0)
    assert correlation(course, np.ones(4)) == 0.0
    assert correlation(course, course[::-1]) == pytest.approx(np.corrcoef(course, course[::-1])[0, 1])


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected two \(N, 68, 2\) arrays, got \(3, 68, 2\) and \(2, 68, 2\)"):
        lmd(face(3), face(2))
    with pytest.raises(ValueError, match="expected equal"):
        squared_au_error(np.zeros((1, 2)), np.zeros((1, 3)))
