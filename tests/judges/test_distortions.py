"""Graded damage: stronger is further from the picture, the nature is kept, the picture itself is not touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vultus.judges.distortions import STRENGTHS, TAUGHT, UNSEEN, Nature, Picture, damaged, grade


def _picture(side: int = 80) -> Picture:
    noise = np.random.default_rng(0).integers(0, 256, (10, 10, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("kind", [*TAUGHT, *UNSEEN])
def test_stronger_damage_leaves_a_larger_error(kind: str) -> None:
    picture, nature = _picture(), Nature.draw(np.random.default_rng(1))
    before = picture.copy()
    copies = [damaged(picture, kind, strength, nature) for strength in STRENGTHS]
    assert all(copy.shape == picture.shape and copy.dtype == np.uint8 for copy in copies)
    errors = [float(((copy.astype(float) - picture) ** 2).mean()) for copy in copies]
    assert 0 < errors[0] < errors[1] < errors[2] < errors[3]
    assert np.array_equal(picture, before)
    assert np.array_equal(copies[1], damaged(picture, kind, 2.0, nature))


def test_shift_moves_by_the_table_and_scales_with_the_picture() -> None:
    nature = Nature(0.0, np.zeros(3), (0.5, 0.5), 0, 0)
    for side, moved_px in ((80, 4), (160, 8)):
        picture = _picture(side)
        moved = damaged(picture, "shift", 4.0, nature)
        assert np.array_equal(moved[:, moved_px:], picture[:, :-moved_px])


def test_patch_has_its_size_and_place() -> None:
    nature = Nature(0.0, np.zeros(3), (0.5, 0.5), 7, 0)
    hidden = (damaged(np.full((80, 80, 3), 200, np.uint8), "occlusion", 4.0, nature) == 7).all(axis=2)
    assert hidden.sum() == 40 * 40
    assert hidden[20:60, 20:60].all()


def test_a_shift_counts_a_quarter_and_unseen_damages_do_not_teach() -> None:
    assert (grade("blur", 3.0), grade("shift", 4.0)) == (3.0, 1.0)
    assert not set(TAUGHT) & set(UNSEEN)


def test_unknown_damage_and_wrong_pictures_are_told() -> None:
    nature = Nature.draw(np.random.default_rng(0))
    with pytest.raises(ValueError, match="'rust'"):
        damaged(_picture(), "rust", 1.0, nature)
    with pytest.raises(ValueError, match="uint8"):
        damaged(_picture().astype(np.float32), "blur", 1.0, nature)  # type: ignore[arg-type]
