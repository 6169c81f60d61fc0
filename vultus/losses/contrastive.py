"""Losses that draw pairs together and push all others apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(left: Tensor, right: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE of N pairs: cross-entropy of finding each one's partner among all, in both directions.

    ``L = -1/2N sum_i (log softmax_j s l_i.r_j)_i + (log softmax_j s r_i.l_j)_i`` (van den Oord, Li and Vinyals 2018;
    symmetric as in Radford et al. 2021). Embeddings that are all alike give ln N; orthogonal pairs at scale s give
    ``ln(1 + (N - 1) exp(-s))``.

    Args:
        left: (N, d), unit length.
        right: (N, d), unit length; row i belongs to row i of ``left``.
        scale: s, the inverse temperature.

    Raises:
        ValueError: shapes differ.
    """
    if left.ndim != 2 or left.shape != right.shape:
        raise ValueError(f"left and right must be (N, d) alike, not {tuple(left.shape)} and {tuple(right.shape)}")
    logits = scale * (left @ right.T)
    partner = torch.arange(len(left), device=left.device)
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2
