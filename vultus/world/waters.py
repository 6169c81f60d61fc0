"""Muscles as displacement fields on the skin: Waters 1987, "A muscle model for animating three-dimensional facial
expression".

`Linear` and `Sphincter` are Waters' two kinds. `Slide` is what his model leaves out: skin that bulges, rolls or slides
round the bone near a place. All act on both halves of the face; a place with x > 0 is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.world.anthropometry import Array

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Linear:
    """A muscle from bone to skin; pulls the skin in its sector towards the bone.

    Attributes:
        attachment: on the bone, cm; does not move.
        insertion: in the skin, cm; the axis of the sector.
        pull: largest displacement, cm, at full contraction.
        start, finish: distances from the attachment, cm, at which the pull is largest, and where it has faded out.
        half_angle: of the sector, radians.
    """

    attachment: Triple
    insertion: Triple
    pull: float
    start: float
    finish: float
    half_angle: float

    def field(self, points: Array) -> Array:
        """(V, 3) displacement of points at full contraction, one half of the face."""
        to_bone = np.array(self.attachment) - points
        distance = np.maximum(np.linalg.norm(to_bone, axis=1), 1e-9)
        axis = np.array(self.insertion) - np.array(self.attachment)
        cosine = -(to_bone @ axis) / (distance * np.linalg.norm(axis))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        angular = np.cos(0.5 * np.pi * np.minimum(angle / self.half_angle, 1.0))
        near = np.cos(0.5 * np.pi * (1.0 - distance / self.start))
        far = np.cos(0.5 * np.pi * np.clip((distance - self.start) / (self.finish - self.start), 0.0, 1.0))
        strength = self.pull * angular * np.where(distance <= self.start, near, far)
        moved: Array = strength[:, None] * to_bone / distance[:, None]
        return moved

    @property
    def paired(self) -> bool:
        """Whether there is one on each side."""
        return self.attachment[0] != 0.0


@dataclass(frozen=True)
class Sphincter:
    """A ring muscle; draws the skin towards its centre, in the plane of the ring.

    Attributes:
        centre: cm.
        radii: half axes x, y of the ellipse inside which skin moves, cm.
        pull: largest displacement, cm.
        depth: cm, skin further than this from the centre along z does not move.
    """

    centre: Triple
    radii: tuple[float, float]
    pull: float
    depth: float = 3.0

    def field(self, points: Array) -> Array:
        """(V, 3) displacement of points at full contraction, one half of the face."""
        offset = points - np.array(self.centre)
        reach = np.hypot(offset[:, 0] / self.radii[0], offset[:, 1] / self.radii[1])
        inside = np.clip(reach, 0.0, 1.0)
        # 0 at the centre, 1 half way out, 0 at the ellipse
        strength = self.pull * np.sin(np.pi * inside) * np.cos(0.5 * np.pi * np.clip(offset[:, 2] / self.depth, -1, 1))
        across = offset[:, :2] / np.maximum(np.linalg.norm(offset[:, :2], axis=1, keepdims=True), 1e-9)
        moved: Array = np.c_[-strength[:, None] * across, np.zeros(len(points))]
        return moved

    @property
    def paired(self) -> bool:
        """Whether there is one on each side."""
        return self.centre[0] != 0.0


@dataclass(frozen=True)
class Slide:
    """Skin near a place moves by `move` (cm), fading with exp(-(distance / radius)^2).

    `lip` restricts it to one side of the stomion: 1 upper, -1 lower, 0 both.
    """

    place: Triple
    move: Triple
    radius: float
    lip: int = 0

    def field(self, points: Array) -> Array:
        """(V, 3) displacement of points at full contraction, one half of the face."""
        distance2 = ((points - np.array(self.place)) ** 2).sum(axis=1)
        moved: Array = np.exp(-distance2 / self.radius**2)[:, None] * np.array(self.move)
        return moved

    @property
    def paired(self) -> bool:
        """Whether there is one on each side."""
        return self.place[0] != 0.0


Action = Linear | Sphincter | Slide


def field(actions: tuple[Action, ...], points: Array, upper: Array) -> Array:
    """Sum of the actions on both halves of the face.

    Args:
        actions: of one action unit.
        points: (V, 3) cm.
        upper: (V,) 1 above the stomion, 0 below, between outside the corners of the mouth.

    Returns:
        (V, 3) displacement at full contraction, cm.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    total = np.zeros_like(points)
    for action in actions:
        moved = action.field(points)
        if action.paired:
            moved = moved + action.field(points * flip) * flip
        if isinstance(action, Slide) and action.lip:
            moved = moved * (upper if action.lip > 0 else 1.0 - upper)[:, None]
        total += moved
    return total
