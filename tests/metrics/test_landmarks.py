from __future__ import annotations

import numpy as np

from vultus.metrics.landmarks import failure_rate


def test_failure_rate_counts_faces_above_a_tenth_of_the_eye_distance() -> None:
    assert failure_rate(np.array([0.05, 0.10, 0.11, np.nan])) == 1 / 3
    assert np.isnan(failure_rate(np.array([np.nan])))
