"""Action units move a head: `deform(person, au_intensity, gaze)`.

* Most units are muscle fields on the skin (`waters`, `muscle_table`): summed, with less than the sum where two muscles
  pull at the same skin (`OVERLAPS`).
* The jaw (AU 26, 27) turns about its hinge; skin takes part by a share that is 1 at the chin and 0 at the cheekbone.
* Lids (AU 5, 7, 43, gaze) slide over the eyeball, upper to lower rim; closed lids meet exactly.
* Lips never cut into each other: where they would, or where AU 24 or 23 presses them, they meet exactly.

Intensities are 0..5 (FACS A..E = 1..5) and act in proportion; a person's `au_gain` scales all of them but AU 43.

Legend: V vertices, M vertices that muscles move, A action units, L rings, C columns of a ring.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vultus.data.tables import ACTION_UNITS
from vultus.world import anthropometry as body
from vultus.world.anthropometry import Array
from vultus.world.head import LID_GAP, PersonShape, mean_vertices, topology
from vultus.world.head_parts import teeth_arch
from vultus.world.muscle_table import ACTIONS, JAW_SHARES, JAW_SLIDES
from vultus.world.skin_mesh import EYE_COLUMNS, LIP_COLUMNS, LIP_STEPS, Index, SkinMesh, skin_mesh
from vultus.world.waters import Slide, field

Floats = NDArray[np.float32]

AUS: tuple[int, ...] = (*ACTION_UNITS, 19, 43)
"""FACS numbers in the order of every `au_intensity` array: those of the tables, then 19 tongue show, 43 lids closed."""

FULL = 5.0
"""The intensity at which a muscle is fully contracted."""

OVERLAPS: tuple[tuple[int, int, float], ...] = (
    (9, 10, 0.6), (10, 9, 0.3), (12, 6, 0.35), (12, 10, 0.3), (12, 14, 0.4), (12, 20, 0.4), (10, 25, 0.4),
    (16, 25, 0.5), (22, 18, 0.4), (22, 25, 0.5), (24, 23, 0.5), (28, 24, 0.8), (28, 25, 0.7), (2, 1, 0.15),
    (17, 24, 0.4),
)  # fmt: skip
"""(first, second, share): full contraction of the first takes this share of the second's effect away."""

TONGUE_OPENS = 0.6
"""A tongue that is shown (AU 19) parts lips and jaw at least by this share of its own intensity."""
JAW_DROP = 0.6
"""Share of the widest opening at AU 26 = 5; AU 27 opens the rest."""

_UPPER_FOLLOWS = np.array([1.0, 0.94, 0.8, 0.58, 0.3, 0.1, 0.0])
_LOWER_FOLLOWS = np.array([1.0, 0.9, 0.75, 0.55, 0.35, 0.15, 0.0])
_LID_FREEDOM = np.array([0.25, 0.3, 0.42, 0.6, 0.8, 1.0, 1.0])
"""Shares, by ring from the rim outwards, of the lids' slide and of the muscle fields around the eye."""

_SEAL_FOLLOWS = np.array([1.0, 0.8, 0.58, 0.4, 0.28, 0.2, 0.12, 0.05, 0.0])
"""Share of the lips' meeting movement, by ring from the stomion outwards."""
UPPER_LIP_SHARE = 0.35
"""How far down the gap the lips meet: the upper lip comes this share of the way."""

LIPS_HOLD = (0.2, 0.4)
"""Gaps, cm, up to which silent lips (AU 25 = 0) stay together, and from which on they do not at all: a raised upper lip
(AU 10) or a dropped jaw takes the other lip along before it parts from it."""
LIP_BEFORE_TEETH = 0.2
"""Least distance of a lip from the front of the upper teeth, cm."""

_BAG_FOLLOWS = (1.0, 1.0, 0.8, 0.45, 0.15, 0.0)
"""Share of the stomion's movement, by row of the mouth bag inwards."""
_NECK_FOLLOWS = (1.0, 0.45, 0.12, 0.0, 0.0)


TONGUE_REST: dict[str, float] = {
    "dorsum_place": 0.45, "dorsum_height": 0.5, "tip_height": 0.32, "tip_advance": 0.6, "root_advance": 0.45,
}  # fmt: skip
"""Parameters of `tongue.TONGUE_PARAMETERS` (0..1) at which the tongue lies as in the head at rest (the vowel AX)."""


@dataclass(frozen=True, eq=False)
class _Mechanics:
    """What all people share, on the mean head.

    fields: (A, M, 3) cm at full contraction; jaw_fields (M, 3) besides the jaw's turn; moving (M,) vertex ids;
    turning (J,) vertex ids that take part in the jaw's turn by turn_share (J,); bag (rows, LIP_COLUMNS) vertex ids;
    upper (V,) 1 above the stomion, 0 below.
    """

    fields: Floats
    jaw_fields: Floats
    moving: Index
    turning: Index
    turn_share: Floats
    bag: Index
    tongue_along: Floats


def above_stomion(skin: SkinMesh) -> Array:
    """(V,) of the skin: 1 above the line where the lips meet, 0 below, smooth outside the corners of the mouth."""
    x, y = np.abs(skin.vertices[:, 0]), skin.vertices[:, 1]
    line = np.interp(x, [0.0, 1.03, 2.21, 3.2], [-6.96, -6.94, -7.09, -7.2])
    softness = 0.3 * np.clip((x - 1.9) / 2.0, 0.03, 1.0)
    upper = 1.0 / (1.0 + np.exp(np.clip(-(y - line) / softness, -60, 60)))
    half = LIP_COLUMNS // 2
    for ring in range(len(LIP_STEPS) + 2):
        sure = (1.0, 0.9, 0.5)[max(0, ring - len(LIP_STEPS) + 1)]
        top, bottom = skin.lip_rings[ring, 1:half], skin.lip_rings[ring, half + 1 :]
        upper[top] = np.maximum(upper[top], sure)
        upper[bottom] = np.minimum(upper[bottom], 1.0 - sure)
    upper[skin.lip_rings[: len(LIP_STEPS), [0, half]]] = 0.5
    return upper


def jaw_share(points: Array, upper: Array) -> Array:
    """Share of the jaw's turn that skin takes: points (V, 3) of the mean head, `upper` as in `above_stomion`."""
    share = np.zeros(len(points))
    for term in JAW_SHARES:
        slide = (Slide(term.place, (0.0, term.share, 0.0), term.radius, term.lip),)
        share += field(slide, points, upper)[:, 1]
    return np.clip(share, 0.0, 1.0)


@lru_cache(maxsize=1)
def _mechanics() -> _Mechanics:
    skin, top = skin_mesh(), topology()
    points, upper = skin.vertices, above_stomion(skin)
    fields = np.stack([field(ACTIONS.get(au, ()), points, upper) for au in AUS])
    jaw_fields = field(JAW_SLIDES, points, upper)
    moving = np.flatnonzero((np.abs(fields).max(axis=(0, 2)) > 0.002) | (np.abs(jaw_fields).max(axis=1) > 0.002))

    share = np.zeros(len(top.uv))
    share[: len(points)] = jaw_share(points, upper)
    bag_start, bag_stop = top.ranges["mouth_inside"]
    rows = len(_BAG_FOLLOWS)
    bag = np.arange(bag_start, bag_start + rows * LIP_COLUMNS).reshape(rows, LIP_COLUMNS)
    lower = 0.5 - 0.5 * np.sin(2 * np.pi * np.arange(LIP_COLUMNS) / LIP_COLUMNS)
    share[bag[0]] = share[skin.lip_rings[0]]
    for row, firm in enumerate((0.85, 0.95, 0.9, 0.7, 0.4), start=1):
        follow = _BAG_FOLLOWS[row]
        share[bag[row]] = follow * share[bag[0]] + (1.0 - follow) * firm * lower
        if row == 1:
            share[bag[row]] = 0.8 * share[bag[0]] + 0.2 * lower
    share[bag_stop - 1] = 0.3
    share[slice(*top.ranges["lower_teeth"])] = 1.0
    tongue = slice(*top.ranges["tongue"])
    along = np.clip((mean_vertices()[tongue][:, 2] + 3.3) / 5.2, 0.0, 1.0)
    share[tongue] = 0.45 + 0.5 * along
    neck_start = top.ranges["neck"][0]
    columns = len(skin.neck_ring)
    for row, follow in enumerate(_NECK_FOLLOWS):
        share[neck_start + row * columns + np.arange(columns)] = follow * share[skin.neck_ring]
    turning = np.flatnonzero(share > 0.004)
    return _Mechanics(
        fields[:, moving].astype(np.float32),
        jaw_fields[moving].astype(np.float32),
        moving.astype(np.int32),
        turning.astype(np.int32),
        share[turning].astype(np.float32),
        bag.astype(np.int32),
        along.astype(np.float32),
    )


class Rig:
    """A person's head with everything precomputed that does not depend on the frame."""

    def __init__(self, person: PersonShape) -> None:
        self.person = person
        self.shared = _mechanics()
        self.skin = skin_mesh()
        self.rest = person.vertices.astype(np.float64)
        self.fields = self.shared.fields * (person.au_gain * person.scale)[:, None, None]
        self.hinge = body.JAW_HINGE * person.scale
        top = topology()
        self.margin = top.ranges["eyelid"][0]
        self.tongue = slice(*top.ranges["tongue"])
        self.neck = top.ranges["neck"][0]
        # how far this person's mouth lies in front of the mean's
        centre = self.skin.lip_rings[0, LIP_COLUMNS // 4]
        self.lip_shift = float(self.rest[centre, 2] - person.scale * self.skin.vertices[centre, 2])
        self._prepare_lids()

    def _prepare_lids(self) -> None:
        rings = self.skin.eye_rings
        offset = self.rest[rings] - self.person.eye_centres[:, None, None].astype(np.float64)
        # about the x axis through the eye: x, angle up from forward, distance from the axis
        self.lid_x = offset[..., 0]
        self.lid_angle = np.arctan2(offset[..., 1], offset[..., 2])
        self.lid_reach = np.hypot(offset[..., 1], offset[..., 2])
        half = EYE_COLUMNS // 2
        top, bottom = np.arange(1, half), EYE_COLUMNS - np.arange(1, half)
        rim = np.stack([self.lid_x[:, 0], self.lid_angle[:, 0], self.lid_reach[:, 0]])
        self.lid_close = rim[:, :, bottom] - rim[:, :, top]  # (3, 2, half - 1): upper rim to lower rim
        self.lid_top, self.lid_bottom = top, bottom

    def deform(
        self, au_intensity: NDArray[np.floating], gaze: tuple[float, float] | Array = (0.0, 0.0),
        tongue: Mapping[str, float] | None = None,
    ) -> Floats:  # fmt: skip
        """Vertices of one frame; see `deform`."""
        shared, scale = self.shared, self.person.scale
        level = np.clip(np.asarray(au_intensity, dtype=np.float64), 0.0, FULL) / FULL
        if level.shape != (len(AUS),):
            raise ValueError(f"au_intensity must be ({len(AUS)},) in the order of AUS, not {level.shape}")
        show = level[AUS.index(19)]
        for au in (25, 26):
            level[AUS.index(au)] = max(level[AUS.index(au)], TONGUE_OPENS * show)
        a = dict(zip(AUS, level.tolist(), strict=True))
        jaw = JAW_DROP * a[26] + a[27] * (1.0 - JAW_DROP * a[26])
        jaw_gain = float(np.sqrt(self.person.au_gain[AUS.index(26)]))

        effect = level.copy()
        for first, second, taken in OVERLAPS:
            effect[AUS.index(second)] *= 1.0 - taken * a[first]
        active = np.flatnonzero(effect > 0)
        vertices = self.rest.copy()
        moved = np.tensordot(effect[active].astype(np.float32), self.fields[active], 1)
        if jaw > 0:
            moved = moved + (jaw * scale * jaw_gain) * shared.jaw_fields
        vertices[shared.moving] += moved
        self._lips_before_teeth(vertices)
        bag, rim = shared.bag, self.skin.lip_rings[0]
        rim_moved = vertices[rim] - self.rest[rim]
        for row, follow in enumerate(_BAG_FOLLOWS):
            vertices[bag[row]] += follow * rim_moved
        self._shape_tongue(vertices, tongue, show)
        if jaw > 0:
            self._turn_jaw(vertices, jaw * jaw_gain)
        self._meet_lips(vertices, a)
        self._slide_lids(vertices, a, float(gaze[1]))
        columns = len(self.skin.neck_ring)
        vertices[self.neck : self.neck + columns] = vertices[self.skin.neck_ring]
        return vertices.astype(np.float32)

    def _turn_jaw(self, vertices: Array, jaw: float) -> None:
        ids = self.shared.turning
        turn = (jaw * body.JAW_OPEN_RAD) * self.shared.turn_share
        cosine, sine = np.cos(turn), np.sin(turn)
        y, z = vertices[ids, 1] - self.hinge[1], vertices[ids, 2] - self.hinge[2]
        vertices[ids, 1] = self.hinge[1] + cosine * y - sine * z
        vertices[ids, 2] = self.hinge[2] + sine * y + cosine * z

    def _shape_tongue(self, vertices: Array, given: Mapping[str, float] | None, show: float) -> None:
        if not given and show == 0:
            return
        shape = {**TONGUE_REST, **(given or {})}
        along, scale = self.shared.tongue_along, self.person.scale
        tip = along**3
        dorsum = np.exp(-(((along - 0.2 - 0.6 * shape["dorsum_place"]) / 0.3) ** 2))
        part = vertices[self.tongue]
        out = np.clip(along / 0.55, 0.0, 1.0)
        part[:, 1] += scale * (
            1.5 * (shape["tip_height"] - 0.32) * tip
            + 1.3 * (shape["dorsum_height"] - 0.5) * dorsum
            + show * (1.2 * out - 0.7 * tip)
        )
        part[:, 2] += scale * (
            1.4 * (shape["tip_advance"] - 0.6) * tip
            + 0.9 * (shape["root_advance"] - 0.45) * (1.0 - along)
            + 3.4 * show * along
        )
        vertices[self.tongue] = part

    def _lips_before_teeth(self, vertices: Array) -> None:
        """No lip goes through the upper teeth (in the jaw's rest position)."""
        lips = self.skin.lip_rings[: len(LIP_STEPS) - 1]
        scale = self.person.scale
        limit = scale * (teeth_arch(vertices[lips, 0] / scale) + LIP_BEFORE_TEETH) + self.lip_shift
        vertices[lips, 2] = np.maximum(vertices[lips, 2], limit)

    def _meet_lips(self, vertices: Array, a: Mapping[int, float]) -> None:
        half = LIP_COLUMNS // 2
        rings, bag = self.skin.lip_rings, self.shared.bag
        top, bottom = np.arange(1, half), LIP_COLUMNS - np.arange(1, half)
        upper, lower = vertices[rings[0, top]], vertices[rings[0, bottom]]
        gap = upper - lower
        seal = lip_seal(a)
        # lips that other muscles or the jaw draw apart a little stay together, unless AU 25 parts them
        torn = np.clip((gap[:, 1] / self.person.scale - LIPS_HOLD[0]) / (LIPS_HOLD[1] - LIPS_HOLD[0]), 0.0, 1.0)
        stick = (1.0 - torn * torn * (3.0 - 2.0 * torn)) * max(0.0, 1.0 - 2.0 * FULL * a[25])
        closed = np.where(gap[:, 1] <= 0, 1.0, np.maximum(seal, stick))[:, None]
        down, up = -UPPER_LIP_SHARE * gap * closed, (1.0 - UPPER_LIP_SHARE) * gap * closed
        for ring, follow in enumerate(_SEAL_FOLLOWS):
            vertices[rings[ring, top]] += follow * down
            vertices[rings[ring, bottom]] += follow * up
        for row, follow in enumerate((1.0, 0.7, 0.3)):
            vertices[bag[row, top]] += follow * down
            vertices[bag[row, bottom]] += follow * up

    def _slide_lids(self, vertices: Array, a: Mapping[int, float], look_up: float) -> None:
        gain = dict(zip(AUS, self.person.au_gain.tolist(), strict=True))
        raised = np.clip(0.27 * gain[7] * a[7] + 0.1 * a[6] + 0.08 * a[9] + 0.25 * look_up, -0.2, 0.6)
        opened = 0.37 * gain[5] * a[5] + 1.2 * look_up - 0.1 * a[7] - 0.1 * a[4]
        close = float(np.clip(-opened * (1.0 - a[43]) + a[43], -0.55, 1.0))
        rings, centres = self.skin.eye_rings, self.person.eye_centres.astype(np.float64)
        field_moved = (vertices[rings] - self.rest[rings]) * _LID_FREEDOM[None, :, None, None]
        place = np.stack([self.lid_x, self.lid_angle, self.lid_reach])
        step = (close * (1.0 - raised)) * self.lid_close[:, :, None]
        place[..., self.lid_top] += step * _UPPER_FOLLOWS[:, None]
        place[..., self.lid_bottom] -= raised * self.lid_close[:, :, None] * _LOWER_FOLLOWS[:, None]
        x, angle, reach = place
        offset = np.stack([x, reach * np.sin(angle), reach * np.cos(angle)], axis=-1) + field_moved
        top, bottom = self.lid_top, self.lid_bottom
        # fields may differ between the two rims: what is closed stays closed
        shut = max(0.0, close) ** 4
        meet = 0.5 * (offset[:, 0, top] + offset[:, 0, bottom])
        for column in (top, bottom):
            offset[:, 0, column] += shut * (meet - offset[:, 0, column])
        length = np.linalg.norm(offset, axis=-1, keepdims=True)
        surface = self.person.eye_radius + LID_GAP * self.person.scale
        offset *= np.maximum(1.0, surface / length)
        vertices[rings] = centres[:, None, None] + offset
        rim = offset[:, 0]
        out = rim / np.linalg.norm(rim, axis=-1, keepdims=True)
        radius, scale = self.person.eye_radius, self.person.scale
        rows = np.stack([rim, out * (radius + 0.005 * scale), out * (radius - 0.12 * scale)], axis=1)
        margin = slice(self.margin, self.margin + 6 * EYE_COLUMNS)
        vertices[margin] = (centres[:, None, None] + rows).reshape(-1, 3)


def lip_seal(a: Mapping[int, float]) -> float:
    """How firmly the lips are held together, 0..1, from contractions (0..1) of AU 23, 24, 25 and 28.

    Full from AU 24 = 2 on as long as AU 25 is silent: the closure of /p b m/.
    """
    press = max(2.5 * a[24], 1.25 * a[23], 1.25 * a[28])
    return float(np.clip(press, 0.0, 1.0) * np.clip(1.0 - FULL * a[25], 0.0, 1.0))


_RIGS: weakref.WeakKeyDictionary[PersonShape, Rig] = weakref.WeakKeyDictionary()


def rig(person: PersonShape) -> Rig:
    """The rig of a person; kept as long as the person is."""
    if person not in _RIGS:
        _RIGS[person] = Rig(person)
    return _RIGS[person]


def deform(
    person: PersonShape,
    au_intensity: NDArray[np.floating],
    gaze: tuple[float, float] | Array = (0.0, 0.0),
    tongue: Mapping[str, float] | None = None,
) -> Floats:
    """The head of a person in one frame, before the pose.

    Args:
        person: from `head.person_shape` or `head.mean_head`.
        au_intensity: (A,) in the order of `AUS`, 0..5; values outside are clipped.
        gaze: yaw (positive to image right) and pitch (positive up), radians; the upper lid follows the pitch.
        tongue: parameters of `tongue.TONGUE_PARAMETERS`, 0..1; those left out are at rest.

    Returns:
        (V, 3) float32 cm.

    Raises:
        ValueError: au_intensity has another shape.
    """
    return rig(person).deform(au_intensity, gaze, tongue)
