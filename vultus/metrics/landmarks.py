"""Scores of facial landmarks; the error of a face itself is `vultus.face.landmarks.normalised_mean_error`."""

from __future__ import annotations

import numpy as np

from vultus.metrics.occurrence import Array

FAILURE_THRESHOLD = 0.10
"""A face counts as failed above this share of the eye distance (JAA-Net)."""


def failed(error: Array, threshold: float = FAILURE_THRESHOLD) -> Array:
    """Which faces failed, (N,) bool; example: errors .05, .20 give False, True.

    Args:
        error: (N,), normalised mean error of each face; NaN (no points) has not failed and is not known either.
        threshold: share of the eye distance.
    """
    return np.asarray(error > threshold)
