"""Where each action unit may be seen: areas of the face after the FACS manual's descriptions, not after our muscles.

An area is a box on the frontal view of the mean head, both halves: |x| from..to, y from..to, cm. The brows lie at
y = 2.5, the eyes at 0, the nose's base at -4.8, the lips meet at -7, the chin ends at -11.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vultus.world.head import mean_head

Box = tuple[float, float, float, float]

_EYE: Box = (1.2, 5.4, -1.9, 2.0)
_MOUTH: Box = (0.0, 5.5, -11.5, -4.0)
_UPPER_LIP: Box = (0.0, 5.0, -8.4, -1.0)
_CORNER: Box = (0.0, 7.5, -11.0, -2.5)
_LOWER_LIP: Box = (0.0, 5.0, -12.5, -5.6)
_JAW: Box = (0.0, 9.0, -18.0, -3.5)

AREAS: dict[int, Box] = {
    1: (0.0, 4.8, -0.8, 9.0), 2: (0.8, 7.5, 0.2, 9.0), 4: (0.0, 6.5, -1.6, 5.5), 5: _EYE,
    6: (1.0, 8.0, -9.0, 1.5), 7: _EYE, 9: (0.0, 5.5, -8.4, 3.2), 10: _UPPER_LIP, 11: _UPPER_LIP,
    12: (0.0, 8.0, -10.5, 0.5), 14: _CORNER, 15: (0.0, 6.0, -12.5, -4.5), 16: _LOWER_LIP, 17: (0.0, 5.5, -13.5, -5.0),
    18: _MOUTH, 19: _JAW, 20: (0.0, 8.0, -13.5, -4.0), 22: _MOUTH, 23: _MOUTH, 24: (0.0, 5.5, -13.0, -4.0),
    25: _MOUTH, 26: _JAW, 27: _JAW, 28: _MOUTH, 43: _EYE,
}  # fmt: skip
"""AU -> its area."""


def region_of(au: int) -> NDArray[np.bool_]:
    """Vertices of a head that the action unit may move.

    Args:
        au: FACS number, one of `muscles.AUS`.

    Returns:
        (V,) mask.

    Raises:
        KeyError: not a unit of the embedded world.
    """
    left, right, low, high = AREAS[au]
    points = mean_head().vertices
    across, up, forward = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    inside: NDArray[np.bool_] = (left <= across) & (across <= right) & (low <= up) & (up <= high) & (forward > -9.0)
    return inside
