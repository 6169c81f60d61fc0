"""Which face of a frame is which of the frames before: by the overlap of their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MIN_OVERLAP = 0.3
"""Share of the union of two boxes from which on they are one face."""

HELD_FRAMES = 25
"""A face that was not seen for more frames than these is another one when it comes back."""


class FaceTracks:
    """Gives the faces of a film numbers from 0 on that last while they are seen."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[Array, int]] = {}
        self._frame = self._next = 0

    def assign(self, faces: Sequence[Array]) -> list[int]:
        """Numbers of the faces of the next frame; call it for frames without faces, too.

        The pair with the most overlap goes first; a face that overlaps none of the last boxes gets a new number.

        Args:
            faces: (68, 2) px each.
        """
        self._frame += 1
        self._last = {n: (box, at) for n, (box, at) in self._last.items() if self._frame - at <= HELD_FRAMES + 1}
        boxes = [np.concatenate([face.min(axis=0), face.max(axis=0)]) for face in faces]
        pairs = sorted(
            ((overlap(box, seen), -n, k) for k, box in enumerate(boxes) for n, (seen, _) in self._last.items()),
            reverse=True,
        )
        numbers: dict[int, int] = {}
        for share, negative, k in pairs:
            if share >= MIN_OVERLAP and k not in numbers and -negative not in numbers.values():
                numbers[k] = -negative
        for k, box in enumerate(boxes):
            if k not in numbers:
                numbers[k] = self._next
                self._next += 1
            self._last[numbers[k]] = (box, self._frame)
        return [numbers[k] for k in range(len(boxes))]


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1; 0 where both are empty."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0
