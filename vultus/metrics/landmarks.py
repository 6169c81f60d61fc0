"""Scores of facial landmarks; the error of a face itself is `vultus.face.landmarks.normalised_mean_error`."""

from __future__ import annotations

import numpy as np

from vultus.metrics.occurrence import Array

FAILURE_THRESHOLD = 0.10
"""A face counts as failed above this share of the eye distance (JAA-Net)."""


def failure_rate(error: Array, threshold: float = FAILURE_THRESHOLD) -> float:
    """Share of faces with an error above the threshold; example: errors .05, .20 give 0.5.

    Args:
        error: (N,), normalised mean error of each face; NaN (no points) is left out.
        threshold: share of the eye distance.

    Returns:
        0..1; NaN if no face has points.
    """
    known = error[~np.isnan(error)]
    return float((known > threshold).mean()) if len(known) else float("nan")
