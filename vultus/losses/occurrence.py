"""Losses for the presence of several labels at once, some of them rare, some not coded.

Formulas: Shao et al., "Deep Adaptive Attention for Joint Facial Action Unit Detection and Face Alignment", ECCV 2018,
section 3.4. Shapes: B batch, A labels. A target is 1 present, 0 absent, negative where it was not coded; means run over
the coded entries, and a label without any in the batch contributes 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

DiceMode = Literal["sample", "batch", "legacy", "off"]
DICE_SMOOTHING = 1.0


def occurrence_weights(rate: Tensor) -> Tensor:
    """Weights that balance labels against each other: ``w_i = A (1/r_i) / sum_j (1/r_j)``; they sum to A.

    Example: rates .5 and .25 give 2/3 and 4/3.

    Args:
        rate: (A,), share of training rows in which a label is present; at least one row's share is assumed.

    Returns:
        (A,), positive.
    """
    inverse = 1 / rate
    return len(rate) * inverse / inverse.sum()


def cross_entropy(log_probability: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """E_softmax: ``-(1/A) sum_i w_i [p log q + (1-p) log(1-q)]``, the mean over the coded rows of each label.

    Args:
        log_probability: (B, 2, A), of absence and of presence.
        target: (B, A).
        weight: (A,).

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: shapes do not fit.
    """
    if log_probability.shape != (target.shape[0], 2, target.shape[1]):
        raise ValueError(f"expected (B, 2, A) for targets {tuple(target.shape)}, got {tuple(log_probability.shape)}")
    present = (target > 0).to(log_probability.dtype)
    value = -(present * log_probability[:, 1] + (1 - present) * log_probability[:, 0])
    return (weight * _mean_over_coded(value, target)).mean()


def dice(probability: Tensor, target: Tensor, weight: Tensor, mode: DiceMode = "sample") -> Tensor:
    """E_dice: ``(1/A) sum_i w_i (1 - (2 p q + e) / (p^2 + q^2 + e))`` with e = 1.

    Modes: ``sample`` takes the fraction row by row and averages (the paper); ``batch`` sums p q, p^2 and q^2 over the
    batch inside one fraction; ``legacy`` also divides that fraction by the batch size, a slip of the released PyTorch
    code which weakens the gradient B-fold, kept for comparison; ``off`` is 0.

    Example: p = 1, q = 0.5 in one row: 1 - 2/2.25 = 1/9.

    Args:
        probability: (B, A), of presence, in 0..1.
        target: (B, A).
        weight: (A,).
        mode: see above.

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: shapes differ.
    """
    if probability.shape != target.shape:
        raise ValueError(f"expected equal (B, A) shapes, got {tuple(probability.shape)} and {tuple(target.shape)}")
    if mode == "off":
        return probability.new_zeros(())
    present, coded = (target > 0).to(probability.dtype), target >= 0
    overlap, squares = 2 * present * probability, present**2 + probability**2
    if mode == "sample":
        fraction = (overlap + DICE_SMOOTHING) / (squares + DICE_SMOOTHING)
        return (weight * _mean_over_coded(1 - fraction, target)).mean()
    fraction = ((overlap * coded).sum(0) + DICE_SMOOTHING) / ((squares * coded).sum(0) + DICE_SMOOTHING)
    if mode == "legacy":
        fraction = fraction / len(target)
    return (weight * torch.where(coded.any(0), 1 - fraction, 0)).mean()


def _mean_over_coded(value: Tensor, target: Tensor) -> Tensor:
    """Mean of (B, A) over the rows where the target is coded: (A,), 0 where none is."""
    coded = (target >= 0).to(value.dtype)
    return (value * coded).sum(0) / coded.sum(0).clamp(min=1)
