"""Where each action unit shows on the face: centres by the JAA and the EAC rule, and boxes around them.

Both rules name, for an action unit, one landmark on each half of the face and a downward shift in units of u, the
horizontal distance of the two inner eye corners. They differ in AU10 alone: JAA-Net takes the inner, EAC-Net the outer
edge of the upper lip. The rules of the papers cover 14 action units; the others of FACS are placed here on the
muscle's main visible effect and are marked as reconstructed.

The attention maps that the JAA systems draw around the centres are in `vultus.face.attention` (torch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vultus.face.landmarks import INNER_EYE_CORNERS, Array, positions

Rule = Literal["jaa", "eac"]


@dataclass(frozen=True)
class AuRegion:
    """The two centres of an action unit.

    Attributes:
        name: in FACS.
        muscle: main muscle.
        left: 68-point index of the landmark on the image-left half.
        right: the same on the image-right half; AUs of the lips as a whole have upper and lower centre instead.
        shift: downward shift in units of the inner-eye-corner distance u.
        reconstructed: no paper of the family gives this rule; placed here by the muscle's visible effect.
    """

    name: str
    muscle: str
    left: int
    right: int
    shift: float = 0.0
    reconstructed: bool = False


_LIPS = (51, 57)
_CORNERS = (48, 54)
_CHIN = (58, 56)

REGIONS: dict[int, AuRegion] = {
    1: AuRegion("inner brow raiser", "frontalis, pars medialis", 21, 22, -1 / 2),
    2: AuRegion("outer brow raiser", "frontalis, pars lateralis", 18, 25, -1 / 3),
    4: AuRegion("brow lowerer", "corrugator and depressor supercilii, procerus", 19, 24, 1 / 3),
    5: AuRegion("upper lid raiser", "levator palpebrae superioris", 38, 43, reconstructed=True),
    6: AuRegion("cheek raiser", "orbicularis oculi, pars orbitalis", 41, 46, 1.0),
    7: AuRegion("lid tightener", "orbicularis oculi, pars palpebralis", 38, 43),
    9: AuRegion("nose wrinkler", "levator labii superioris alaeque nasi", 32, 34, -1 / 2),
    10: AuRegion("upper lip raiser", "levator labii superioris", 61, 63),
    11: AuRegion("nasolabial deepener", "zygomaticus minor", 31, 35, reconstructed=True),
    12: AuRegion("lip corner puller", "zygomaticus major", *_CORNERS),
    14: AuRegion("dimpler", "buccinator", *_CORNERS),
    15: AuRegion("lip corner depressor", "depressor anguli oris", *_CORNERS),
    16: AuRegion("lower lip depressor", "depressor labii inferioris", *_CHIN, reconstructed=True),
    17: AuRegion("chin raiser", "mentalis", *_CHIN, 1 / 2),
    18: AuRegion("lip pucker", "incisivii labii", *_LIPS, reconstructed=True),
    20: AuRegion("lip stretcher", "risorius, platysma", *_CORNERS, reconstructed=True),
    22: AuRegion("lip funneler", "orbicularis oris", *_LIPS, reconstructed=True),
    23: AuRegion("lip tightener", "orbicularis oris", *_LIPS),
    24: AuRegion("lip pressor", "orbicularis oris", *_LIPS),
    25: AuRegion("lips part", "depressor labii inferioris, or relaxation", *_LIPS),
    26: AuRegion("jaw drop", "relaxed masseter; temporalis, pterygoid", *_CHIN, 1 / 2),
    27: AuRegion("mouth stretch", "pterygoid, digastric", *_CHIN, 1 / 2, reconstructed=True),
    28: AuRegion("lip suck", "orbicularis oris", *_LIPS, reconstructed=True),
}
"""AU -> its region by the JAA rule."""

EAC_AU10 = (49, 53)
"""68-point landmarks of AU10 in EAC-Net: the outer upper lip."""


def au_centres(landmarks: Array, action_units: Sequence[int], rule: Rule = "jaa") -> Array:
    """The two centres of each action unit.

    Args:
        landmarks: (..., K, 2) px, K = 49, 66 or 68, numpy or torch; of an upright face (u is a horizontal distance).
        action_units: A FACS numbers.
        rule: ``jaa`` or ``eac``.

    Returns:
        (..., A, 2, 2) px: [AU, left/right, x/y].

    Raises:
        ValueError: an action unit without region, an unknown rule or number of points.
    """
    unknown = [au for au in action_units if au not in REGIONS]
    if unknown:
        raise ValueError(f"no region for AU {unknown}; there are {sorted(REGIONS)}")
    if rule not in ("jaa", "eac"):
        raise ValueError(f"the centre rule is 'jaa' or 'eac', not {rule!r}")
    n_points = landmarks.shape[-2]
    pairs = [EAC_AU10 if rule == "eac" and au == 10 else (REGIONS[au].left, REGIONS[au].right) for au in action_units]
    centres: Array = landmarks[..., positions(np.asarray(pairs), n_points), :]
    inner_left, inner_right = positions(INNER_EYE_CORNERS, n_points)
    unit: Any = abs(landmarks[..., inner_right, 0] - landmarks[..., inner_left, 0])
    shifts: Any = np.array([[REGIONS[au].shift] for au in action_units], dtype=np.float32)
    if not isinstance(landmarks, np.ndarray):
        shifts = landmarks.new_tensor(shifts)
    centres[..., 1] += unit[..., None, None] * shifts
    return centres


def au_boxes(centres: npt.NDArray[Any], crop_px: int, zeta: float = 0.14) -> npt.NDArray[Any]:
    """Square boxes around the centres, cut at the crop's border.

    Args:
        centres: (..., 2) px of the crop.
        crop_px: side of the crop.
        zeta: side of a box as a share of the crop.

    Returns:
        (..., 4) px, x0 y0 x1 y1 inside 0..crop_px - 1.
    """
    half = zeta * crop_px / 2
    boxes: npt.NDArray[Any] = np.clip(np.concatenate([centres - half, centres + half], axis=-1), 0, crop_px - 1)
    return boxes
