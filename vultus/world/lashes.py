"""Eyelashes: thin curved blades that stand on the lid rims and turn with the lids.

Legend: N lashes, V = 5 N vertices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vultus.world.occluders import Prop
from vultus.world.shading import EYELID
from vultus.world.skin import Complexion
from vultus.world.skin_mesh import skin_mesh

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

UPPER, LOWER = 26, 14
"""Lashes of a lid that are drawn (there are about 100 and 80; each blade stands for a few)."""


@lru_cache(maxsize=1)
def _roots() -> tuple[Ints, Floats, Floats]:
    """Rim vertices before and after each lash (N, 2), share of the way between them (N,), and scale of length (N,).

    Order: image-left upper, image-left lower, image-right upper, image-right lower. Lower lashes are short and lean the
    other way: their scale is negative.
    """
    rims = skin_mesh().eye_rings[:, 0]
    rng = np.random.default_rng(0x1A5)
    edges, shares, lengths = [], [], []
    for rim in rims:
        # Rim columns: 0 inner corner, 1..11 upper lid, 12 outer corner, then the lower lid back.
        for count, first, last, scale in ((UPPER, 1.6, 11.9, 1.0), (LOWER, 13.2, 20.0, -0.42)):
            place = np.linspace(first, last, count) + rng.normal(0, 0.06, count)
            before = np.floor(place).astype(int)
            outer = np.clip(np.linspace(0, 1, count) if scale > 0 else np.linspace(1, 0.3, count), 0, 1)
            edges.append(np.stack([rim[before], rim[(before + 1) % len(rim)]], 1))
            shares.append(place - before)
            lengths.append(scale * (0.55 + 0.45 * outer) * rng.uniform(0.8, 1.1, count))
    return (
        np.concatenate(edges).astype(np.int32),
        np.concatenate(shares).astype(np.float32),
        np.concatenate(lengths).astype(np.float32),
    )


@lru_cache(maxsize=1)
def _triangles() -> Ints:
    """Two quads and a tip for each lash, seen from both sides."""
    one = np.array([(0, 1, 2), (1, 3, 2), (2, 3, 4)])
    both = np.concatenate([one, one[:, ::-1]])
    lashes = 2 * (UPPER + LOWER)
    return (both[None] + 5 * np.arange(lashes)[:, None, None]).reshape(-1, 3).astype(np.int32)


def grow_lashes(local: Floats, eye_centres: Floats, complexion: Complexion, scale: float) -> Prop:
    """The lashes of a face as it is in a frame.

    Args:
        local: (V, 3) vertices of the head, head coordinates, cm.
        eye_centres: (2, 3).
        complexion: hair colour and make-up; mascara makes lashes longer, thicker and blacker.
        scale: of the head against the mean adult's.
    """
    edges, share, reach = _roots()
    root = local[edges[:, 0]] + share[:, None] * (local[edges[:, 1]] - local[edges[:, 0]])
    centre = np.repeat(eye_centres, UPPER + LOWER, axis=0)
    out = (root - centre) / np.linalg.norm(root - centre, axis=1, keepdims=True)
    along = local[edges[:, 1]] - local[edges[:, 0]]
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    # Across the lid, away from the opening: up on the upper lid, down on the lower one.
    rise = np.cross(along, out)
    rise *= np.sign(rise[:, 1:2] * np.sign(reach)[:, None]) * np.sign(reach)[:, None]
    side = np.sign(centre[:, :1]) * np.array([[1.0, 0.0, 0.0]])
    length = np.abs(reach)[:, None] * scale * (0.46 + 0.30 * complexion.make_up)
    width = scale * (0.020 + 0.022 * complexion.make_up) * along
    lean = 0.35 * np.abs(reach)[:, None] * side
    middle = root + length * 0.55 * (0.9 * out + 0.30 * rise + lean)
    tip = root + length * (0.75 * out + 0.75 * rise + 1.2 * lean)
    vertices = np.stack([root - width, root + width, middle - 0.6 * width, middle + 0.6 * width, tip], 1).reshape(-1, 3)
    dark = np.array(complexion.hair, np.float32) * np.float32(0.4 * (1 - complexion.make_up)) + np.float32(0.006)
    count = len(vertices)
    return Prop(
        vertices.astype(np.float32),
        _triangles(),
        np.tile(dark, (count, 1)).astype(np.float32),
        np.full(count, 0.05, np.float32),
        EYELID,
    )
