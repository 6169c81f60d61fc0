from __future__ import annotations

import cv2
import numpy as np
import pytest

from vultus.metrics.sharpness import cpbd, edge_widths


def stripes(size: int = 128, period: int = 32) -> np.ndarray:
    """Black and white stripes, upright."""
    row = np.where(np.arange(size) // (period // 2) % 2, 230, 20).astype(np.uint8)
    return np.tile(row, (size, 1))


def blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px))


def test_a_ramp_is_as_wide_as_it_rises() -> None:
    row = np.concatenate([np.full(20, 50), np.linspace(50, 200, 7).round(), np.full(20, 200)]).astype(np.uint8)
    widths = edge_widths(np.tile(row, (5, 1)))
    assert set(widths[2][widths[2] > 0]) == {6}


def test_falling_edges_count_as_rising_ones_do() -> None:
    row = np.concatenate([np.full(20, 200), [150, 100], np.full(20, 50)]).astype(np.uint8)
    widths = edge_widths(np.tile(row, (5, 1)))
    assert widths[2].max() == 3


def test_hard_steps_are_sharp_and_blurred_ones_are_not() -> None:
    sharp, soft = stripes(), blurred(stripes(), 4.0)
    assert cpbd(sharp) == 1.0
    assert cpbd(soft) == 0.0
    assert cpbd(np.concatenate([sharp, soft])) == pytest.approx(0.5)


def test_more_blur_is_tolerated_where_contrast_is_low() -> None:
    faint = (100 + (stripes() > 100) * 40).astype(np.uint8)
    ramp = cv2.blur(faint, (5, 1))  # each step rises over five pixels
    assert set(edge_widths(ramp)[64]) == {0, 5}
    assert cpbd(ramp) == 1.0
    assert cpbd(cv2.blur(stripes(), (5, 1))) == 0.0


def test_a_flat_picture_has_no_value() -> None:
    assert np.isnan(cpbd(np.full((64, 64), 128, np.uint8)))


def test_small_pictures_need_small_blocks() -> None:
    with pytest.raises(ValueError, match="at least 64x64, got"):
        cpbd(stripes(48))
    assert cpbd(stripes(48), block_px=16) == 1.0
