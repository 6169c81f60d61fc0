"""The rasteriser against closed forms: areas, weights, depth, culling."""

import numpy as np
import numpy.typing as npt
import pytest

from vultus.world.raster import EMPTY, rasterise, vertex_normals

SQUARE = np.array([[10, 10, 50], [10, 30, 50], [30, 30, 50], [30, 10, 50]], np.float32)
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
"""Counter-clockwise with y up, so clockwise in the picture's y-down coordinates: faces the camera."""


def sphere(rings: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Unit sphere of `rings` by 2 `rings` quads, triangles counter-clockwise seen from outside."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False))
    x, y, z = np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    here = np.arange(2 * rings)[:, None] * (rings + 1) + np.arange(rings)[None]
    right = (here + rings + 1) % len(vertices)
    quads = np.stack([here, here + 1, right + 1, right], -1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return vertices, triangles.astype(np.int32)


def test_square_covers_each_sample_inside_it_once() -> None:
    fragments = rasterise(SQUARE + np.array([0.25, 0.25, 0], np.float32), TWO, 40, 40)
    assert (fragments.triangle != EMPTY).sum() == 20 * 20
    ys, xs = np.nonzero(fragments.triangle != EMPTY)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (11, 30, 11, 30)


def test_weights_rebuild_the_sample_position_of_a_flat_triangle() -> None:
    screen = np.array([[3.2, 4.1, 60], [8.0, 35.5, 60], [36.7, 20.3, 60]], np.float32)
    fragments = rasterise(screen, np.array([[0, 1, 2]], np.int32), 40, 40)
    ys, xs = np.nonzero(fragments.triangle == 0)
    assert len(xs) > 300
    rebuilt = fragments.weights[ys, xs] @ screen[:, :2]
    np.testing.assert_allclose(rebuilt, np.stack([xs, ys], 1), atol=1e-3)


def test_weights_and_depth_are_perspective_correct() -> None:
    """A slanted plane x = z - 50 seen by a camera of focal length 100: the depth at a column has a closed form."""
    world = np.array([[0, -40, 50], [0, 40, 50], [50, 40, 100], [50, -40, 100]], np.float32)
    screen = np.stack([20 + 100 * world[:, 0] / world[:, 2], 20 + 40 * world[:, 1] / world[:, 2], world[:, 2]], 1)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    fragments = rasterise(screen.astype(np.float32), triangles, 80, 40, cull_back=False)
    row, columns = 20, np.arange(22, 68)
    slope = (columns - 20) / 100
    np.testing.assert_allclose(fragments.depth[row, columns], 50 / (1 - slope), rtol=1e-4)
    corners = world[triangles[fragments.triangle[row, columns]]]
    points = np.einsum("nk,nkd->nd", fragments.weights[row, columns], corners)
    np.testing.assert_allclose(points[:, 2], fragments.depth[row, columns], rtol=1e-4)


def test_the_nearer_triangle_wins_in_any_order() -> None:
    near = SQUARE - np.array([0, 0, 10], np.float32)
    screen = np.concatenate([SQUARE, near])
    for triangles in (np.concatenate([TWO, TWO + 4]), np.concatenate([TWO + 4, TWO])):
        fragments = rasterise(screen, triangles.astype(np.int32), 40, 40)
        assert fragments.depth[20, 20] == pytest.approx(40)


def test_back_faces_and_near_triangles_are_left_out() -> None:
    assert (rasterise(SQUARE, TWO[:, ::-1].copy(), 40, 40).triangle == EMPTY).all()
    assert (rasterise(SQUARE, TWO[:, ::-1].copy(), 40, 40, cull_back=False).triangle != EMPTY).any()
    assert (rasterise(SQUARE, TWO, 40, 40, near=60.0).triangle == EMPTY).all()
    assert np.isinf(rasterise(SQUARE, TWO, 40, 40, near=60.0).depth).all()


def test_same_input_same_bits() -> None:
    rng = np.random.default_rng(4)
    screen = np.concatenate([rng.uniform(0, 40, (60, 2)), rng.uniform(20, 90, (60, 1))], 1).astype(np.float32)
    triangles = rng.integers(0, 60, (80, 3)).astype(np.int32)
    first, second = (rasterise(screen, triangles, 40, 40, cull_back=False) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.depth.tobytes() == second.depth.tobytes()


def test_normals_of_a_sphere_are_its_radii() -> None:
    vertices, triangles = sphere(24)
    normals = vertex_normals(vertices * np.float32(7), triangles)
    assert np.einsum("vk,vk->v", normals, vertices).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"screen must be \(V, 3\), got \(4, 2\)"):
        rasterise(SQUARE[:, :2], TWO, 8, 8)
    with pytest.raises(ValueError, match=r"triangles must be \(T, 3\), got \(3,\)"):
        rasterise(SQUARE, TWO[0], 8, 8)
