"""Losses on landmarks and on attention maps of the JAA family (Shao et al., ECCV 2018, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def landmark_loss(prediction: Tensor, target: Tensor, eye_distance_px: Tensor) -> Tensor:
    """E_align: ``1 / (2 d^2) sum_j |y_j - t_j|^2``, summed over points, mean over the batch.

    Example: one point, 3 px off, at d = 30: 9 / 1800 = 0.005.

    Args:
        prediction: (B, K, 2) px.
        target: (B, K, 2) px; a point with NaN adds nothing.
        eye_distance_px: (B,), distance of the eye centres in the target. Not its square, which is what the list files
            of the released code hold.

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: shapes differ.
    """
    if prediction.shape != target.shape or target.ndim != 3:
        raise ValueError(f"expected equal (B, K, 2) shapes, got {tuple(prediction.shape)} and {tuple(target.shape)}")
    # where before the square: a NaN times 0 in the backward pass would still be NaN
    difference = torch.where(target.isnan(), 0, prediction.float() - target.nan_to_num())
    return (difference.square().sum((1, 2)) / (2 * eye_distance_px.square())).mean()


def refinement_loss(refined: Tensor, predefined: Tensor) -> Tensor:
    """E_r: cross-entropy between refined and predefined maps, summed over cells and AUs, mean over the batch.

    ``-sum_i sum_k [v log w + (1 - v) log(1 - w)]``, v predefined, w refined. Its weight in the paper, 1e-7, belongs to
    the sum over the cells; with a mean over 44 x 44 cells it would be 1.94e-4.

    Args:
        refined: (B, A, m, m) in 0..1.
        predefined: (B, A, m, m) in 0..1.

    Returns:
        scalar, 0 or more.

    Raises:
        ValueError: shapes differ.
    """
    if refined.shape != predefined.shape:
        raise ValueError(f"expected equal shapes, got {tuple(refined.shape)} and {tuple(predefined.shape)}")
    # in float32 1 - 1e-7 is the last number below 1: the logarithms stay finite
    map_value = refined.float().clamp(1e-7, 1 - 1e-7)
    cells = predefined * map_value.log() + (1 - predefined) * (1 - map_value).log()
    return -cells.sum((1, 2, 3)).mean()
