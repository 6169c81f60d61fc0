"""Dominance blending of overlapping articulatory targets, after Cohen and Massaro 1993.

``y(t) = sum_i w_i(t) T_i / sum_i w_i(t)`` with ``w_i(t) = alpha_i exp(-d_i(t) / theta)``, where ``d_i`` is the time to
the nearest edge of target i's core. Each articulator has its own thetas, so lips anticipate more than the tongue tip.
"""

from __future__ import annotations

import numpy as np

_CORE_SHARE = 0.35
"""The core is this share of the half duration around the centre ..."""
_LONGEST_RAMP_S = 0.05
"""... but never ends earlier than this before the edge, so that a long silence is not talked into."""


def dominance_weights(
    times_s: np.ndarray,
    start_s: np.ndarray,
    end_s: np.ndarray,
    alpha: np.ndarray,
    theta_before_s: np.ndarray,
    theta_after_s: np.ndarray,
) -> np.ndarray:
    """Weights that blend P targets at N times, for each of G articulators.

    Args:
        times_s: (N,).
        start_s: (P,) of each target.
        end_s: (P,), later than the start.
        alpha: (P, G) dominance, positive.
        theta_before_s: (G,) time constant before a target's core (anticipation).
        theta_after_s: (G,) time constant after it (carry-over).

    Returns:
        (N, P, G), non-negative, summing to 1 over the targets.

    Raises:
        ValueError: there is no target, or the shapes differ.
    """
    n_targets, n_groups = alpha.shape
    if n_targets == 0 or start_s.shape != (n_targets,) or end_s.shape != (n_targets,):
        raise ValueError(f"got {n_targets} rows of alpha for {start_s.shape} starts and {end_s.shape} ends")
    if theta_before_s.shape != (n_groups,) or theta_after_s.shape != (n_groups,):
        raise ValueError(f"got {n_groups} columns of alpha for {theta_before_s.shape} and {theta_after_s.shape} thetas")
    half_s = (end_s - start_s) / 2
    offset_s = times_s[:, None] - (start_s + half_s)
    core_s = np.maximum(_CORE_SHARE * half_s, half_s - _LONGEST_RAMP_S)
    distance_s = np.maximum(0.0, np.abs(offset_s) - core_s)[..., None]
    theta_s = np.where(offset_s[..., None] < 0, theta_before_s, theta_after_s)
    # In logarithms: far from every target all weights underflow, their ratio does not.
    log_weight = np.log(alpha) - distance_s / theta_s
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    normalised: np.ndarray = weight / weight.sum(axis=1, keepdims=True)
    return normalised
