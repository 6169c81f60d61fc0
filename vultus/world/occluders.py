"""What can lie over a face: glasses, a medical mask, a hand, a lock of hair; each a small mesh in head coordinates.

Worn things are fitted to the head as it is in the frame, so a mask moves with the jaw. The colours are linear albedo.

Legend: V vertices, T triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vultus.world.chart import smooth_open
from vultus.world.scene import Occluder
from vultus.world.shading import GLASSES, HAND, LOCK, MASK

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Prop:
    """vertices: (V, 3) head coordinates, cm; triangles: (T, 3); albedo: (V, 3); gloss: (V,); part: code of the mask."""

    vertices: Floats
    triangles: Ints
    albedo: Floats
    gloss: Floats
    part: int


def build_prop(
    occluder: Occluder, moment: float, landmarks: Doubles, face: Floats, tone: Floats, hair: Floats, scale: float
) -> Prop | None:
    """The mesh of an occluder at a moment of the clip.

    Args:
        occluder: what.
        moment: 0 start of the clip .. 1 end.
        landmarks: (68, 3) of the face in this frame, head coordinates, cm.
        face: (N, 3) vertices of the skin in front, in this frame.
        tone: (3,) albedo of the person's skin.
        hair: (3,) albedo of the person's hair.
        scale: of the head against the mean adult's.

    Returns:
        the mesh, or None while it is away.
    """
    if moment < occluder.start or moment > occluder.stop:
        return None
    if occluder.kind == "glasses":
        return _glasses(occluder, landmarks, scale)
    if occluder.kind == "mask":
        return _mask(occluder, landmarks, face)
    if occluder.kind == "lock":
        return _lock(occluder, landmarks, hair, scale)
    edge = min(moment - occluder.start, occluder.stop - moment) / max(occluder.stop - occluder.start, 1e-6)
    arrived = float(np.clip(edge / 0.12, 0, 1)) if occluder.start > 0 or occluder.stop < 1 else 1.0
    return _hand(occluder, landmarks, tone, scale, arrived * arrived * (3 - 2 * arrived))


def _tube(path: Doubles, radius: Doubles, sides: int = 7, closed: bool = False) -> tuple[Doubles, Ints]:
    """A round tube along a path (N, 3) with radii (N,); open ends are closed by a cap vertex."""
    along = np.gradient(path, axis=0) if not closed else np.roll(path, -1, 0) - np.roll(path, 1, 0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(helper, along)
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    turn = 2 * np.pi * np.arange(sides) / sides
    ring = first[:, None] * np.cos(turn)[None, :, None] + second[:, None] * np.sin(turn)[None, :, None]
    vertices = (path[:, None] + radius[:, None, None] * ring).reshape(-1, 3)
    count = len(path)
    rows = np.arange(count if closed else count - 1)[:, None] * sides
    below = (rows + sides) % (count * sides)
    here, right = np.arange(sides)[None], (np.arange(sides)[None] + 1) % sides
    a, b, c, d = (
        np.broadcast_to(g, (len(rows), sides)).ravel() for g in (rows + here, rows + right, below + here, below + right)
    )
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    if not closed:
        ends = np.stack([path[0] - along[0] * radius[0] * 0.8, path[-1] + along[-1] * radius[-1] * 0.8])
        base = count * sides
        last = base - sides
        cap = [
            np.stack([np.full(sides, base), right[0], here[0]], 1),
            np.stack([np.full(sides, base + 1), last + here[0], last + right[0]], 1),
        ]
        vertices, triangles = np.concatenate([vertices, ends]), np.concatenate([triangles, *cap])
    return vertices, triangles.astype(np.int32)


def _joined(pieces: list[tuple[Doubles, Ints]]) -> tuple[Floats, Ints]:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    vertices = np.concatenate([vertices for vertices, _ in pieces]).astype(np.float32)
    triangles = np.concatenate([t + start for (_, t), start in zip(pieces, starts, strict=False)]).astype(np.int32)
    return vertices, triangles


def _prop(
    pieces: list[tuple[Doubles, Ints]], colour: Floats | tuple[float, float, float], gloss: float, part: int
) -> Prop:
    vertices, triangles = _joined(pieces)
    albedo = np.broadcast_to(np.asarray(colour, np.float32), vertices.shape).copy()
    return Prop(vertices, triangles, albedo, np.full(len(vertices), gloss, np.float32), part)


def _glasses(occluder: Occluder, landmarks: Doubles, scale: float) -> Prop:
    """Frames of one of several shapes: two rims, bridge, temples."""
    roundness = 2.0 + 4.0 * (occluder.variant * 3 % 1)
    thick = scale * (0.10 + 0.13 * (occluder.variant * 7 % 1))
    half_height = scale * (1.55 + 0.55 * (occluder.variant * 5 % 1))
    # Worn on the bridge of the nose; brows and lids may move, glasses do not follow them.
    bridge = landmarks[28]
    front = float(max(landmarks[27, 2], landmarks[[36, 45], 2].max() + 1.1)) + 0.9 * scale
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    pieces = []
    for side in (-1.0, 1.0):
        x = side * 3.25 * scale + 2.55 * scale * np.sign(cosine) * np.abs(cosine) ** (2 / roundness)
        y = 0.1 * scale - 0.25 + half_height * np.sign(sine) * np.abs(sine) ** (2 / roundness)
        z = front - 0.045 * (x / scale) ** 2 * scale
        pieces.append(_tube(np.stack([x, y, z], 1), np.full(len(turn), thick), closed=True))
        hinge = np.array([side * 5.85 * scale, 0.7 * scale, front - 1.5 * scale])
        ear = np.array([side * 7.7 * scale, 0.4 * scale, landmarks[[0, 16], 2].mean() - 2.0 * scale])
        arm = np.stack([hinge, 0.7 * hinge + 0.3 * ear + [side * 0.6, 0.1, 0], ear])
        pieces.append(_tube(smooth_open(arm, 5), np.full(10, thick * 0.9)))
    middle = np.stack([np.linspace(-0.75, 0.75, 7) * scale, np.full(7, 0.45 * scale), np.full(7, front)], 1)
    middle[:, 1] += 0.25 * np.cos(np.linspace(-1.4, 1.4, 7))
    middle[:, 2] = np.maximum(middle[:, 2], bridge[2] + 0.15)
    pieces.append(_tube(middle, np.full(7, thick)))
    return _prop(pieces, occluder.colour, 1.6, GLASSES)


def _mask(occluder: Occluder, landmarks: Doubles, face: Floats) -> Prop:
    """A pleated medical mask from the nose to under the chin, with loops to the ears."""
    columns, rows = 25, 17
    nose, chin = landmarks[28] + np.array([0, -0.2, 0.0]), landmarks[8] + np.array([0, -0.7, 0.1])
    left, right = landmarks[[2, 3]].mean(0), landmarks[[14, 13]].mean(0)
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    middle = nose + v[..., None] * (chin - nose)
    side = np.where(u[..., None] < 0, left, right) + np.array([0.0, 4.2, 0.0]) * (0.5 - v[..., None])
    points = middle + np.abs(u)[..., None] ** 1.35 * (side - middle)
    points[..., 2] = _drape(points[..., :2], face)
    # It bridges hollows and stands off a little, least at its edges.
    for _ in range(6):
        inner = 0.25 * (points[:-2, 1:-1] + points[2:, 1:-1] + points[1:-1, :-2] + points[1:-1, 2:])
        points[1:-1, 1:-1, 2] = np.maximum(points[1:-1, 1:-1, 2], inner[..., 2])
    pleats = 0.07 * np.sin(v * 2 * np.pi * 4) * (1 - np.abs(u) ** 4)
    points[..., 2] += 0.22 + 0.25 * (1 - u**2) * np.sin(np.pi * v) + pleats
    here = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    faces = np.concatenate([
        np.stack([here, here + columns, here + 1], 1), np.stack([here + 1, here + columns, here + columns + 1], 1),
    ]).astype(np.int32)  # fmt: skip
    pieces = [(points.reshape(-1, 3), faces)]
    for corner, ear in (((0, 0), 0), ((rows - 1, 0), 0), ((0, columns - 1), 16), ((rows - 1, columns - 1), 16)):
        outwards = float(np.sign(landmarks[ear, 0]))
        end = landmarks[ear] + np.array([outwards * 0.5, 0.3, -0.8])
        path = np.linspace(points[corner], end, 6)
        path[1:-1] += np.array([outwards * 0.25, 0, 0.25])
        pieces.append(_tube(path, np.full(6, 0.11)))
    return _prop(pieces, occluder.colour, 0.05, MASK)


def _drape(places: Doubles, face: Floats) -> Doubles:
    """(...,) height z over the face at (..., 2) places: the highest vertex near each, falling off with distance."""
    near = face[face[:, 1] < 1.0]
    flat = places.reshape(-1, 2).astype(np.float32)
    away = ((flat[:, None] - near[None, :, :2]) ** 2).sum(2)
    height = (near[None, :, 2] - 0.45 * away).max(1)
    draped: Doubles = height.reshape(places.shape[:-1]).astype(np.float64)
    return draped


def _lock(occluder: Occluder, landmarks: Doubles, hair: Floats, scale: float) -> Prop:
    """A bundle of strands from the hairline over one eye or the forehead."""
    side = -1.0 if occluder.variant < 0.5 else 1.0
    depth = float(occluder.variant * 2 % 1)
    rng = np.random.default_rng([int(occluder.variant * 2**30), 0x10C])
    brow = landmarks[19] if side < 0 else landmarks[24]
    root = np.array([side * 1.2 * scale, brow[1] + 4.6 * scale, brow[2] - 0.4])
    tip = brow + np.array([side * 1.6, -0.6 - 3.2 * depth, 1.0 - 0.5 * depth])
    pieces = []
    for _ in range(34):
        spread = rng.normal(0, 0.33, 3) * [1.3, 0.4, 0.25]
        bend = np.array([side * rng.uniform(0.4, 1.1), 0, rng.uniform(0.9, 1.4)])
        middle = 0.5 * (root + tip) + bend + spread
        curve = smooth_open(np.stack([root + spread * 0.7, middle, tip + spread * [1.0, 2.2, 0.5]]), 6)
        radius = 0.16 * np.interp(np.linspace(0, 1, len(curve)), [0, 0.6, 1], [0.9, 1.0, 0.15])
        pieces.append(_tube(curve, radius, sides=5))
    return _prop(pieces, hair, 0.7, LOCK)


def _hand(occluder: Occluder, landmarks: Doubles, tone: Floats, scale: float, arrived: float) -> Prop:
    """A hand that covers mouth, cheek, or eye; it comes from below."""
    side = -1.0 if occluder.variant % 0.5 < 0.25 else 1.0
    place = int(occluder.variant * 3.999) % 4
    mouth = landmarks[[48, 54, 51, 57]].mean(0)
    eye = landmarks[36:42].mean(0) if side < 0 else landmarks[42:48].mean(0)
    target = (
        mouth + np.array([side * 1.0, 0.0, 0.0]),
        0.5 * (mouth + eye) + [side * 1.6, -0.5, -0.8],
        eye + np.array([side * 0.3, -0.4, 0.3]),
        0.35 * landmarks[8] + 0.65 * mouth,
    )[place]
    target = target + np.array([0, 0, 1.5]) + (1 - arrived) * np.array([side * 5.0, -17.0, 4.0])
    lean = side * (0.25 + 0.5 * (occluder.variant * 11 % 1))
    up = np.array([-np.sin(lean), np.cos(lean), 0.08])
    across = np.array([np.cos(lean), np.sin(lean), 0.0]) * side
    size = 0.95 * scale
    pieces = []
    palm = target - up * 3.6 * size
    lengths = (6.6, 7.4, 7.0, 5.6)
    for finger, length in enumerate(lengths):
        out = (finger - 1.5) * 1.72 * size
        knuckle = palm + across * out + up * (2.6 - 0.25 * abs(finger - 1.2)) * size
        fan = across * 0.09 * (finger - 1.5)
        path = np.stack(
            [
                knuckle + (up + fan) * t * length * size + np.array([0, 0, -0.22]) * (t * 2) ** 2
                for t in (-0.25, 0.15, 0.5, 0.8, 1.0)
            ]
        )
        radius = size * np.array([0.92, 0.86, 0.80, 0.72, 0.55]) * (0.95 if finger < 3 else 0.85)
        pieces.append(_tube(smooth_open(path, 3), np.repeat(radius[:-1], 3), sides=10))
    thumb = np.stack([
        palm - across * 2.2 * size - up * 1.6 * size, palm - across * 3.6 * size + up * 0.8 * size,
        palm - across * 4.1 * size + up * 2.9 * size, palm - across * 4.0 * size + up * 4.2 * size,
    ])  # fmt: skip
    pieces.append(_tube(smooth_open(thumb, 3), np.linspace(1.1, 0.7, 9) * size, sides=10))
    for out in (-1.9, -0.65, 0.65, 1.9):
        bone = np.stack(
            [palm + across * out * size + up * 3.2 * size, palm + across * out * 0.8 * size - up * 4.2 * size]
        )
        path = np.linspace(bone[0], bone[1], 6)
        pieces.append(_tube(path, np.linspace(1.05, 1.35, 6) * size, sides=10))
    wrist = np.linspace(palm - up * 3.4 * size, palm - up * 14 * size, 8)
    for out in (-0.9, 0.9):
        pieces.append(_tube(wrist + across * out * size, np.full(8, 1.9 * size), sides=10))
    return _prop(pieces, tone * np.array([1.0, 0.9, 0.88], np.float32), 0.35, HAND)
