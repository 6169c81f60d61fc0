"""The parts of the head that are not its outer surface: eyeballs, lid margins, mouth, teeth, tongue, ears, neck, hair.

Each builder returns a `Part` of the mean head in cm (`docs/world.md` for axes), symmetric about x = 0, with its own
chart. Parts that continue the skin start with copies of the skin's border vertices (`twin`), so that the border has no
crack and moves as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.world import anthropometry as body
from vultus.world.anthropometry import Array
from vultus.world.skin_mesh import Index, SkinMesh

EYE_CHART_RAD = 1.75
"""Angle from the eyeball's forward pole at the border of its chart."""
TEETH = 12
"""Teeth of a row; tooth k covers u in k/12 .. (k + 1)/12 of the row's chart, v runs from gum (0) to edge (1)."""
GUM_V = 0.3
"""Gum above this v of the teeth's chart, enamel below."""
TEETH_Z = 2.5
"""Front of the upper incisors."""
UPPER_EDGE_Y = -7.2
LOWER_EDGE_Y = -7.02
HAIR_RINGS, HAIR_COLUMNS = 34, 64

_FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Part:
    """A piece of the head.

    Attributes:
        name: one of `head.PARTS`.
        vertices: (V, 3) cm.
        triangles: (T, 3) local indices, counter-clockwise seen from the side that the camera can see.
        uv: (V, 2) own chart.
        mirror: (V,) local index of the mirrored vertex.
        twin: (V,) index of the skin vertex at the same place, -1 for none.
    """

    name: str
    vertices: Array
    triangles: Index
    uv: Array
    mirror: Index
    twin: Index


def _strip(rows: int, columns: int, closed: bool) -> Index:
    """Triangles of a grid of rows x columns; rows go down, columns to the right, seen from outside."""
    wide = columns if closed else columns - 1
    row, column = (g.ravel() for g in np.meshgrid(np.arange(rows - 1), np.arange(wide), indexing="ij"))
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = a + columns, b + columns
    return np.concatenate([np.c_[a, c, b], np.c_[b, c, d]]).astype(np.int32)


def _pair(name: str, vertices: Array, triangles: Index, uv: Array, twin: tuple[Index, Index] | None = None) -> Part:
    """A part that exists at x > 0 (given) and, mirrored, at x < 0; the mirrored chart keeps its own left and right."""
    count = len(vertices)
    mirrored_uv = uv * (-1.0, 1.0) + (1.0, 0.0)
    return Part(
        name,
        np.concatenate([vertices * _FLIP, vertices]),
        np.concatenate([triangles[:, [0, 2, 1]], triangles + count]).astype(np.int32),
        np.concatenate([mirrored_uv, uv]),
        np.concatenate([np.arange(count, 2 * count), np.arange(count)]).astype(np.int32),
        np.full(2 * count, -1, np.int32) if twin is None else np.concatenate(twin),
    )


def _grid_mirror(rows: int, columns: int, closed: bool) -> Index:
    grid = np.arange(rows * columns).reshape(rows, columns)
    flipped = np.concatenate([grid[:, :1], grid[:, :0:-1]], axis=1) if closed else grid[:, ::-1]
    return flipped.ravel().astype(np.int32)


def eyeballs() -> Part:
    """Front two thirds of both eyeballs; chart: angle from the forward pole over `EYE_CHART_RAD`, around (0.5, 0.5)."""
    rings, columns = 13, 24
    polar = EYE_CHART_RAD * (np.arange(rings) + 0.5) / rings
    turn = 2 * np.pi * np.arange(columns) / columns
    radial = np.c_[np.cos(turn), np.sin(turn)]
    across = np.sin(polar)[:, None, None] * radial
    front = np.broadcast_to(np.cos(polar)[:, None, None], (rings, columns, 1))
    ball = np.concatenate([[[0.0, 0.0, 1.0]], np.concatenate([across, front], axis=2).reshape(-1, 3)])
    uv = 0.5 + 0.5 * (polar / EYE_CHART_RAD)[:, None, None] * radial * (1.0, -1.0)
    cap = np.c_[np.zeros(columns), 1 + np.arange(columns), 1 + (np.arange(columns) + 1) % columns]
    body_strip = _strip(rings, columns, closed=True) + 1
    triangles = np.concatenate([cap, body_strip]).astype(np.int32)
    return _pair(
        "sclera",
        body.EYE_CENTRE + body.EYE_RADIUS * ball,
        triangles,
        np.concatenate([[[0.5, 0.5]], uv.reshape(-1, 2)]),
    )


def lid_margins(skin: SkinMesh) -> Part:
    """From the lid rims inward to the eyeball: rim, edge that touches the eyeball, and a row that sinks into it."""
    rims = skin.eye_rings[:, 0]
    rim = skin.vertices[rims[1]]
    out = rim - body.EYE_CENTRE
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    edge = body.EYE_CENTRE + out * (body.EYE_RADIUS + 0.005)
    sunk = body.EYE_CENTRE + out * (body.EYE_RADIUS - 0.12)
    columns = len(rim)
    # the rim turns clockwise seen from the front: rows run from the skin inward
    triangles = _strip(3, columns, closed=True)[:, [0, 2, 1]]
    u = np.arange(columns) / columns
    uv = np.concatenate([np.c_[u, np.full(columns, v)] for v in (0.0, 0.5, 1.0)])
    none = np.full(2 * columns, -1, np.int32)
    twin = tuple(np.concatenate([rims[side], none]).astype(np.int32) for side in (0, 1))
    return _pair("eyelid", np.concatenate([rim, edge, sunk]), triangles, uv, (twin[0], twin[1]))


def mouth_bag(skin: SkinMesh) -> Part:
    """From the stomion into the mouth: inner lips, vestibule, palate and floor, throat."""
    ring = skin.lip_rings[0]
    rim = skin.vertices[ring]
    columns = len(ring)
    turn = 2 * np.pi * np.arange(columns) / columns
    up = np.sin(turn)  # 1 upper midline, -1 lower midline, 0 corners; column 0 is the image-left corner
    side = -np.cos(turn)
    steps = (  # x, y, z of an ellipse about the mouth's midline
        (2.2, 0.4, -0.28),
        (2.15, 0.95, -0.45),
        (2.7, 1.75, -1.7),
        (2.6, 1.9, -3.6),
        (1.6, 1.3, -6.0),
    )
    rows = [rim]
    centre_y = rim[0, 1]
    for i, (width, height, depth) in enumerate(steps):
        blend = 0.0 if i else 1.0  # the first row still follows the lips
        x = blend * rim[:, 0] * 0.97 + (1 - blend) * width * side
        y = blend * (rim[:, 1] + height * up) + (1 - blend) * (centre_y - 0.1 + height * up)
        z = rim[:, 2] * max(0.0, 1.0 - 0.28 * i) + (1 - max(0.0, 1.0 - 0.28 * i)) * 2.6 + depth
        rows.append(np.c_[x, y, z])
    throat = np.array([[0.0, centre_y - 0.3, -4.4]])
    vertices = np.concatenate([*rows, throat])
    strip = _strip(len(rows), columns, closed=True)
    last = (len(rows) - 1) * columns
    after = (np.arange(columns) + 1) % columns
    cap = np.c_[last + np.arange(columns), np.full(columns, len(vertices) - 1), last + after]
    triangles = np.concatenate([strip, cap]).astype(np.int32)
    u = np.arange(columns) / columns
    uv = np.concatenate([*(np.c_[u, np.full(columns, row / 6)] for row in range(len(rows))), [[0.5, 1.0]]])
    mirror_column = (columns // 2 - np.arange(columns)) % columns
    mirror = (np.arange(len(rows))[:, None] * columns + mirror_column).ravel()
    twin = np.full(len(vertices), -1, np.int32)
    twin[:columns] = ring
    return Part("mouth_inside", vertices, triangles, uv, np.append(mirror, len(vertices) - 1).astype(np.int32), twin)


def teeth_arch(x: Array) -> Array:
    """Front of the upper teeth at x: z in cm."""
    return TEETH_Z - 0.42 * x**2 - 0.02 * x**4


def teeth(upper: bool) -> Part:
    """One row of teeth on a parabolic arch, with its gum."""
    columns = 3 * TEETH + 1
    along = np.linspace(-1.0, 1.0, columns)
    x = 2.45 * along
    inset = 0.0 if upper else 0.22
    arch_z = teeth_arch(x) - inset
    slope = -0.84 * x - 0.08 * x**3
    normal = np.c_[-slope, np.ones(columns)]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    phase = np.arange(columns) % 3
    valley = phase == 0
    edge = UPPER_EDGE_Y if upper else LOWER_EDGE_Y
    sign = 1.0 if upper else -1.0
    notch = np.where(valley, 0.05, 0.0) + 0.08 * along**2
    rows = []
    for height, bulge in (
        (1.75, -0.05),
        (1.0, 0.0),
        (0.85, 0.03),
        (0.4, 0.07),
        (0.0, 0.03),
        (0.02, -0.22),
        (1.3, -0.5),
    ):
        out = bulge - np.where(valley & (height < 0.9), 0.05, 0.0)
        y = edge + sign * (height + (notch if height < 0.1 else np.where(valley & (0.8 < height < 1), 0.12, 0.0)))
        rows.append(np.c_[x + out * normal[:, 0], np.broadcast_to(y, columns), arch_z + out * normal[:, 1]])
    triangles = _strip(len(rows), columns, closed=False)
    if not upper:
        triangles = triangles[:, [0, 2, 1]]
    u = np.arange(columns) / (columns - 1)
    uv = np.concatenate([np.c_[u, np.full(columns, v)] for v in (0.0, 0.24, 0.34, 0.7, 1.0, 1.0, 1.0)])
    count = len(rows) * columns
    return Part(
        "teeth", np.concatenate(rows), triangles, uv,
        _grid_mirror(len(rows), columns, closed=False), np.full(count, -1, np.int32),
    )  # fmt: skip


def tongue() -> Part:
    """The tongue at rest: rings across from the tip (row 0) to the root; upper side at columns 0..8 of 16."""
    rows, columns = 13, 16
    t = np.linspace(0.0, 1.0, rows) ** 1.7
    z = 1.85 - 5.2 * t
    half_width = 1.6 * np.sqrt(np.clip(1 - (1 - np.clip(t / 0.45, 0.0, 1.0)) ** 2, 0.0, 1.0)) * (1 - 0.25 * t) + 0.02
    thickness = 0.75 * np.sqrt(np.clip(1 - (1 - np.clip(t / 0.35, 0.0, 1.0)) ** 2, 0.0, 1.0)) + 0.02
    top = -7.75 + 0.5 * np.sin(np.pi * np.clip(t, 0, 1) * 0.8)
    turn = 2 * np.pi * np.arange(columns) / columns
    x = half_width[:, None] * -np.cos(turn)
    groove = 0.12 * np.exp(-((x / 0.45) ** 2)) * np.minimum(1.0, 3 * t)[:, None]
    y = top[:, None] - thickness[:, None] * (1 - np.sin(turn)) * 0.5 - groove * (np.sin(turn) > 0.5)
    vertices = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=2).reshape(-1, 3)
    triangles = _strip(rows, columns, closed=True)[:, [0, 2, 1]]
    uv = np.stack(np.broadcast_arrays(0.5 - 0.5 * np.cos(turn)[None], t[:, None]), axis=2).reshape(-1, 2)
    column = (columns // 2 - np.arange(columns)) % columns
    mirror = (np.arange(rows)[:, None] * columns + column).ravel().astype(np.int32)
    return Part("tongue", vertices, triangles, uv, mirror, np.full(rows * columns, -1, np.int32))


def ears() -> Part:
    """Shells with helix, antihelix, concha, tragus and lobe, closed behind; the outline fills its chart."""
    rings = np.array([0.0, 0.16, 0.3, 0.42, 0.53, 0.63, 0.73, 0.82, 0.9, 0.97, 1.0, 0.96, 0.72])
    concha_to_helix = np.array([-0.55, -0.55, -0.42, -0.1, 0.3, 0.42, 0.3, 0.16, 0.3, 0.5, 0.42, 0.22, -0.45])
    flat_lobe = np.array([-0.45, -0.3, -0.1, 0.05, 0.12, 0.16, 0.2, 0.22, 0.22, 0.18, 0.08, -0.1, -0.5])
    columns = 28
    turn = 2 * np.pi * np.arange(columns) / columns  # 0 front, pi/2 top
    to_front, to_top = np.cos(turn), np.sin(turn)
    lobe = np.clip((-to_top - 0.55) / 0.35, 0.0, 1.0)
    front = np.clip(to_front, 0.0, 1.0) * (1 - lobe)
    reach_z = np.where(to_front > 0, 1.0 + 0.25 * np.clip(to_top, 0, 1), 1.75 + 0.15 * to_top - 0.75 * lobe)
    reach_y = np.where(to_top > 0, 3.0, 3.2)
    rows = []
    for ring, outer, low in zip(rings, concha_to_helix, flat_lobe, strict=True):
        depth = outer * (1 - lobe) + low * lobe
        # in front there is no helix: the tragus, then the cheek
        tragus = 0.35 * np.exp(-(((ring - 0.62) / 0.2) ** 2)) * np.exp(-(((to_top + 0.15) / 0.5) ** 2))
        depth = depth * (1 - front) + (tragus - 0.4 * ring) * front
        stand = 0.5 * (1.1 - ring * reach_z * to_front)  # the shell leaves the head towards its back
        rows.append(np.c_[depth + stand, ring * reach_y * to_top - 0.15 * ring, ring * reach_z * to_front])
    local = np.concatenate([rows[0][:1], *rows[1:]])
    tilt = 0.17
    turned = np.c_[
        local[:, 0],
        local[:, 1] * np.cos(tilt) + local[:, 2] * np.sin(tilt),
        local[:, 2] * np.cos(tilt) - local[:, 1] * np.sin(tilt),
    ]
    vertices = 0.94 * turned + np.array([6.75, -2.3, -6.6])
    cap = np.c_[np.zeros(columns), 1 + (np.arange(columns) + 1) % columns, 1 + np.arange(columns)]
    strip = _strip(len(rings) - 1, columns, closed=True)[:, [0, 2, 1]] + 1
    uv = np.clip(np.c_[0.5 - local[:, 2] / 4.0, 0.5 - local[:, 1] / 6.8], 0, 1)
    return _pair("ear", vertices, np.concatenate([cap, strip]).astype(np.int32), uv)


def neck_and_shoulders(skin: SkinMesh) -> tuple[Part, Part]:
    """A tube from the head's lower border to the collar, and from there the clothed shoulders."""
    ring = skin.neck_ring
    border = skin.vertices[ring]
    columns = len(ring)
    turn = 2 * np.pi * np.arange(columns) / columns  # 0 front, pi/2 image right
    front, right = np.cos(turn), np.sin(turn)
    levels = (  # y, half width, half depth, centre z
        (-13.2, 5.15, 5.5, -7.6),
        (-14.9, 5.4, 5.4, -8.0),
        (-16.4, 6.3, 5.5, -8.3),
        (-17.7, 8.0, 5.8, -8.5),
    )
    rows = [border]
    for i, (y, width, depth, z) in enumerate(levels):
        slant = 1.2 * front * (1 - i / 4)
        tube = np.c_[width * right, y - slant * 0.6 + 0 * right, z + depth * front]
        blend = (0.62, 0.95, 1.0, 1.0)[i]
        rows.append(border * (1 - blend) + tube * blend)
    collar = rows[-1]
    shoulder_rows = [collar]
    for y, width, depth, z, power in (
        (-18.1, 9.4, 6.6, -8.5, 0.95), (-19.3, 13.5, 7.8, -8.3, 0.8), (-20.9, 17.5, 8.7, -8.1, 0.7),
        (-23.3, 20.3, 9.3, -8.0, 0.65), (-27.0, 21.6, 10.2, -7.8, 0.6), (-34.0, 22.0, 11.0, -7.6, 0.6),
    ):  # fmt: skip
        shoulder_rows.append(np.c_[
            width * np.sign(right) * np.abs(right) ** power,
            np.full(columns, y) - 1.0 * np.clip(front, 0, 1) * (y < -19),
            z + depth * np.sign(front) * np.abs(front) ** power,
        ])  # fmt: skip
    u = np.arange(columns) / columns
    parts = []
    for name, grid in (("neck", rows), ("shoulders", shoulder_rows)):
        uv = np.concatenate([np.c_[u, np.full(columns, i / (len(grid) - 1))] for i in range(len(grid))])
        twin = np.full(len(grid) * columns, -1, np.int32)
        if name == "neck":
            twin[:columns] = ring
        parts.append(Part(
            name, np.concatenate(grid), _strip(len(grid), columns, closed=True), uv,
            _grid_mirror(len(grid), columns, closed=True), twin,
        ))  # fmt: skip
    return parts[0], parts[1]


def hair_grid() -> tuple[Array, Array, Index, Array, Index]:
    """Columns around the vertical axis and rings from the crown down.

    Returns:
        turn (HAIR_COLUMNS,) radians, 0 in front, pi/2 at image right; fall (HAIR_RINGS,) 0 crown .. 1 lower end;
        triangles; uv (u around, v down); mirror.
    """
    turn = 2 * np.pi * np.arange(HAIR_COLUMNS) / HAIR_COLUMNS
    fall = np.linspace(0.0, 1.0, HAIR_RINGS)
    uv = np.stack(np.broadcast_arrays((np.arange(HAIR_COLUMNS) / HAIR_COLUMNS)[None], fall[:, None]), axis=2)
    return (
        turn,
        fall,
        _strip(HAIR_RINGS, HAIR_COLUMNS, closed=True),
        uv.reshape(-1, 2),
        _grid_mirror(HAIR_RINGS, HAIR_COLUMNS, closed=True),
    )
