from __future__ import annotations

import numpy as np

from vultus.metrics.landmarks import failed


def test_a_face_fails_above_a_tenth_of_the_eye_distance() -> None:
    assert failed(np.array([0.05, 0.10, 0.11, np.nan])).tolist() == [False, False, True, False]
