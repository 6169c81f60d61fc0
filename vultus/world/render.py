"""From a person, a scene and a performance to pictures with exact labels.

A frame is drawn in this order: the mesh is deformed and posed; head and occluders go through the z-buffer with two
samples a pixel in each direction; visible pixels are shaded; the background is put behind and hair is laid over; lens,
exposure, tone curve and noise make a photograph of it; a style may turn that into another domain. Labels come from the
same vertices and depths that drew the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.world.backdrop import paint_backdrop
from vultus.world.camera import angles, rotation
from vultus.world.compiled import compiled
from vultus.world.genes import Genes
from vultus.world.head import topology
from vultus.world.head_parts import HAIR_COLUMNS, HAIR_RINGS
from vultus.world.lashes import grow_lashes
from vultus.world.light import SHADOW_REACH_CM, shadow_map
from vultus.world.muscles import deform
from vultus.world.occluders import Prop, build_prop
from vultus.world.photograph import develop
from vultus.world.raster import Fragments, rasterise, vertex_normals
from vultus.world.scene import Scene
from vultus.world.shading import (
    BACKGROUND,
    GLASSES,
    HAIR,
    HAND,
    LOCK,
    MASK,
    Eyes,
    Lighting,
    Mouth,
    Surface,
    chart_slopes,
    shade_surface,
)
from vultus.world.sitter import Sitter, chart_size, prepare, welded_normals
from vultus.world.strands import HairLayer, HairSurface, comb, shade_hair
from vultus.world.styles import LUMA
from vultus.world.wrinkles import add_creases

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]

SAMPLES = 2
"""Samples a pixel in each direction."""
PIVOT = np.array([0.0, -5.0, -8.0])
"""Where the head turns on the neck, cm, head coordinates."""
LANDMARK_SLACK_CM = 0.6
"""A landmark is visible where the head itself lies no nearer to the camera than the landmark less this."""
METERED_ALBEDO = 0.36
"""A face of this luminance needs no correction of the exposure."""
OVER_THE_FACE = (GLASSES, HAND, MASK, LOCK)
"""Parts that are not of the head; hair and these hide a landmark however near they lie over it."""


@dataclass(frozen=True)
class FrameState:
    """What the face does in one frame.

    au_intensity: (A,) float32 over ``muscles.AUS``, 0..5.
    gaze: (2,) yaw and pitch of the eyes in the head, rad, signs as for the head.
    pose: (6,) pitch, yaw, roll in rad, then x, y, z of the head in cm.
    tongue: tongue parameters of the speech (`tongue.py`), or None.
    """

    au_intensity: Floats
    gaze: npt.NDArray[Any]
    pose: npt.NDArray[Any]
    tongue: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Frame:
    """A picture and its labels.

    rgb: (H, W, 3) uint8.
    landmarks_68: (68, 2) float32 px, exact projections, also of points that cannot be seen.
    visible: (68,) bool, inside the picture and not behind anything.
    pose: (6,) float32, pitch, yaw, roll (rad) and x, y, z (cm) of the head in this camera's axes (x right, y up, z
        towards the camera, so z is negative).
    box: (4,) float32 x0 y0 x1 y1 px, tight around the face from the hairline to the chin, cut at the picture.
    depth: (H, W) float32 cm along the optical axis, infinity for the background.
    mask: (H, W) uint8 part code (`shading`: head parts, then occluders), `BACKGROUND` elsewhere.
    occluded: something other than the head covers part of the face box.
    """

    rgb: npt.NDArray[np.uint8]
    landmarks_68: Floats
    visible: npt.NDArray[np.bool_]
    pose: Floats
    box: Floats
    depth: Floats
    mask: npt.NDArray[np.uint8]
    occluded: bool


def render_clip(person: Genes, scene: Scene, states: Iterable[FrameState]) -> Iterator[Frame]:
    """Draw the frames of a clip, one after the other.

    Args:
        person: who.
        scene: where, in which light, through which camera, in which style.
        states: what the face does, frame by frame.

    Yields:
        one frame a state; the same bytes for the same arguments.
    """
    studio = _Studio(prepare(person, chart_size(scene.camera.height)), scene)
    acts = list(states)
    for number, state in enumerate(acts):
        yield studio.frame(number, number / max(len(acts) - 1, 1), state)


class _Studio:
    """What stays the same during a clip."""

    def __init__(self, sitter: Sitter, scene: Scene) -> None:
        self.sitter, self.scene = sitter, scene
        top = topology()
        hair = top.part == HAIR
        self.triangles = np.ascontiguousarray(top.triangles[~hair])
        self.part = np.ascontiguousarray(top.part[~hair])
        start, stop = top.ranges["hair"]
        self.hair = slice(start, stop)
        self.hair_triangles = np.ascontiguousarray(top.triangles[hair] - start)
        self.hair_part = np.full(len(self.hair_triangles), HAIR, np.uint8)
        self.follows = _head_weight(top.uv, top.ranges)
        self.albedo = sitter.albedo.copy()
        self.albedo[slice(*top.ranges["shoulders"])] = scene.shirt
        self.gloss = sitter.gloss.copy()
        self.gloss[slice(*top.ranges["shoulders"])] = 0.05
        skin_vertices = np.arange(*top.ranges["skin"])
        in_face = (np.abs(top.uv[skin_vertices] - 0.5) <= 0.4).all(1)
        self.face_vertices = skin_vertices[in_face]
        camera = scene.camera
        self.background = paint_backdrop(scene.backdrop, camera.width, camera.height)
        light = scene.light
        self.directions = np.array([_unit(light.key_direction), _unit(light.fill_direction)], np.float32)
        self.colours = np.array([light.key_colour, light.fill_colour], np.float32)
        self.sky = np.array(light.sky_colour, np.float32)
        self.ground = np.array(light.ground_colour, np.float32)
        self.chart = np.empty_like(sitter.skin.chart)
        # Automatic exposure: a camera opens up, though not all the way, for a dark face.
        self.metered = np.float32((METERED_ALBEDO / float(sitter.complexion.tone @ LUMA)) ** 0.3)

    def frame(self, number: int, moment: float, state: FrameState) -> Frame:
        """Frame `number`, at `moment` (0..1) of the clip."""
        sitter, scene, camera = self.sitter, self.scene, self.scene.camera
        top = topology()
        turn = rotation(*(float(a) for a in state.pose[:3]))
        shift = np.asarray(state.pose[3:6], np.float64)
        local = deform(sitter.shape, state.au_intensity, state.gaze, state.tongue)
        world = _posed(local, turn, shift, self.follows)
        strength = sitter.wrinkles.strength(state.au_intensity)
        add_creases(sitter.skin.chart, sitter.wrinkles.layers, sitter.wrinkles.boxes, strength, self.chart)
        surface = Surface(
            world,
            welded_normals(world, self.triangles),
            self.albedo,
            sitter.occlusion,
            self.gloss,
            top.uv,
            self.triangles,
            self.part,
            chart_slopes(world, top.uv, self.triangles),
        )
        for prop in self._props(local, moment):
            surface = _with_prop(surface, prop, _posed(prop.vertices, turn, shift, np.ones(1, np.float32)))
        light = self._lighting(surface, (PIVOT + shift).astype(np.float32))
        screen = camera.project(surface.positions, SAMPLES)
        solid = rasterise(screen, surface.triangles, camera.width * SAMPLES, camera.height * SAMPLES)
        depth, mask = _resolve(solid.triangle, solid.depth, surface.part, SAMPLES)
        hair = [] if sitter.bald else self._comb(world, screen, solid, light, depth, mask)
        covered = hair[-1].over_solid if hair else np.zeros(depth.shape, np.float32)
        colour, coverage = shade_surface(
            solid.triangle,
            solid.weights,
            solid.depth,
            covered,
            surface,
            self.chart,
            light,
            self._eyes(world, turn, shift, state),
            _mouth(world, turn, top.landmark_vertices),
            SAMPLES,
        )
        picture = _laid_over(hair, colour, coverage, self.background)
        rgb = develop(picture * self.metered, mask, scene, number)
        points = camera.project(world[top.landmark_vertices])
        box = self._box(world)
        return Frame(
            rgb=rgb,
            landmarks_68=points[:, :2].copy(),
            visible=_visible(points, depth, mask),
            pose=self._pose_in_camera(turn, shift),
            box=box,
            depth=depth,
            mask=mask,
            occluded=_occluded(mask, box),
        )

    def _props(self, local: Floats, moment: float) -> list[Prop]:
        shape = self.sitter.shape
        landmarks = local[topology().landmark_vertices].astype(np.float64)
        hair = np.array(self.sitter.complexion.hair, np.float32)
        built = (
            build_prop(
                occluder, moment, landmarks, local[self.face_vertices], self.sitter.complexion.tone, hair, shape.scale
            )
            for occluder in self.scene.occluders
            if occluder.kind != "lock" or not self.sitter.bald
        )
        lashes = grow_lashes(local, shape.eye_centres, self.sitter.complexion, shape.scale)
        return [lashes, *(prop for prop in built if prop is not None)]

    def _lighting(self, surface: Surface, middle: Floats) -> Lighting:
        solid = surface.triangles
        if not self.sitter.bald:
            solid = np.concatenate([solid, self.hair_triangles + np.int32(self.hair.start)])
        shadow = shadow_map(surface.positions, solid, self.directions[0], centre=middle, reach_cm=SHADOW_REACH_CM)
        return Lighting(
            self.scene.camera.position.astype(np.float32),
            self.directions,
            self.colours,
            self.sky,
            self.ground,
            shadow.depth,
            shadow.axes,
            shadow.centre,
            shadow.texels_per_cm,
        )

    def _comb(
        self,
        world: Floats,
        screen: Floats,
        solid: Fragments,
        light: Lighting,
        depth: Floats,
        mask: npt.NDArray[np.uint8],
    ) -> list[HairLayer]:
        """The hair's inner side, which shows through ragged ends, then whatever is in front.

        Depth and mask are updated in place where hair covers more than half of a pixel.
        """
        shell = np.ascontiguousarray(world[self.hair])
        surface = HairSurface(
            shell,
            *comb(shell, self.hair_triangles, HAIR_RINGS, HAIR_COLUMNS),
            np.ascontiguousarray(topology().uv[self.hair]),
            self.hair_triangles,
            self.sitter.strands,
            np.array(self.sitter.complexion.hair, np.float32),
        )
        height, width = solid.triangle.shape
        layers = []
        for triangles, inner in ((self.hair_triangles[:, ::-1].copy(), True), (self.hair_triangles, False)):
            fragments = rasterise(screen[self.hair], triangles, width, height, cull_back=inner)
            layer = shade_hair(
                fragments.triangle, fragments.weights, fragments.depth, solid.depth,
                surface._replace(triangles=triangles), light, SAMPLES,
            )  # fmt: skip
            layers.append(layer)
            nearest, _ = _resolve(fragments.triangle, fragments.depth, self.hair_part, SAMPLES)
            hidden = (layer.over_solid + layer.over_empty > 0.5) & (nearest < depth)
            mask[hidden] = HAIR
            depth[hidden] = nearest[hidden]
        return layers

    def _eyes(self, world: Floats, turn: Doubles, shift: Doubles, state: FrameState) -> Eyes:
        yaw, pitch = float(state.gaze[0]), float(state.gaze[1])
        ahead = rotation(pitch, yaw, 0.0)
        centres = self.sitter.shape.eye_centres.astype(np.float64)
        lids = world[topology().landmark_vertices[[36, 37, 38, 39, 42, 43, 44, 45]]].reshape(2, 4, 3)
        gaze = turn @ ahead[:, 2]
        up = turn @ ahead[:, 1]
        return Eyes(
            ((centres - PIVOT) @ turn.T + PIVOT + shift).astype(np.float32),
            np.stack([gaze, gaze]).astype(np.float32),
            np.stack([up, up]).astype(np.float32),
            self.sitter.iris,
            lids.astype(np.float32),
            self.sitter.pupil,
            float(self.sitter.shape.eye_radius),
        )

    def _pose_in_camera(self, turn: Doubles, shift: Doubles) -> Floats:
        matrix = self.scene.camera.matrix
        origin = turn @ -PIVOT + PIVOT + shift
        place = matrix[:3, :3].T @ (origin - matrix[:3, 3])
        return np.array([*angles(matrix[:3, :3].T @ turn), *place], np.float32)

    def _box(self, world: Floats) -> Floats:
        points = self.scene.camera.project(world[self.face_vertices])[:, :2]
        limit = [self.scene.camera.width - 1, self.scene.camera.height - 1]
        return np.concatenate([np.clip(points.min(0), 0, limit), np.clip(points.max(0), 0, limit)]).astype(np.float32)


def _unit(direction: tuple[float, float, float]) -> Doubles:
    vector = np.array(direction, np.float64)
    unit: Doubles = vector / np.linalg.norm(vector)
    return unit


def _head_weight(uv: Floats, ranges: Mapping[str, tuple[int, int]]) -> Floats:
    """(V,) 1 for what turns with the head, 0 for the shoulders, in between down the neck."""
    weight = np.ones(len(uv), np.float32)
    neck, shoulders = slice(*ranges["neck"]), slice(*ranges["shoulders"])
    down = np.clip(uv[neck, 1], 0, 1)
    weight[neck] = 1 - down * down * (3 - 2 * down)
    weight[shoulders] = 0
    return weight


def _posed(local: Floats, turn: Doubles, shift: Doubles, follows: Floats) -> Floats:
    """Head coordinates to the world: the head turns about `PIVOT`, the shoulders stay, the neck bends between them."""
    turned = (local - PIVOT) @ turn.T + PIVOT
    bent = local + follows[:, None] * (turned - local)
    moved = bent + (0.35 + 0.65 * follows[:, None]) * shift
    return np.asarray(moved, np.float32)


def _laid_over(layers: list[HairLayer], colour: Floats, coverage: Floats, background: Floats) -> Floats:
    """Hair over the head's colour (times its coverage) and the background, each in its own share of the pixel."""
    behind = (1 - coverage)[..., None] * background
    for layer in layers:
        hidden_solid = layer.over_solid / np.maximum(coverage, 1e-6)
        hidden_empty = layer.over_empty / np.maximum(1 - coverage, 1e-6)
        colour = colour * (1 - hidden_solid)[..., None] + layer.colour * layer.over_solid[..., None]
        behind = behind * (1 - hidden_empty)[..., None] + layer.colour * layer.over_empty[..., None]
    return colour + behind


def _with_prop(surface: Surface, prop: Prop, world: Floats) -> Surface:
    """The mesh with an occluder added."""
    count, faces = len(prop.vertices), len(prop.triangles)
    return Surface(
        np.concatenate([surface.positions, world]),
        np.concatenate([surface.normals, vertex_normals(world, prop.triangles)]),
        np.concatenate([surface.albedo, prop.albedo]),
        np.concatenate([surface.occlusion, np.full(count, 0.85, np.float32)]),
        np.concatenate([surface.gloss, prop.gloss]),
        np.concatenate([surface.uv, np.zeros((count, 2), np.float32)]),
        np.concatenate([surface.triangles, prop.triangles + np.int32(len(surface.positions))]),
        np.concatenate([surface.part, np.full(faces, prop.part, np.uint8)]),
        np.concatenate([surface.slopes, np.zeros((faces, 6), np.float32)]),
    )


def _occluded(mask: npt.NDArray[np.uint8], box: Floats) -> bool:
    x0, y0, x1, y1 = np.rint(box).astype(int)
    inside = mask[y0 : y1 + 1, x0 : x1 + 1]
    return bool(np.isin(inside, OVER_THE_FACE).any())


def _mouth(world: Floats, turn: Doubles, landmarks: Ints) -> Mouth:
    lips = world[landmarks[[61, 62, 63, 65, 66, 67]]].astype(np.float64)
    gap = float(np.linalg.norm(lips[:3].mean(0) - lips[3:].mean(0)))
    return Mouth(lips.mean(0).astype(np.float32), turn[:, 2].astype(np.float32), gap)


@compiled
def _resolve(
    triangle: Ints, depth: Floats, part: npt.NDArray[np.uint8], samples: int
) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Nearest depth (h, w) of each pixel's samples, and the part (h, w) at that sample."""
    h, w = triangle.shape[0] // samples, triangle.shape[1] // samples
    nearest = np.full((h, w), np.inf, np.float32)
    mask = np.full((h, w), BACKGROUND, np.uint8)
    for y in range(h * samples):
        for x in range(w * samples):
            if depth[y, x] < nearest[y // samples, x // samples]:
                nearest[y // samples, x // samples] = depth[y, x]
                mask[y // samples, x // samples] = part[triangle[y, x]]
    return nearest, mask


def _visible(points: Floats, depth: Floats, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(N,) bool: inside the picture, and nothing near it in front. `points`: (N, 3) px, px, cm."""
    height, width = depth.shape
    column, row = np.rint(points[:, 0]).astype(int), np.rint(points[:, 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
    covered = np.isin(mask[row, column], (HAIR, *OVER_THE_FACE)) & (depth[row, column] < points[:, 2])
    # At a silhouette the pixel itself may belong to the background: the farthest of its neighbours decides.
    around = [
        depth[np.clip(row + j, 0, height - 1), np.clip(column + i, 0, width - 1)]
        for j in (-1, 0, 1)
        for i in (-1, 0, 1)
    ]
    free: npt.NDArray[np.bool_] = inside & ~covered & (points[:, 2] < np.max(around, 0) + LANDMARK_SLACK_CM)
    return free
