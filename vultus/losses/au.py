"""The loss of speech-related action units: cross-entropy that may weigh positives, plus Dice over the whole batch.

Chen et al., "Talking Head Generation with Audio and Speech Related Facial Action Units", BMVC 2021; the form is that of
the group's released code for the same five units, with the Dice term written for probabilities. Targets are 1 present,
0 absent, negative where not coded.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vultus.losses.occurrence import dice


def speech_au_loss(logits: Tensor, target: Tensor, positive_weight: Tensor) -> Tensor:
    """``BCE + 1 - (2 sum(q y) + 1) / (sum(q^2) + sum(y^2) + 1)`` of each unit over its coded frames, mean over units.

    Example: one unit, logits 0, targets 1 and 0, weight 1: log 2 + 1 - (2 * 0.5 + 1) / (0.5 + 1 + 1) = log 2 + 0.2.

    Args:
        logits: (N, A), of presence; q is their logistic function.
        target: (N, A).
        positive_weight: (A,), weight of a present unit's cross-entropy; 1 for the published form.

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: shapes differ.
    """
    if logits.shape != target.shape:
        raise ValueError(f"expected equal (N, A) shapes, got {tuple(logits.shape)} and {tuple(target.shape)}")
    coded, present = (target >= 0).to(logits.dtype), (target > 0).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, present, pos_weight=positive_weight, reduction="none")
    mean = ((entropy * coded).sum(0) / coded.sum(0).clamp(min=1)).mean()
    return mean + dice(logits.sigmoid(), target, torch.ones_like(positive_weight), "batch")
