"""Lip synchrony from the embeddings of a sync network: Sync-D, Sync-C (LSE-D, LSE-C) and the offset.

Chung and Zisserman 2016 (Out of time: automated lip sync in the wild), in the form of the authors' public tool, which
talking face papers report. N windows have a visual embedding ``v_i`` and an audio embedding ``a_i``, both of the same
frames. For the shifts ``k = -V..V``::

    D(k)   = mean over i of || v_i - a_(i+k) ||
    Sync-D = min D        Sync-C = median D - min D        offset = V - argmin index = -argmin_k D

So the sound of the picture ``i`` is found at ``i - offset``: **positive: the sound comes ``offset`` frames too early,
the picture lags behind; negative: the sound comes too late.** The values depend on the network and compare within one
network alone; the real clips' values belong beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MAX_SHIFT = 15
"""V of the public tool, frames."""


@dataclass(frozen=True)
class SyncScores:
    """Synchrony of a clip."""

    confidence: float
    """Sync-C, 0 or more; higher is better."""
    distance: float
    """Sync-D, 0 or more; lower is better."""
    offset_frames: int
    """-V..V; positive: the sound is early."""


def shift_distances(visual: Tensor, audio: Tensor, max_shift: int = MAX_SHIFT, valid_only: bool = True) -> Tensor:
    """Mean distance of picture and sound at each shift.

    Args:
        visual: (N, d) embeddings of the windows' pictures.
        audio: (N, d) of their sounds.
        max_shift: V, frames.
        valid_only: take the mean over those windows alone whose 2V + 1 partners all exist. The public tool pads the
            sound with V zero vectors on both sides (False); in clips of a few seconds these weigh much.

    Returns:
        (2V + 1,) D(k), k = -V..V.

    Raises:
        ValueError: shapes differ, or the clip is too short.
    """
    if visual.ndim != 2 or visual.shape != audio.shape:
        raise ValueError(f"visual and audio must be (N, d) alike, not {tuple(visual.shape)} and {tuple(audio.shape)}")
    n_windows, width = len(visual), 2 * max_shift + 1
    if n_windows < (width if valid_only else 1):
        raise ValueError(f"{n_windows} windows are too few for shifts of up to {max_shift}: {width} are needed")
    if valid_only:
        partners, anchors = audio, visual[max_shift : n_windows - max_shift]
    else:
        partners, anchors = functional.pad(audio, (0, 0, max_shift, max_shift)), visual
    shifted = partners.unfold(0, width, 1)  # (anchors, d, 2V + 1)
    distances: Tensor = torch.linalg.vector_norm(anchors[:, :, None] - shifted, dim=1).mean(dim=0)
    return distances


def sync_scores(visual: Tensor, audio: Tensor, max_shift: int = MAX_SHIFT, valid_only: bool = True) -> SyncScores:
    """Sync-C, Sync-D and offset of a clip; arguments and errors as in `shift_distances`."""
    distances = shift_distances(visual, audio, max_shift, valid_only)
    nearest = int(distances.argmin())
    return SyncScores(
        confidence=float(distances.median() - distances[nearest]),
        distance=float(distances[nearest]),
        offset_frames=max_shift - nearest,
    )
