"""The painted skin: where things are, what colours them, creases where the muscle pulls."""

from dataclasses import replace

import numpy as np
import pytest

from vultus.world.chart import ChartGrid, relief_slopes, smooth_closed, smooth_open, value_noise
from vultus.world.head import mean_head, topology
from vultus.world.muscles import AUS
from vultus.world.sitter import chart_grid
from vultus.world.skin import Complexion, paint_skin
from vultus.world.wrinkles import CREASES, add_creases, wrinkle_maps

LUMA = np.array([0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module")
def grid() -> ChartGrid:
    return chart_grid(256)


def at(grid: ChartGrid, picture: np.ndarray, point_cm: np.ndarray, radius: int = 2) -> np.ndarray:
    """Mean of the chart around a place given in chart centimetres."""
    x, y = np.rint(grid.to_texels(np.atleast_2d(point_cm))[0]).astype(int)
    mean: np.ndarray = picture[y - radius : y + radius + 1, x - radius : x + radius + 1].mean((0, 1))
    return mean


def test_chart_centimetres_are_centimetres_at_the_front_of_the_face(grid: ChartGrid) -> None:
    points = mean_head().vertices[topology().landmark_vertices]
    for first, second in ((39, 42), (48, 54), (27, 33), (21, 22), (51, 57)):
        chart = np.linalg.norm(grid.points[first] - grid.points[second])
        head = np.linalg.norm(points[first, :2] - points[second, :2])
        assert chart == pytest.approx(head, rel=0.2), (first, second)


def test_texels_and_centimetres_are_inverse(grid: ChartGrid) -> None:
    x, y = grid.mesh
    texels = grid.to_texels(np.array([[x[40, 70], y[40, 70]]]))
    np.testing.assert_allclose(texels, [[70, 40]], atol=1e-3)


def test_brows_are_dark_lips_are_red_cheeks_are_flushed(grid: ChartGrid) -> None:
    albedo = paint_skin(Complexion(melanin=0.15, redness=0.8, brow_density=0.8), grid).chart[..., :3]
    p = grid.points
    forehead = at(grid, albedo, p[27] + [0, 4.0])
    for brow in (19, 24):
        assert at(grid, albedo, p[brow] - [0, 0.1], 0) @ LUMA < 0.6 * forehead @ LUMA
    lip, cheek = at(grid, albedo, p[57] + [0, 0.3], 1), at(grid, albedo, 0.5 * (p[41] + p[48]) + [-0.5, 0])
    assert lip[1] / lip[0] < 0.8 * forehead[1] / forehead[0]
    assert cheek[1] / cheek[0] < 0.95 * forehead[1] / forehead[0]


def test_melanin_darkens_every_channel() -> None:
    tones = np.array([Complexion(melanin=m).tone for m in np.linspace(0, 1, 9)])
    assert (np.diff(tones, axis=0) < 0).all()


def test_a_beard_grows_on_chin_and_lip_not_on_the_cheekbone_or_the_red_of_the_lips(grid: ChartGrid) -> None:
    p = grid.points
    bare, bearded = (
        paint_skin(Complexion(melanin=0.1, moles=0, beard=beard), grid).chart[..., :3] for beard in (0.0, 0.9)
    )
    for place in (p[8] + [0, 0.8], 0.5 * (p[33] + p[51]), 0.5 * (p[5] + p[48])):
        assert at(grid, bearded, place) @ LUMA < 0.55 * at(grid, bare, place) @ LUMA
    for place in (p[41] - [0, 1.5], p[57] + [0, 0.3], p[30]):
        np.testing.assert_allclose(at(grid, bearded, place, 1), at(grid, bare, place, 1), rtol=0.15)


def test_freckles_and_seed_change_the_skin_and_nothing_else_does(grid: ChartGrid) -> None:
    look = Complexion()
    first = paint_skin(look, grid).chart
    np.testing.assert_array_equal(first, paint_skin(replace(look), grid).chart)
    assert np.abs(first - paint_skin(replace(look, freckles=0.9), grid).chart).max() > 0.05
    assert np.abs(first - paint_skin(replace(look, seed=1), grid).chart).max() > 0.02


def test_slopes_of_a_ramp() -> None:
    ramp = np.tile(np.linspace(0, 2, 65, dtype=np.float32), (65, 1))
    slopes = relief_slopes(ramp)
    np.testing.assert_allclose(slopes[..., 0], 2, rtol=1e-4)
    np.testing.assert_allclose(slopes[..., 1], 0, atol=1e-5)


def test_curves_pass_through_their_points() -> None:
    points = np.random.default_rng(0).uniform(-5, 5, (7, 2))
    np.testing.assert_allclose(smooth_closed(points, 4)[::4], points)
    np.testing.assert_allclose(smooth_open(points, 4)[::4], points[:-1])


def test_noise_is_standard_and_repeats() -> None:
    noise = value_noise(np.random.default_rng(3), 128, 16)
    assert abs(float(noise.mean())) < 0.3
    assert float(noise.std()) == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(noise, value_noise(np.random.default_rng(3), 128, 16))


@pytest.mark.parametrize(
    ("au", "crease", "landmarks"),
    [
        (4, "glabella", (21, 22)),
        (9, "nose_root", (27, 28)),
        (17, "chin_pits", (57, 8)),
        (6, "crows_feet", (36, 45)),
        (14, "dimple", (48, 54)),
        (12, "nasolabial", (31, 35, 48, 54)),
    ],
)
def test_each_muscle_creases_its_own_place(grid: ChartGrid, au: int, crease: str, landmarks: tuple[int, ...]) -> None:
    maps = wrinkle_maps(grid, Complexion(age=20), AUS)
    k = [c.name for c in CREASES].index(crease)
    intensity = np.zeros(len(AUS), np.float32)
    quiet = maps.strength(intensity)
    intensity[AUS.index(au)] = 5
    strength = maps.strength(intensity)
    assert strength[k] > quiet[k] + 0.3
    weight = np.abs(maps.layers[k, ..., :2]).sum(-1)
    x, y = grid.mesh
    centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.linalg.norm(centre - grid.points[list(landmarks)].mean(0)) < 1.2


def test_every_crease_has_a_driver_and_stays_inside_its_box(grid: ChartGrid) -> None:
    maps = wrinkle_maps(grid, Complexion(), AUS)
    assert (maps.drive.max(1) > 0).all()
    for layer, (top, bottom, left, right) in zip(maps.layers, maps.boxes, strict=True):
        outside = layer.copy()
        outside[top:bottom, left:right] = 0
        assert np.abs(outside).max() <= 0.004


def test_wrinkles_deepen_with_age_and_with_the_muscle(grid: ChartGrid) -> None:
    rest = [wrinkle_maps(grid, Complexion(age=age), AUS).rest.sum() for age in (20.0, 45.0, 75.0)]
    assert rest[0] < rest[1] < rest[2]
    maps, chart = wrinkle_maps(grid, Complexion(age=30), AUS), paint_skin(Complexion(age=30), grid).chart
    out = np.empty_like(chart)
    add_creases(chart, maps.layers, maps.boxes, np.zeros(len(CREASES), np.float32), out)
    np.testing.assert_array_equal(out, chart)
    add_creases(chart, maps.layers, maps.boxes, np.ones(len(CREASES), np.float32), out)
    np.testing.assert_allclose(out[..., 3:5] - chart[..., 3:5], maps.layers[..., :2].sum(0), atol=0.2)
    assert (out[..., :3] <= chart[..., :3] + 1e-6).all()
