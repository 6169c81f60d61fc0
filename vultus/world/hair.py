"""The hair's outer surface: a shell over the skull that thins out at the hairline, goes on below it, and hangs free.

One grid serves all styles (`head_parts.hair_grid`): columns around the vertical axis, rings from the crown down. The
upper half of the rings lies on the scalp, the lower half continues beyond the hairline: a fringe, sideburns, hair over
the ears and down to the shoulders; where there is none, those rings coincide. A renderer must draw the part from both
sides: long hair shows its inner side left and right of the neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.world import anthropometry as body
from vultus.world.anthropometry import Array
from vultus.world.genes import Genes, HairStyle
from vultus.world.head_parts import HAIR_RINGS, hair_grid

_HAIRLINE_RAD_DEG = np.array([
    (0.0, 46.0), (0.40, 46.0), (0.58, 42.0), (0.78, 31.0), (0.95, 14.0), (1.10, 0.0), (1.25, -5.0), (1.42, 7.0),
    (1.70, 3.0), (1.95, -12.0), (2.30, -27.0), (3.15, -33.0),
])  # fmt: skip
"""Turn from the front (rad) -> elevation of the hairline seen from `anthropometry.CENTRE` (degrees)."""
_NECK_RADIUS = 6.3
"""Hair that hangs below the head keeps at least this distance from the axis through `anthropometry.CENTRE`, cm."""
_EAR_STAND = 2.0
"""How far ears push hanging hair outwards, cm."""


@dataclass(frozen=True)
class Cut:
    """A hair style, each number for the shortest and the longest wearer, cm.

    lift: height over the scalp at the crown.
    front, side, back: length beyond the hairline.
    parted: long hair that leaves the face free.
    curly: 0..1, bumps on the surface.
    """

    lift: tuple[float, float]
    front: tuple[float, float]
    side: tuple[float, float]
    back: tuple[float, float]
    parted: bool = False
    curly: float = 0.0


CUTS: dict[HairStyle, Cut] = {
    "bald": Cut((-0.6, -0.6), (0, 0), (0, 0), (0, 0)),
    "cropped": Cut((0.25, 0.5), (0, 0), (0, 0.4), (0, 0.5)),
    "short": Cut((0.9, 1.7), (0, 1.2), (0.3, 1.4), (0.5, 2.0)),
    "medium": Cut((1.0, 1.8), (0.5, 3.8), (1.6, 4.8), (2.0, 5.0)),
    "bob": Cut((0.9, 1.5), (0, 4.2), (7.5, 11.5), (6.5, 10.0), parted=True),
    "long": Cut((0.8, 1.5), (0, 3.6), (15.0, 22.0), (14.0, 22.0), parted=True),
    "curly": Cut((1.8, 3.4), (0.2, 1.2), (1.5, 6.0), (2.5, 7.0), curly=1.0),
}


def hair_vertices(genes: Genes) -> Array:
    """The hair shell of a person on the mean skull; (HAIR_RINGS * HAIR_COLUMNS, 3) cm."""
    turn, _, _, _, _ = hair_grid()
    turn = np.where(turn > np.pi, turn - 2 * np.pi, turn)
    cut = CUTS[genes.hair_style]
    rng = np.random.default_rng(np.random.SeedSequence([genes.seed, 3]))
    longer, fringe = rng.random(2)
    phase = rng.uniform(0, 2 * np.pi, 5)
    parting = float(rng.choice([-0.45, 0.0, 0.45]))
    lift_cm = cut.lift[0] + longer * (cut.lift[1] - cut.lift[0])
    lift_cm *= float(np.clip(1 + 0.15 * genes.trait("hair_thickness"), 0.7, 1.4))
    beyond = _beyond(cut, turn, float(longer), float(fringe))

    rows = HAIR_RINGS // 2
    fall = np.linspace(0, 1, rows)[:, None]
    rise = np.pi / 2 - 0.03 - fall * (np.pi / 2 - 0.03 - _hairline(genes, turn))
    rays = np.stack([np.cos(rise) * np.sin(turn), np.sin(rise) + 0 * turn, np.cos(rise) * np.cos(turn)], axis=2)
    skull = body.surface(rays.reshape(-1, 3)).reshape(rows, len(turn), 3)
    # Full over the crown; towards the hairline it keeps its height only where hair goes on beyond it.
    full = np.sin(0.5 * np.pi * np.clip((1 - fall) / 0.5, 0, 1)) ** 0.9
    goes_on = np.clip(beyond / 2.5, 0, 1)[None]
    wave = 1 + 0.07 * np.sin(3 * turn + phase[0])[None] + 0.05 * np.sin(7 * turn + 3 * fall + phase[1])
    bumps = np.sin(15 * turn + phase[2])[None] * np.sin(17 * fall + phase[3]) + np.sin(9 * turn + 8 * fall + phase[4])
    lift = lift_cm * (full + (1 - full) * goes_on * 0.75) * (wave + 0.07 * cut.curly * bumps)
    lift -= 0.25 * lift_cm * np.exp(-(((turn - parting) / 0.16) ** 2))[None] * (1 - goes_on) * np.clip(3 * fall, 0, 1)
    if lift_cm > 0:
        lift = lift - 0.15 * (1 - full) * (1 - goes_on)
    covers_ears = _EAR_STAND * np.clip((beyond - 2.5) / 1.5, 0, 1) * np.exp(-(((np.abs(turn) - 1.62) / 0.38) ** 2))
    lift = lift + covers_ears * np.exp(-(((skull[:, :, 1] + 1.0) / 3.0) ** 2))
    scalp = skull + np.maximum(lift, -0.6)[..., None] * rays

    steps = np.linspace(0, 1, HAIR_RINGS - rows + 1)[1:, None]
    y = scalp[-1, :, 1][None] - steps * beyond[None]
    start = np.hypot(scalp[-1, :, 0], scalp[-1, :, 2] - body.CENTRE[2])[None]
    thick = (
        lift_cm
        * np.clip(beyond / 2.5, 0, 1)[None]
        * (0.55 + 0.35 * np.sin(np.pi * steps))
        * (1 + 0.06 * cut.curly * np.sin(13 * turn + 9 * steps))
    )
    reach = _reach(turn, y) + np.maximum(thick, 0.08) + covers_ears * np.exp(-(((y + 1.0) / 3.0) ** 2))
    # Hair bridges the hollows below the widest place above them, leaning in a little.
    widest = np.maximum.accumulate(np.concatenate([start, reach]), axis=0)[1:]
    hanging = np.maximum(reach, widest - 0.20 * steps * beyond[None])
    radius = start + np.clip(steps * 4, 0, 1) * (hanging - start) * np.clip(beyond, 0, 1)[None]
    radius += 0.3 * np.sin(6 * turn + 2 * steps + phase[2]) * steps * np.clip(beyond / 8, 0, 1)[None]
    hung = np.stack([radius * np.sin(turn), y, body.CENTRE[2] + radius * np.cos(turn)], axis=2)
    shell = np.concatenate([scalp, hung])
    # No crease where hair leaves the scalp.
    bend = slice(rows - 6, rows + 6)
    for _ in range(4):
        relaxed = 0.25 * shell[:-2] + 0.5 * shell[1:-1] + 0.25 * shell[2:]
        shell[bend] = shell[bend] + (goes_on[..., None] * (relaxed[rows - 7 : rows + 5] - shell[bend]))
    return shell.reshape(-1, 3)


def _beyond(cut: Cut, turn: Array, longer: float, fringe: float) -> Array:
    """(columns,) length in cm by which hair goes beyond the hairline."""
    side, back = (low + longer * (high - low) for low, high in (cut.side, cut.back))
    behind = np.clip((np.abs(turn) - 1.9) / 0.7, 0, 1)
    around = side * (1 - behind) + back * behind
    if cut.parted:
        # A fringe is worn or not; the sides begin beside the eyes.
        front = cut.front[1] if fringe < 0.3 else 0.0
        length: Array = np.maximum(
            front * np.clip((0.95 - np.abs(turn)) / 0.2, 0, 1), np.clip((np.abs(turn) - 0.80) / 0.25, 0, 1) * around
        )
        return length
    front = cut.front[0] + fringe * (cut.front[1] - cut.front[0])
    front = front if front > 1.5 else 0.0  # shorter than that, hair is combed back
    middle = np.exp(-((turn / 0.75) ** 2))
    whole: Array = front * middle + (1 - middle) * around
    return whole


def _hairline(genes: Genes, turn: Array) -> Array:
    """(columns,) elevation of the hairline, rad: genes move it, and in men age draws it back, at the temples first."""
    line = np.interp(np.abs(turn), _HAIRLINE_RAD_DEG[:, 0], _HAIRLINE_RAD_DEG[:, 1])
    retreat = 5.0 * (genes.share("hairline") - 0.5)
    temples = 3.0
    if genes.sex == "male":
        lost = genes.share("baldness") * float(np.clip((genes.age - 25) / 45, 0, 1))
        retreat, temples = retreat + 8.0 * lost, temples + 14.0 * lost
    line = line + retreat * np.exp(-((turn / 0.6) ** 2)) + temples * np.exp(-(((np.abs(turn) - 0.55) / 0.25) ** 2))
    elevation: Array = np.radians(line)
    return elevation


def _reach(turn: Array, y: Array) -> Array:
    """Horizontal distance of the mean head and neck from the axis through its centre, at heights (rows, columns)."""
    rise = np.linspace(np.radians(70), np.radians(-55), 26)
    reach = np.empty_like(y)
    for column, angle in enumerate(turn):
        rays = np.stack([np.cos(rise) * np.sin(angle), np.sin(rise), np.cos(rise) * np.cos(angle)], axis=1)
        points = body.surface(rays)
        far = np.hypot(points[:, 0], points[:, 2] - body.CENTRE[2])
        order = np.argsort(points[:, 1])
        reach[:, column] = np.interp(y[:, column], points[order, 1], far[order], left=_NECK_RADIUS)
    return np.maximum(reach, _NECK_RADIUS)
