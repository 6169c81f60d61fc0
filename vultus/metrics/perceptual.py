"""The LPIPS formula: how far apart two pictures are in the features of a network.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, eq. 1. The number is
called LPIPS only with the published network and weights; any other network's carries that network's label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-10
"""Added to the length of a channel vector before it divides, as in the released code."""


def unit_channels(features: Tensor) -> Tensor:
    """Channel vectors of unit length: (N, C, H, W) -> (N, C, H, W); a vector of zeros stays one."""
    length = features.square().sum(dim=1, keepdim=True).sqrt()
    return features / (length + EPSILON)


def perceptual_distance(first: Sequence[Tensor], second: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """``sum_l 1/(H_l W_l) sum_hw |sqrt(w_l) (f_l - g_l)_hw|^2`` with channel vectors of unit length.

    The released code applies the weights to the squares, ``sum_c w_c (f_c - g_c)^2``; so does this. Equal pictures
    give exactly 0.
    Example: one stage, one place, f = (1, 0), g = (0, 1), w = (1, 1): 2.

    Args:
        first: stages of (N, C_l, H_l, W_l) features.
        second: the same of the other pictures.
        weights: a (C_l,) tensor a stage, at least 0.

    Returns:
        (N,), at least 0.

    Raises:
        ValueError: the numbers of stages, or the shapes of a stage, differ.
    """
    if not len(first) == len(second) == len(weights) or not first:
        raise ValueError(f"expected as many stages each, got {len(first)}, {len(second)} and {len(weights)} weights")
    terms = []
    for f, g, w in zip(first, second, weights, strict=True):
        if f.shape != g.shape or w.shape != f.shape[1:2]:
            raise ValueError(f"a stage has shapes {tuple(f.shape)}, {tuple(g.shape)} and weights {tuple(w.shape)}")
        squares = (unit_channels(f) - unit_channels(g)).square()
        terms.append((squares * w[:, None, None]).sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(terms).sum(dim=0)
