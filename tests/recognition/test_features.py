from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from vultus.recognition.features import block_dct, delta_projection, resample_frames, windows


@pytest.mark.parametrize(("dim", "block"), [(5, (1, 5)), (10, (2, 5)), (20, (4, 5)), (30, (5, 6))])
def test_the_corner_is_that_of_the_whole_transform(dim: int, block: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 24, 32), np.uint8)
    whole = scipy.fft.dctn(pictures / 255, axes=(1, 2), norm="ortho")
    expected = whole[:, : block[0], : block[1]].reshape(3, dim)
    np.testing.assert_allclose(block_dct(pictures, dim), expected, atol=1e-4)


def test_deltas_of_a_parabola() -> None:
    """x = t^2: its slope is 2 t, the slope of that is 2, by a regression that is exact for both."""
    x = (np.arange(20.0) ** 2)[:, None]
    projected = windows(x, 4).reshape(20, -1) @ delta_projection(1).T
    np.testing.assert_allclose(projected[4:-4, 0], x[4:-4, 0])
    np.testing.assert_allclose(projected[4:-4, 1], 2 * np.arange(4, 16), atol=1e-9)
    np.testing.assert_allclose(projected[4:-4, 2], 2, atol=1e-9)


def test_windows_repeat_the_ends() -> None:
    x = np.arange(3.0)[:, None]
    np.testing.assert_array_equal(windows(x, 2)[:, :, 0], [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]])


def test_frames_between_frames_lie_on_the_line() -> None:
    x = ((np.arange(12) + 0.5) / 60)[:, None]
    fine = resample_frames(x, 60, 100)
    assert len(fine) == 20
    np.testing.assert_allclose(fine[1:-1, 0], (np.arange(1, 19) + 0.5) / 100)
    assert resample_frames(x, 60, 60) is x
