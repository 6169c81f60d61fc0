"""Action units: calibration on measured expressions, place, and what may never happen to lips and lids."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.world.facs_areas import region_of
from tests.world.test_head import MEAN, REAL, TOP, someone
from vultus.data.tables import ACTION_UNITS
from vultus.world import anthropometry as body
from vultus.world import head
from vultus.world.muscle_table import EXPRESSIONS
from vultus.world.muscles import AUS, JAW_DROP, deform, lip_seal
from vultus.world.skin_mesh import EYE_COLUMNS, LIP_COLUMNS, skin_mesh
from vultus.world.waters import Linear, Slide, Sphincter, field

SKIN = skin_mesh()
LANDMARKS = TOP.landmark_vertices
UPPER_LIP, LOWER_LIP = SKIN.lip_rings[0, 1 : LIP_COLUMNS // 2], SKIN.lip_rings[0, : LIP_COLUMNS // 2 : -1]
FLIP = np.array([-1.0, 1.0, 1.0])


def units(**intensity: float) -> NDArray[np.float32]:
    """units(au12=5, au25=2) -> (A,)."""
    values = np.zeros(len(AUS), np.float32)
    for name, value in intensity.items():
        values[AUS.index(int(name[2:]))] = value
    return values


def moved(au: int, intensity: float = 5.0) -> NDArray[np.float64]:
    """(V, 3) displacement of the mean head by one unit."""
    return deform(MEAN, units(**{f"au{au}": intensity})).astype(np.float64) - MEAN.vertices


def gap(vertices: NDArray[np.float32]) -> NDArray[np.float64]:
    """(C, 3) from the lower lip to the upper lip, column by column."""
    return (vertices[UPPER_LIP] - vertices[LOWER_LIP]).astype(np.float64)


def test_units_are_those_of_the_tables_and_two_more() -> None:
    assert AUS[:-2] == ACTION_UNITS
    assert AUS[-2:] == (19, 43)


def test_nothing_moves_at_rest() -> None:
    for shape in (MEAN, head.person_shape(someone(3))):
        np.testing.assert_allclose(deform(shape, np.zeros(len(AUS))), shape.vertices, atol=2e-5)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="au_intensity"):
        deform(MEAN, np.zeros(12))


@pytest.mark.parametrize("au", sorted(EXPRESSIONS))
def test_motion_agrees_with_the_measured_expression(au: int) -> None:
    """Landmark displacement at intensity 5 against the expression of `EXPRESSIONS`, both halves averaged."""
    if not (REAL / "ict_deltas_f16.npz").exists():
        pytest.skip("the measured heads (VULTUS_REAL/face3d) are not on this machine")
    data = np.load(REAL / "ict_deltas_f16.npz", allow_pickle=False)
    names = [str(n) for n in data["expression_names"]]
    index = json.loads((REAL / "vertex_indices.json").read_text())["idx_to_landmark_verts"]
    wanted = [n for n in names for e in EXPRESSIONS[au] if n == e or n in (f"{e}_L", f"{e}_R")]
    assert wanted, "no such expression"
    real = sum(data["expression"][names.index(n)][index].astype(np.float64) for n in wanted)
    real = 0.5 * (real + real[list(body.IBUG_MIRROR)] * FLIP) * (JAW_DROP if au == 26 else 1.0)
    ours = moved(au)[LANDMARKS]
    cosine = (ours * real).sum() / np.linalg.norm(ours) / np.linalg.norm(real)
    ratio = np.linalg.norm(ours) / np.linalg.norm(real)
    assert cosine >= 0.8
    assert 0.7 <= ratio <= 1.3


@pytest.mark.parametrize("au", AUS)
def test_a_unit_moves_its_area_and_little_else(au: int) -> None:
    skin = slice(*TOP.ranges["skin"])
    amount = np.linalg.norm(moved(au), axis=1)
    inside = region_of(au)
    energy = amount[skin] ** 2
    assert energy[inside[skin]].sum() > 0.9 * energy.sum()
    landmarks, within = amount[LANDMARKS], inside[LANDMARKS]
    assert landmarks[within].max() > 0.08, "cm"
    assert landmarks[~within].max(initial=0.0) <= 0.4 * landmarks[within].max()


@pytest.mark.parametrize(("au", "point", "direction"), [
    (1, 21, (0, 1, 0)), (1, 22, (0, 1, 0)), (2, 18, (0, 1, 0)), (4, 20, (0, -1, 0)), (4, 21, (0.4, -1, 0)),
    (5, 37, (0, 1, 0)), (7, 41, (0, 1, 0)), (9, 51, (0, 1, 0)), (10, 51, (0, 1, 0)), (11, 49, (0, 1, 0)),
    (12, 48, (-0.6, 1, -0.6)), (12, 54, (0.6, 1, -0.6)), (14, 48, (0, 0, -1)), (15, 48, (0, -1, 0)),
    (16, 57, (0, -1, 0)), (17, 57, (0, 1, 0.5)), (18, 48, (1, 0, 1)), (20, 54, (1, 0, -1)), (22, 57, (0, -1, 0.5)),
    (23, 54, (-1, 0, 0)), (23, 51, (0, -1, 0)), (23, 57, (0, 1, 0)), (25, 66, (0, -1, 0)), (26, 8, (0, -1, -1)),
    (27, 8, (0, -1, -1)), (28, 62, (0, 0, -1)), (43, 37, (0, -1, 0)),
])  # fmt: skip
def test_landmarks_move_as_facs_describes(au: int, point: int, direction: tuple[float, float, float]) -> None:
    step = moved(au)[LANDMARKS[point]]
    assert step @ np.array(direction) / np.linalg.norm(direction) > 0.05, f"cm; moved by {step.round(2)}"


@pytest.mark.parametrize("au", AUS)
def test_motion_grows_with_intensity(au: int) -> None:
    amounts = [np.linalg.norm(moved(au, level)) for level in (0.0, 1.0, 2.5, 5.0)]
    assert amounts[0] < 1e-3
    assert (np.diff(amounts) > 0).all()


def test_mean_head_moves_symmetrically() -> None:
    for au in AUS:
        step = moved(au)
        np.testing.assert_allclose(step[TOP.mirror], step * FLIP, atol=2e-3)


def test_intensities_are_clipped() -> None:
    np.testing.assert_array_equal(deform(MEAN, units(au12=9)), deform(MEAN, units(au12=5)))
    np.testing.assert_allclose(deform(MEAN, units(au12=-3)), MEAN.vertices, atol=2e-5)


def test_lids_close_completely_for_everyone() -> None:
    half = EYE_COLUMNS // 2
    for shape in (MEAN, *(head.person_shape(someone(s, "male", 8 + 18 * s)) for s in range(5))):
        for others in ({}, {"au4": 3.0, "au6": 4.0, "au7": 3.0}, {"au1": 5.0, "au2": 5.0}, {"au12": 5.0}):
            vertices = deform(shape, units(au43=5, **others), (0.2, -0.1))
            rims = vertices[SKIN.eye_rings[:, 0]]
            np.testing.assert_allclose(rims[:, 1:half], rims[:, :half:-1], atol=0.02)


def test_lids_slide_over_the_eyeball() -> None:
    shape = head.person_shape(someone(11))
    for closed in (0.0, 1.5, 3.0, 5.0):
        lids = deform(shape, units(au43=closed, au6=2))[SKIN.eye_rings[:, :3]] - shape.eye_centres[:, None, None]
        assert np.linalg.norm(lids, axis=-1).min() > shape.eye_radius + 0.02


def test_upper_lid_follows_the_gaze() -> None:
    up, ahead, down = (deform(MEAN, units(), (0.0, pitch))[LANDMARKS[43], 1] for pitch in (0.3, 0.0, -0.3))
    assert up > ahead + 0.05
    assert down < ahead - 0.1


def test_lips_never_cut_into_each_other() -> None:
    rng = np.random.default_rng(0)
    shapes = [MEAN, *(head.person_shape(someone(s, "male", 25 + 10 * s)) for s in range(4))]
    for trial in range(60):
        intensity = (rng.random(len(AUS)) < 0.3) * rng.uniform(0, 5, len(AUS))
        opening = gap(deform(shapes[trial % len(shapes)], intensity))[:, 1]
        assert opening.min() > -1e-4


def test_lips_meet_in_the_closure_of_p_b_m() -> None:
    for shape in (MEAN, *(head.person_shape(someone(s, "female", 20 + 15 * s)) for s in range(4))):
        for jaw in (0.5, 1.5, 3.0):
            vertices = deform(shape, units(au24=3, au23=1.5, au17=1.5, au26=jaw))
            np.testing.assert_allclose(gap(vertices), 0, atol=1e-4)


@pytest.mark.parametrize("au", [9, 10, 16])
def test_lips_hold_together_until_a_muscle_tears_them_apart(au: int) -> None:
    weak, strong = (gap(deform(MEAN, units(**{f"au{au}": level})))[:, 1].max() for level in (2.0, 5.0))
    assert weak < 0.02 < 0.35 < strong
    assert gap(deform(MEAN, units(**{f"au{au}": 2.0, "au25": 2.0})))[:, 1].max() > 0.15


def test_seal_gives_way_to_parted_lips() -> None:
    none = dict.fromkeys(AUS, 0.0)
    assert lip_seal(none) == 0
    assert lip_seal({**none, 24: 0.6}) == 1
    assert lip_seal({**none, 24: 0.6, 25: 0.2}) == 0


def test_lips_part_without_the_jaw_and_with_it() -> None:
    parted, dropped, stretched = (gap(deform(MEAN, units(**u)))[9, 1] for u in ({"au25": 5}, {"au26": 5}, {"au27": 5}))
    assert 0.2 < parted < 0.9 < dropped < stretched
    assert np.abs(moved(25)[LANDMARKS[6:11]]).max() < 0.08, "AU 25 leaves the jaw where it is"


def test_jaw_turns_the_lower_teeth_rigidly() -> None:
    teeth = slice(*TOP.ranges["lower_teeth"])
    rest, wide = MEAN.vertices[teeth].astype(np.float64), deform(MEAN, units(au27=5))[teeth].astype(np.float64)
    pairs = np.arange(len(rest)), np.roll(np.arange(len(rest)), 17)
    np.testing.assert_allclose(
        np.linalg.norm(wide[pairs[0]] - wide[pairs[1]], axis=1),
        np.linalg.norm(rest[pairs[0]] - rest[pairs[1]], axis=1),
        atol=1e-3,
    )
    to_axis = [np.hypot(*(p[:, 1:] - body.JAW_HINGE[1:]).T) for p in (rest, wide)]
    np.testing.assert_allclose(to_axis[0], to_axis[1], atol=1e-3)
    np.testing.assert_array_equal(moved(27)[slice(*TOP.ranges["upper_teeth"])], 0)


def test_a_stronger_muscle_moves_more() -> None:
    shape = head.person_shape(someone(12))
    gain = shape.au_gain[AUS.index(10)]
    step = deform(shape, units(au10=3)).astype(np.float64) - shape.vertices
    brow_free = np.linalg.norm(step[LANDMARKS[51]])
    mean_step = np.linalg.norm(moved(10, 3.0)[LANDMARKS[51]])
    assert brow_free / mean_step == pytest.approx(gain * shape.scale, rel=0.15)


def test_tongue_shows_between_the_lips_and_follows_speech() -> None:
    tongue = slice(*TOP.ranges["tongue"])
    open_mouth = units(au25=4, au26=4)
    resting = deform(MEAN, open_mouth)
    shown = deform(MEAN, open_mouth + units(au19=5))
    lip = shown[LANDMARKS[66], 2]
    assert shown[tongue, 2].max() > lip > resting[tongue, 2].max()
    alone = deform(MEAN, units(au19=5))
    assert alone[tongue, 2].max() > alone[LANDMARKS[66], 2]
    assert gap(alone)[9, 1] > 0.6
    raised = deform(MEAN, open_mouth, tongue={"tip_height": 1.0})
    tip = TOP.ranges["tongue"][0]
    assert raised[tip, 1] > resting[tip, 1] + 0.5
    np.testing.assert_array_equal(raised[LANDMARKS], resting[LANDMARKS])


def test_borders_stay_closed_in_motion() -> None:
    vertices = deform(head.person_shape(someone(13)), units(au27=4, au12=3, au43=2, au1=4), (0.1, 0.2))
    twins = np.flatnonzero(TOP.weld != np.arange(len(TOP.weld)))
    collar = slice(TOP.ranges["shoulders"][0], TOP.ranges["shoulders"][0] + len(SKIN.neck_ring))
    neck_end = slice(TOP.ranges["neck"][1] - len(SKIN.neck_ring), TOP.ranges["neck"][1])
    np.testing.assert_allclose(vertices[twins], vertices[TOP.weld[twins]], atol=1e-4)
    np.testing.assert_allclose(vertices[collar], vertices[neck_end], atol=1e-4)


def test_linear_muscle_pulls_most_at_its_start_distance() -> None:
    """Waters 1987: on the axis cos((1 - D / Rs) pi / 2) inside Rs, cos((D - Rs) / (Rf - Rs) pi / 2) up to Rf."""
    muscle = Linear((0.0, 0.0, 0.0), (0.0, -2.0, 0.0), pull=0.5, start=2.0, finish=4.0, half_angle=0.6)
    distance = np.array([1.0, 2.0, 3.0, 4.5])
    pulled = muscle.field(np.c_[0 * distance, -distance, 0 * distance])
    np.testing.assert_allclose(pulled[:, 1], [0.5 * np.cos(np.pi / 4), 0.5, 0.5 * np.cos(np.pi / 4), 0.0], atol=1e-12)
    np.testing.assert_allclose(pulled[:, [0, 2]], 0.0, atol=1e-12)
    aside = muscle.field(np.array([[2 * np.sin(0.3), -2 * np.cos(0.3), 0.0], [2 * np.sin(0.7), -2 * np.cos(0.7), 0.0]]))
    assert np.linalg.norm(aside[0]) == pytest.approx(0.5 * np.cos(np.pi / 4), abs=1e-9)
    np.testing.assert_allclose(aside[1], 0.0, atol=1e-12)


def test_sphincter_draws_towards_its_centre_inside_its_ellipse() -> None:
    muscle = Sphincter((0.0, 0.0, 0.0), (2.0, 1.0), pull=0.3)
    pulled = muscle.field(np.array([[1.0, 0.0, 0.0], [0.0, -0.5, 0.0], [2.1, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(pulled, [[-0.3, 0, 0], [0, 0.3, 0], [0, 0, 0], [0, 0, 0]], atol=1e-9)


def test_slide_fades_and_minds_the_lips() -> None:
    slide = Slide((0.0, -7.0, 3.0), (0.1, 0.2, 0.3), radius=1.0, lip=1)
    points = np.array([[0.0, -7.0, 3.0], [0.0, -7.0, 3.0], [1.0, -7.0, 3.0]])
    moved_by = field((slide,), points, np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(moved_by, [[0.1, 0.2, 0.3], [0, 0, 0], np.exp(-1) * np.array([0.1, 0.2, 0.3])])
