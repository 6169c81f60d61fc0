"""The part of a face crop in which speech is seen, and how it is varied while a judge learns.

The region is the lower half of the face and the middle three fifths of its columns, moved up by a twentieth of the
half side so that a raised head's lips stay inside: grey, 40 rows by 48 columns, from a crop of any size. All frames of
a clip go through one geometric change and one change of light, as a camera would make it.

Legend: B clips, T frames, S side of the face crop, H W = 40 48, K points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

HEIGHT_PX, WIDTH_PX = 40, 48
CENTRE = (0.0, 0.45)
"""x and y of the region's centre; the crop reaches from -1 to 1."""
HALF_SIZE = (0.6, 0.5)
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
LARGEST_PX = 112
"""Crops with a larger side are reduced first: the region's pixels would step over theirs."""


@dataclass(frozen=True)
class Jitter:
    """Ranges of the random changes."""

    shift: float = 0.10
    """Largest move of the region, in half sides of the crop."""
    scale: float = 0.15
    """Largest change of size, natural logarithm."""
    stretch: float = 0.08
    """Largest change of width against height, natural logarithm."""
    turn_rad: float = 0.10
    mirror: float = 0.5
    """Chance of a mirrored clip."""
    gamma: float = 0.4
    """Largest change of the light's gamma, natural logarithm."""
    noise: float = 0.08
    """Largest standard deviation of pixel noise, in standard deviations of the clip."""
    blur: float = 0.5
    """Chance of a blurred clip: a Gaussian of 0.3 to 1.2 px of the region, so that generated faces are not strange."""


@dataclass(frozen=True)
class Cut:
    """How the regions of B clips are cut out; `still` where they stand, `draw` with random changes."""

    affine: Tensor
    """(B, 2, 3): where a point of the region (-1..1) lies in the crop (-1..1)."""
    mirrored: Tensor
    """(B,) bool."""
    gamma: Tensor
    """(B,), 1 leaves the light."""
    blur_px: Tensor
    """(B,) standard deviation, 0 leaves the picture sharp."""
    noise: Tensor
    """(B,) standard deviation."""
    noise_seed: int = 0

    @classmethod
    def still(cls, n_clips: int) -> Cut:
        """The region in the middle, nothing changed."""
        zero = torch.zeros(n_clips)
        still = _affine(torch.zeros(n_clips, 2), torch.ones(n_clips, 2), zero, zero > 0)
        return cls(still, zero > 0, torch.ones(n_clips), zero, zero)

    @classmethod
    def draw(cls, n_clips: int, rng: np.random.Generator, jitter: Jitter) -> Cut:
        """Changes of each clip, drawn with ``rng`` alone."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.from_numpy(rng.uniform(low, high, (n_clips, *shape)).astype(np.float32))

        size = uniform(-jitter.scale, jitter.scale)
        stretch = uniform(-jitter.stretch, jitter.stretch) / 2
        mirrored = uniform(0, 1) < jitter.mirror
        affine = _affine(
            uniform(-jitter.shift, jitter.shift, 2),
            torch.stack([size + stretch, size - stretch], dim=1).exp(),
            uniform(-jitter.turn_rad, jitter.turn_rad),
            mirrored,
        )
        return cls(
            affine,
            mirrored,
            gamma=uniform(-jitter.gamma, jitter.gamma).exp(),
            blur_px=uniform(0.3, 1.2) * (uniform(0, 1) < jitter.blur),
            noise=uniform(0, jitter.noise),
            noise_seed=int(rng.integers(2**62)),
        )

    def regions(self, grey: Tensor) -> Tensor:
        """The regions, each clip brought to mean 0 and standard deviation 1.

        Args:
            grey: (B, T, S, S) in 0..255.

        Returns:
            (B, T, H, W) float32.
        """
        image = grey.float() / 255
        if image.shape[-1] > LARGEST_PX:
            image = functional.interpolate(image, size=(LARGEST_PX, LARGEST_PX), mode="area")
        where = functional.affine_grid(self.affine, [len(image), 1, HEIGHT_PX, WIDTH_PX], align_corners=False)
        region = functional.grid_sample(image, where, padding_mode="border", align_corners=False)
        region = _blurred(region.clamp(min=1e-3) ** self.gamma[:, None, None, None], self.blur_px)
        mean, deviation = region.mean(dim=(1, 2, 3), keepdim=True), region.std(dim=(1, 2, 3), keepdim=True)
        region = (region - mean) / (deviation + 1e-3)
        if bool(self.noise.any()):
            noise = torch.randn(region.shape, generator=torch.Generator().manual_seed(self.noise_seed))
            region = region + noise * self.noise[:, None, None, None]
        return region

    def points(self, crop: Tensor) -> Tensor:
        """Points of the crop in the region's coordinates; a mirrored clip's points keep their places in the list.

        Args:
            crop: (B, ..., 2), x and y in -1..1 of the crop.

        Returns:
            (B, ..., 2), -1..1 inside the region.
        """
        flat = crop.reshape(len(crop), -1, 2) - self.affine[:, None, :, 2]
        inside: Tensor = (flat @ torch.linalg.inv(self.affine[:, :, :2]).transpose(1, 2)).reshape(crop.shape)
        return inside


def grey_faces(face: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(..., S, S, 3) RGB to (..., S, S) grey."""
    return np.rint(face @ np.asarray(GREY, np.float32)).astype(np.uint8)


def _affine(shift: Tensor, scale: Tensor, turn_rad: Tensor, mirrored: Tensor) -> Tensor:
    half = torch.tensor(HALF_SIZE) * scale
    across = half[:, 0] * torch.where(mirrored, -1.0, 1.0)
    cos, sin, centre = turn_rad.cos(), turn_rad.sin(), torch.tensor(CENTRE) + shift
    x = torch.stack([cos * across, -sin * half[:, 1], centre[:, 0]], dim=1)
    y = torch.stack([sin * across, cos * half[:, 1], centre[:, 1]], dim=1)
    return torch.stack([x, y], dim=1)


def _blurred(region: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each clip by a Gaussian of its own width; those of width 0 stay as they are."""
    chosen = torch.nonzero(sigma_px > 0).flatten()
    if not len(chosen):
        return region
    offset = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offset / sigma_px[chosen, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(region.shape[1], dim=0)
    image = region[chosen].reshape(1, -1, *region.shape[2:])
    image = functional.pad(image, (3, 3, 3, 3), mode="replicate")
    image = functional.conv2d(image, kernel[:, None, None, :], groups=len(kernel))
    image = functional.conv2d(image, kernel[:, None, :, None], groups=len(kernel))
    result = region.clone()
    result[chosen] = image.reshape(len(chosen), *region.shape[1:])
    return result
