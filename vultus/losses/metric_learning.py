"""Losses that place embeddings of one class together and those of others apart."""

from __future__ import annotations

import torch
from torch import Tensor


def supervised_contrastive(embedding: Tensor, label: Tensor, temperature: float) -> Tensor:
    """Each row must find the rows of its own label among all others of the batch.

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2 (the sum outside the logarithm):
    ``mean_i mean_{p in P(i)} -log( exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t) )``.
    Example: two equal rows of one label beside one at a right angle to them, t = 1: log(1 + 1/e).

    Args:
        embedding: (B, d) of unit length.
        label: (B,) integers; a row that is alone with its label adds nothing.
        temperature: t, above 0.

    Returns:
        scalar, 0 or more; 0 where no two rows share a label.

    Raises:
        ValueError: shapes do not fit.
    """
    if embedding.ndim != 2 or label.shape != embedding.shape[:1]:
        raise ValueError(f"expected (B, d) and (B,), got {tuple(embedding.shape)} and {tuple(label.shape)}")
    others = ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    same = (label[:, None] == label) & others
    likeness = embedding @ embedding.T / temperature
    normaliser = likeness.masked_fill(~others, -torch.inf).logsumexp(dim=1, keepdim=True)
    per_row = ((normaliser - likeness) * same).sum(dim=1) / same.sum(dim=1).clamp(min=1)
    counted = same.any(dim=1)
    return (per_row * counted).sum() / counted.sum().clamp(min=1)
