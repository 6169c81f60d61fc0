"""How close a generated mouth is to the true one: landmarks, opening, action units.

Points are the 68 of iBUG, the mouth's are 48..67. Every score is of one frame; NaN where a point is unknown.
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.occurrence import Array

MOUTH = slice(48, 68)
"""The points of the mouth among the 68."""

AUE_LOWER = (10, 12, 14, 15, 17, 20, 23, 25, 26)
AUE_UPPER = (1, 2, 4, 5, 6, 7, 9, 45)
"""Action units of the AU error in the lower and upper face (the released script of the Gaussian talkers)."""


def lmd(generated: Array, truth: Array) -> Array:
    """Landmark distance of the mouth: ``mean_p |l_p - l'_p|``, each frame's mouth about its own mean point (M-LMD).

    Example: a mouth that is moved as a whole has 0; one whose 20 points lie 1 px farther from their mean has 1.

    Args:
        generated: (N, 68, 2) px.
        truth: (N, 68, 2) px of the same pictures' size.

    Returns:
        (N,) px.

    Raises:
        ValueError: shapes differ or are not (N, 68, 2).
    """
    if generated.shape != truth.shape or generated.shape[1:] != (68, 2):
        raise ValueError(f"expected two (N, 68, 2) arrays, got {generated.shape} and {truth.shape}")
    mouths = [points[:, MOUTH] - points[:, MOUTH].mean(axis=1, keepdims=True) for points in (generated, truth)]
    return np.asarray(np.linalg.norm(mouths[0] - mouths[1], axis=-1).mean(axis=1))


def mouth_opening(landmarks: Array) -> Array:
    """Mean distance of the three inner lip pairs (61-67, 62-66, 63-65), (N, 68, 2) px -> (N,) px."""
    upper, lower = landmarks[:, [61, 62, 63]], landmarks[:, [67, 66, 65]]
    return np.asarray(np.linalg.norm(upper - lower, axis=-1).mean(axis=1))


def eye_distance(landmarks: Array) -> Array:
    """Distance between the centres of the two eyes' points (36..41, 42..47), (N, 68, 2) px -> (N,) px."""
    return np.asarray(np.linalg.norm(landmarks[:, 36:42].mean(axis=1) - landmarks[:, 42:48].mean(axis=1), axis=-1))


def squared_au_error(generated: Array, truth: Array) -> Array:
    """Squared differences of AU intensities in 0..5, (N, A) each -> (N, A).

    The AU error (AUE) is their mean over frames, summed over action units.

    Raises:
        ValueError: shapes differ.
    """
    if generated.shape != truth.shape:
        raise ValueError(f"expected equal (N, A) shapes, got {generated.shape} and {truth.shape}")
    return np.asarray(np.square(generated.astype(np.float64) - truth.astype(np.float64)))


def correlation(a: Array, b: Array) -> float:
    """Pearson correlation of two courses over time, (T,) each; 0 where one of them never varies.

    A still mouth follows nothing: it counts as uncorrelated, so that the mean over clips has a value.
    """
    x, y = a - a.mean(), b - b.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / size) if size > 1e-12 else 0.0
