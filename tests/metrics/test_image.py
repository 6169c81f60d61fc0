from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from vultus.metrics.image import PSNR_CEILING_DB, psnr, ssim


def pictures(n: int = 2, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    truth = rng.random((n, 3, size, size)).astype(np.float32)
    noisy = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)
    return torch.from_numpy(noisy), torch.from_numpy(truth)


def test_psnr_of_a_constant_difference() -> None:
    truth = torch.full((2, 3, 4, 4), 0.5)
    shown = truth + torch.tensor([0.1, 0.01])[:, None, None, None]
    torch.testing.assert_close(psnr(shown, truth), torch.tensor([20.0, 40.0]), atol=1e-4, rtol=0)


def test_psnr_of_equal_pictures_is_the_ceiling() -> None:
    truth = torch.rand(3, 3, 5, 5)
    assert psnr(truth, truth).tolist() == [PSNR_CEILING_DB] * 3


def reference_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, written out for one channel that is mirrored beyond its border."""
    kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def smooth(x: np.ndarray) -> np.ndarray:
        return np.asarray(correlate1d(correlate1d(x, kernel, axis=0, mode="mirror"), kernel, axis=1, mode="mirror"))

    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def test_ssim_is_the_formula_over_a_mirrored_picture() -> None:
    shown, truth = pictures()
    expected = [
        np.mean([reference_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(x, y, strict=True)])
        for x, y in zip(shown.numpy(), truth.numpy(), strict=True)
    ]
    np.testing.assert_allclose(ssim(shown, truth).numpy(), expected, atol=1e-4)


def test_ssim_of_equal_pictures_is_one_and_of_one_picture_has_one_value() -> None:
    _, truth = pictures(1)
    value = ssim(truth, truth)
    assert value.shape == (1,)
    assert value[0] == pytest.approx(1.0, abs=1e-5)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected two \(N, C, H, W\) tensors, got \(1, 3, 4, 4\) and \(2, 3, 4, 4\)"):
        psnr(torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match="the window is 11x11, the pictures are 8x20"):
        ssim(torch.zeros(1, 3, 8, 20), torch.zeros(1, 3, 8, 20))
