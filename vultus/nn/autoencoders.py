"""Denoising auto-encoders of small grey pictures: a few numbers for each, from which it can be drawn again.

B pictures of H x W in 0..1. Noise is put on the input by the caller; the loss compares with the clean picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class DenseAutoencoder(nn.Module):
    """Fully connected, sigmoid hidden units, linear code and linear output."""

    def __init__(self, shape: tuple[int, int], hidden: Sequence[int], code: int) -> None:
        super().__init__()
        self.shape = shape
        sizes = [shape[0] * shape[1], *hidden]
        down = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.Sigmoid())]
        up = [layer for a, b in pairwise([code, *reversed(hidden)]) for layer in (nn.Linear(a, b), nn.Sigmoid())]
        self.encoder = nn.Sequential(nn.Flatten(), *down, nn.Linear(sizes[-1], code))
        self.decoder = nn.Sequential(*up, nn.Linear(hidden[0] if hidden else code, sizes[0]), nn.Unflatten(1, shape))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, H, W) -> (B, H, W)."""
        drawn: Tensor = self.decoder(self.encoder(pictures))
        return drawn


class ConvolutionalAutoencoder(nn.Module):
    """Two strided convolutions, a linear code, and their mirror; H and W must be multiples of 4."""

    def __init__(self, shape: tuple[int, int], hidden: Sequence[int], code: int) -> None:
        super().__init__()
        if shape[0] % 4 or shape[1] % 4:
            raise ValueError(f"height and width must be multiples of 4, not {shape}")
        small, width = (16, shape[0] // 4, shape[1] // 4), hidden[-1]
        flat = small[0] * small[1] * small[2]
        self.encoder = nn.Sequential(
            nn.Unflatten(1, (1, shape[0])), nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Linear(width, code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, width), nn.ReLU(), nn.Linear(width, flat), nn.ReLU(), nn.Unflatten(1, small),
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Flatten(1, 2),
        )  # fmt: skip

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, H, W) -> (B, H, W)."""
        drawn: Tensor = self.decoder(self.encoder(pictures))
        return drawn


def speckled(pictures: Tensor, strength: float) -> Tensor:
    """Pictures times (1 + noise), noise normal with this standard deviation, drawn from torch's generator."""
    return (pictures * (1 + strength * torch.randn_like(pictures))).clamp(0, 1)
