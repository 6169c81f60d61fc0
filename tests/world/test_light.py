"""Shadows, occlusion and the light on a surface, against scenes whose answer is known."""

import numpy as np
import numpy.typing as npt
import pytest

from vultus.world.light import ambient_occlusion, frame_towards, lit_share, shadow_map
from vultus.world.photograph import tone_curve, vignette
from vultus.world.raster import vertex_normals

Mesh = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]


def plate(side_cm: float, z: float, cells: int = 12) -> Mesh:
    """A square facing +z."""
    axis = np.linspace(-side_cm / 2, side_cm / 2, cells + 1)
    x, y = np.meshgrid(axis, axis)
    vertices = np.stack([x, y, np.full_like(x, z)], -1).reshape(-1, 3).astype(np.float32)
    here = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)[None]).ravel()
    quads = np.stack([here, here + 1, here + cells + 2, here + cells + 1], 1)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    triangles = [t + start for (_, t), start in zip(meshes, starts, strict=False)]
    return np.concatenate([v for v, _ in meshes]), np.concatenate(triangles).astype(np.int32)


def share_at(mesh: Mesh, direction: tuple[float, float, float], x: float, y: float) -> float:
    view = shadow_map(*mesh, direction)
    return lit_share(x, y, 0.0, 0.0, 0.0, 1.0, view.depth, view.axes, view.centre, view.texels_per_cm)


@pytest.mark.parametrize("direction", [(0, 0, 1), (1, 0, 0), (0, 1, 0), (0.3, -0.5, 0.8)])
def test_the_light_frame_is_orthonormal_and_right_handed(direction: tuple[float, float, float]) -> None:
    axes = frame_towards(direction).astype(float)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(axes[2], np.array(direction) / np.linalg.norm(direction), atol=1e-6)


def test_a_lid_over_a_table_shades_what_the_slanted_light_says() -> None:
    """A 4 cm lid 5 cm above a table, light at 45 degrees from the right: its shadow lies 5 cm to the left."""
    mesh = joined(plate(20, 0.0), plate(4, 5.0))
    assert share_at(mesh, (1, 0, 1), -5.0, 0.0) < 0.05
    assert share_at(mesh, (1, 0, 1), 0.0, 0.0) > 0.95
    assert share_at(mesh, (0, 0, 1), 0.0, 0.0) < 0.05
    assert share_at(mesh, (0, 0, 1), -5.0, 0.0) > 0.95


def test_a_flat_table_does_not_shade_itself() -> None:
    for slant in (0.0, 0.7, 2.0):
        for x in np.linspace(-6, 6, 9):
            assert share_at(plate(20, 0.0), (slant, 0, 1), float(x), 0.3) > 0.99


def test_ambient_light_is_whole_on_a_table_and_half_beside_a_wall() -> None:
    vertices, triangles = plate(20, 0.0)
    open_table = ambient_occlusion(vertices, vertex_normals(vertices, triangles), triangles)
    assert open_table.min() > 0.97
    wall, _ = plate(20, 0.0)
    wall = np.stack([np.full(len(wall), -0.5), wall[:, 0], wall[:, 1] + 10.0], 1).astype(np.float32)
    vertices, triangles = joined((vertices, triangles), (wall, triangles))
    beside = ambient_occlusion(vertices, vertex_normals(vertices, triangles), triangles)
    middle = int(np.argmin(np.abs(vertices[:169, :2] - [0.0, 0.0]).sum(1)))
    assert beside[middle] == pytest.approx(0.5, abs=0.15)


def test_tone_curve_rises_and_never_clips() -> None:
    light = np.linspace(0, 4, 200, dtype=np.float32)
    display = tone_curve(light)
    assert (np.diff(display) >= 0).all()
    assert display[0] == 0
    assert display[-1] <= 1
    assert tone_curve(np.array([0.18], np.float32))[0] == pytest.approx(0.18 ** (1 / 2.2), abs=4e-4)


def test_vignette_darkens_corners_alone() -> None:
    share = vignette(33, 33, 0.4)
    assert share[16, 16] == pytest.approx(1)
    assert share[0, 0] == pytest.approx(0.6)
    np.testing.assert_allclose(share, share[::-1, ::-1])
