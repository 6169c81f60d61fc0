"""How close generated frames are to true ones, pixel by pixel.

Pictures are (N, C, H, W) in 0..1; every score is of one picture, and means over frames are taken by the caller. So the
PSNR of a clip is the mean of its frames' PSNR, not that of their mean error.
"""

from __future__ import annotations

import torch
from torch import Tensor

PSNR_CEILING_DB = 100.0
"""Of equal pictures, whose PSNR would be infinite and would swallow every mean."""


def psnr(generated: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio ``-10 log10(MSE)`` over all pixels and channels.

    Example: pictures that differ by 0.1 everywhere have 20 dB.

    Args:
        generated: (N, C, H, W) in 0..1.
        truth: the same shape and range.

    Returns:
        (N,) dB, at most `PSNR_CEILING_DB`.

    Raises:
        ValueError: shapes differ or are not (N, C, H, W).
    """
    _check(generated, truth)
    error = (generated.double() - truth.double()).square().mean(dim=(1, 2, 3))
    return (-10 * torch.log10(error.clamp(min=10 ** (-PSNR_CEILING_DB / 10)))).float()


def ssim(generated: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al., IEEE TIP 2004): Gaussian window 11x11, sigma 1.5, K = 0.01 and 0.03.

    Per channel, then the mean; beyond its border the picture is mirrored. torchmetrics computes it. Other windows and
    data ranges give other numbers: skimage's default window is 7x7 and uniform.

    Args:
        generated: (N, C, H, W) in 0..1, sides of at least 11.
        truth: the same shape and range.

    Returns:
        (N,) in -1..1; 1 for equal pictures.

    Raises:
        ValueError: shapes differ, are not (N, C, H, W), or a side is shorter than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure  # seconds to import

    _check(generated, truth)
    if min(generated.shape[-2:]) < 11:
        raise ValueError(f"the window is 11x11, the pictures are {generated.shape[-2]}x{generated.shape[-1]}")
    # With the channels last and in float32, the CPU needs a thirtieth of the time that it needs in float64.
    generated, truth = (x.float().contiguous(memory_format=torch.channels_last) for x in (generated, truth))
    value = structural_similarity_index_measure(
        generated, truth, gaussian_kernel=True, sigma=1.5, kernel_size=11, data_range=1.0, reduction="none"
    )
    assert isinstance(value, Tensor)
    return value.reshape(len(generated)).float()


def _check(generated: Tensor, truth: Tensor) -> None:
    if generated.shape != truth.shape or generated.ndim != 4:
        raise ValueError(f"expected two (N, C, H, W) tensors, got {tuple(generated.shape)} and {tuple(truth.shape)}")
