"""A random batch with the shapes of the action unit family."""

from __future__ import annotations

import torch

from tests.face.toy import template
from vultus.core.system import Batch
from vultus.face.landmarks import biocular_distance, reduce_points


def small_batch(size: int = 4, image_px: int = 64, units: int = 3) -> Batch:
    random = torch.Generator().manual_seed(0)
    face = torch.from_numpy(template()).float() * image_px / 7 + image_px * torch.tensor([0.5, 0.32])
    landmarks = reduce_points(face.expand(size, 68, 2) + torch.randn(size, 1, 2, generator=random), 49)
    return {
        "image": torch.randn(size, 3, image_px, image_px, generator=random).clamp(-1, 1),
        "landmarks": landmarks,
        "biocular": biocular_distance(landmarks),
        "au_occurrence": (torch.rand(size, units, generator=random) > 0.5).float(),
        "row": torch.arange(size),
    }
