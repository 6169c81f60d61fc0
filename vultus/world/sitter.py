"""What of a person is prepared once, before the first frame: shape, skin chart, creases, hair, eyes, occlusion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vultus.world.chart import ChartGrid
from vultus.world.genes import Genes, appearance
from vultus.world.head import PARTS, PersonShape, person_shape, topology
from vultus.world.head_parts import GUM_V
from vultus.world.iris import iris_colour, paint_iris
from vultus.world.light import ambient_occlusion
from vultus.world.muscles import AUS
from vultus.world.raster import vertex_normals
from vultus.world.skin import Complexion, SkinChart, paint_skin
from vultus.world.strands import hair_colour, paint_strands
from vultus.world.wrinkles import WrinkleMaps, wrinkle_maps

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Sitter:
    """A person ready to be photographed.

    shape: the head at rest.
    complexion, skin, wrinkles: the skin and its chart.
    iris: (R, A, 3); pupil: radius as a share of the iris.
    strands: (A, B, 2) hair texture; bald: no hair is drawn.
    albedo: (V, 3) of parts without chart (the shoulders are dressed by the scene); gloss: (V,).
    occlusion: (V,) share of ambient light at rest.
    """

    shape: PersonShape
    complexion: Complexion
    skin: SkinChart
    wrinkles: WrinkleMaps
    iris: Floats
    pupil: float
    strands: Floats
    bald: bool
    albedo: Floats
    gloss: Floats
    occlusion: Floats


def complexion_of(genes: Genes) -> Complexion:
    """A person's skin; make-up and shaving are habits that the seed decides."""
    look = appearance(genes)
    rng = np.random.default_rng([genes.seed, 0x5C0])
    habit, amount = rng.random(2)
    beard = 0.0
    if genes.sex == "male":
        # Shaven clean, stubble, or a beard as far as it grows.
        beard = look.beard * (0.08 if habit < 0.5 else 0.30 if habit < 0.8 else 0.55 + 0.45 * float(amount))
    make_up = 0.25 + 0.75 * float(amount) if genes.sex == "female" and genes.age >= 16 and habit < 0.6 else 0.0
    return Complexion(
        melanin=look.melanin,
        redness=look.redness,
        hair=hair_colour(look.hair_melanin, look.hair_red, look.hair_grey),
        brow_density=look.brow_density,
        brow_thickness=look.brow_thickness,
        freckles=look.freckles,
        moles=look.moles,
        beard=beard,
        make_up=make_up,
        oil=look.oil,
        age=genes.age,
        seed=genes.seed,
    )


def chart_size(height_px: int) -> int:
    """Side of the skin chart that a picture of this height can show: a power of two, 256..1024."""
    return int(np.clip(2 ** round(np.log2(max(height_px, 1) * 2)), 256, 1024))


@lru_cache(maxsize=1)
def chart_grid(size: int) -> ChartGrid:
    """Where the landmarks lie in the chart, and its scale at the front of the face."""
    from vultus.world.head import mean_head

    top = topology()
    points = mean_head().vertices[top.landmark_vertices]
    anchors = top.uv[top.landmark_vertices]
    front = slice(17, 68)
    across = np.polyfit(anchors[front, 0], points[front, 0], 1)[0]
    down = -np.polyfit(anchors[front, 1], points[front, 1], 1)[0]
    return ChartGrid(anchors, float(across), float(down), size)


@lru_cache(maxsize=4)
def prepare(genes: Genes, size: int) -> Sitter:
    """Prepare a person for pictures whose skin chart has `size` texels a side; kept for the next clip."""
    top = topology()
    shape = person_shape(genes)
    complexion = complexion_of(genes)
    grid = chart_grid(size)
    look = appearance(genes)
    albedo, gloss = _surface_of_parts(shape, complexion)
    solid = top.part != PARTS.index("hair")
    normals = welded_normals(shape.vertices, top.triangles[solid])
    occlusion = ambient_occlusion(shape.vertices, normals, top.triangles[solid])
    rng = np.random.default_rng([genes.seed, 0x1B15])
    return Sitter(
        shape=shape,
        complexion=complexion,
        skin=paint_skin(complexion, grid),
        wrinkles=wrinkle_maps(grid, complexion, AUS),
        iris=paint_iris(iris_colour(look.eye_melanin, look.eye_green), genes.seed),
        pupil=float(rng.uniform(0.30, 0.44)),
        strands=paint_strands(genes),
        bald=genes.hair_style == "bald",
        albedo=albedo,
        gloss=gloss,
        occlusion=occlusion,
    )


def welded_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Vertex normals that agree on both sides of the borders between parts."""
    weld = topology().weld
    normals = vertex_normals(vertices, weld[triangles])
    same: Floats = normals[weld]
    return same


def _surface_of_parts(shape: PersonShape, complexion: Complexion) -> tuple[Floats, Floats]:
    top = topology()
    tone = complexion.tone
    rng = np.random.default_rng([complexion.seed, 0x9A7])
    albedo = np.tile(tone, (len(shape.vertices), 1))
    gloss = np.full(len(shape.vertices), 0.4, np.float32)

    def paint(name: str, colour: npt.NDArray[np.float32] | tuple[float, float, float], shine: float) -> None:
        rows = slice(*top.ranges[name])
        albedo[rows] = np.asarray(colour, np.float32)
        gloss[rows] = shine

    paint("ear", tone * np.array([1.0, 0.88, 0.86], np.float32), 0.25)
    paint("neck", tone, 0.3)
    neck = slice(*top.ranges["neck"])
    below = np.clip(3 * top.uv[neck, 1:], 0, 1)
    albedo[neck] *= 1 - below * np.array([0.08, 0.12, 0.13], np.float32)
    paint("eyelid", tone * np.array([0.85, 0.62, 0.60], np.float32), 0.8)
    paint("mouth_inside", (0.16, 0.035, 0.035), 0.5)
    paint("tongue", (0.40, 0.15, 0.14), 0.9)
    enamel = np.array([0.74, 0.70, 0.60], np.float32) * float(rng.uniform(0.85, 1.0))
    enamel[2] *= float(np.interp(complexion.age, [20, 70], [1.0, 0.8]))
    for row in ("upper_teeth", "lower_teeth"):
        paint(row, enamel, 1.2)
        start, stop = top.ranges[row]
        gum = np.arange(start, stop)[top.uv[start:stop, 1] < GUM_V]
        albedo[gum] = (0.42, 0.13, 0.13)
    return albedo.astype(np.float32), gloss
