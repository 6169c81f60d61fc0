"""The two sides of an adversarial game with binary cross-entropy; a discriminator gives logits of "this is real".

Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, with the non-saturating loss of the generator. Logits
may have any shape (a patch each); the mean runs over all of them.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``-mean log D(real) - mean log(1 - D(fake))``; 2 log 2 where all logits are 0. ``fake`` should be detached."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """``-mean log D(fake)``; log 2 where all logits are 0."""
    return functional.softplus(-fake_logits).mean()
