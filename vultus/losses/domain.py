"""Losses of domain adaptation: telling domains apart, and weighing items by how sure their prediction is.

Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015 (DANN); Long et al., "Conditional
Adversarial Domain Adaptation", NeurIPS 2018 (CDAN, CDAN+E). Shapes: B batch, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def entropy(probability: Tensor) -> Tensor:
    """``-sum_c p_c log p_c`` in nats; 0 log 0 is 0.

    Args:
        probability: (..., C), rows sum to 1.

    Returns:
        (...,), 0..log C.
    """
    value: Tensor = torch.special.entr(probability).sum(dim=-1)
    return value


def entropy_weights(probability: Tensor) -> Tensor:
    """CDAN+E: ``1 + exp(-H(p))``, scaled to sum B; sure items count more. No gradient flows through a weight.

    Example: rows (1, 0) and (1/2, 1/2) weigh 2 and 3/2 before, 8/7 and 6/7 after scaling.

    Args:
        probability: (B, C).

    Returns:
        (B,), positive, with mean 1.
    """
    weight = 1 + torch.exp(-entropy(probability.detach()))
    return weight * len(weight) / weight.sum()


def domain_adversarial(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None
) -> Tensor:
    """L_adv: ``-mean_s w_s log D(h_s) - mean_t w_t log(1 - D(h_t))``; below it stands a reversal of the gradient.

    Example: a discriminator that knows nothing (logits 0) pays 2 log 2.

    Args:
        source: (B,) logits of D on source items.
        target: (B,) logits of D on target items.
        source_weight: (B,); None = 1.
        target_weight: (B,); None = 1.

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: logits are not vectors.
    """
    if source.ndim != 1 or target.ndim != 1:
        raise ValueError(f"expected (B,) logits, got {tuple(source.shape)} and {tuple(target.shape)}")
    on_source, on_target = functional.softplus(-source), functional.softplus(target)
    if source_weight is not None:
        on_source = on_source * source_weight
    if target_weight is not None:
        on_target = on_target * target_weight
    return on_source.mean() + on_target.mean()


def reversal_strength(progress: float) -> float:
    """lambda(q) = ``2 / (1 + exp(-10 q)) - 1``: how strongly features fight the discriminator as the training goes on.

    Example: 0 at the start, 0.987 at the middle, 0.9999 at the end.

    Args:
        progress: q in 0..1.
    """
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0
