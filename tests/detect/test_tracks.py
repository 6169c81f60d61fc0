from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.tracks import HELD_FRAMES, FaceTracks, overlap

SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])


def test_overlap_is_intersection_over_union() -> None:
    box = np.array([0.0, 0, 10, 10])
    assert overlap(box, box) == 1
    assert overlap(box, box + 5) == pytest.approx(25 / 175)
    assert overlap(box, box + 20) == 0
    assert overlap(np.zeros(4), np.zeros(4)) == 0


def test_faces_that_move_keep_their_numbers_whatever_their_order() -> None:
    tracks = FaceTracks()
    assert tracks.assign([SQUARE, SQUARE + 40]) == [0, 1]
    assert tracks.assign([SQUARE + 42, SQUARE + 2]) == [1, 0]
    assert tracks.assign([SQUARE + 4, SQUARE + 80, SQUARE + 44]) == [0, 2, 1]


def test_one_number_is_given_to_one_face_only() -> None:
    tracks = FaceTracks()
    tracks.assign([SQUARE])
    assert tracks.assign([SQUARE + 2, SQUARE + 1]) == [1, 0]


def test_a_face_is_held_through_a_gap_and_forgotten_after_a_long_one() -> None:
    tracks = FaceTracks()
    tracks.assign([SQUARE])
    for _ in range(HELD_FRAMES):
        assert tracks.assign([]) == []
    assert tracks.assign([SQUARE]) == [0]
    for _ in range(HELD_FRAMES + 1):
        tracks.assign([])
    assert tracks.assign([SQUARE]) == [1]
