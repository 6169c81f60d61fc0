"""Point sets and the maps between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vultus.face import landmarks as lm

from .toy import random_face, template

# The permutation of the JAA papers' list files (reflect_49.txt), 1-based.
PUBLISHED_FLIP_49 = [
    *(
        10,
        9,
        8,
        7,
        6,
        5,
        4,
        3,
        2,
        1,
        11,
        12,
        13,
        14,
        19,
        18,
        17,
        16,
        15,
        29,
        28,
        27,
        26,
        31,
        30,
        23,
        22,
        21,
        20,
        25,
        24,
    ),
    *(38, 37, 36, 35, 34, 33, 32, 43, 42, 41, 40, 39, 46, 45, 44, 49, 48, 47),
]


def test_sets_drop_the_jaw_and_the_inner_mouth_corners():
    assert lm.POINTS_66.tolist() == [k for k in range(68) if k not in (60, 64)]
    assert lm.POINTS_49.tolist() == [k for k in range(17, 68) if k not in (60, 64)]
    # The table of the papers: 49-point index of some named points.
    assert lm.positions((21, 22, 30, 39, 42, 48, 54, 61, 65), 49).tolist() == [4, 5, 13, 22, 25, 31, 37, 43, 46]
    assert lm.positions((0, 59, 61, 67), 66).tolist() == [0, 59, 60, 65]


def test_a_point_that_the_set_lacks_is_named():
    with pytest.raises(ValueError, match=r"49-point set lacks the points \[8, 60\]"):
        lm.positions((60, 8, 30), 49)
    with pytest.raises(ValueError, match="49, 66 or 68 points, not 50"):
        lm.positions((30,), 50)


@pytest.mark.parametrize("n_points", [49, 66, 68])
def test_flip_is_an_involution_and_mirrors_a_symmetric_face(n_points):
    permutation = lm.flip_permutation(n_points)
    assert sorted(permutation.tolist()) == list(range(n_points))
    assert np.array_equal(permutation[permutation], np.arange(n_points))
    face = lm.reduce_points(template() * 10 + 50, n_points)
    before = face.copy()
    np.testing.assert_allclose(lm.flip_landmarks(face, 101), face, atol=1e-9)
    np.testing.assert_array_equal(face, before)


def test_flip_of_the_49_points_is_the_published_one():
    assert (lm.flip_permutation(49) + 1).tolist() == PUBLISHED_FLIP_49


def test_flipped_landmarks_lie_on_the_flipped_picture():
    rng = np.random.default_rng(0)
    image, points = random_face(rng)
    flipped = lm.flip_landmarks(points, image.shape[1])
    mirrored = image[:, ::-1]
    inside = np.round(flipped[[36, 45, 48, 54]]).astype(int)
    source = np.round(points[[45, 36, 54, 48]]).astype(int)
    np.testing.assert_array_equal(mirrored[inside[:, 1], inside[:, 0]], image[source[:, 1], source[:, 0]])


def test_distances_of_the_template():
    face = template()
    left, right = lm.eye_centres(face)
    np.testing.assert_allclose([left, right], [[-1, 0], [1, 0]], atol=1e-9)
    assert lm.biocular_distance(face) == pytest.approx(2.0)
    assert lm.inter_ocular_distance(face) == pytest.approx(2.9)
    assert lm.biocular_distance(lm.reduce_points(face, 49)) == pytest.approx(2.0)


def test_normalised_mean_error_of_a_shift():
    target = np.stack([template() * 10, template() * 20])
    shifted = target + np.array([3.0, 4.0])
    error = lm.normalised_mean_error(shifted, target, lm.biocular_distance(target))
    np.testing.assert_allclose(error, [5 / 20, 5 / 40])
    with pytest.raises(ValueError, match="differ in shape"):
        lm.normalised_mean_error(shifted[:, :49], target, lm.biocular_distance(target))


def test_torch_and_numpy_agree():
    face = np.stack([template(), template() * 3 + 1]).astype(np.float32)
    tensor = torch.from_numpy(face)
    for function in (lm.biocular_distance, lm.inter_ocular_distance):
        np.testing.assert_allclose(function(tensor).numpy(), function(face), rtol=1e-6)
    np.testing.assert_allclose(lm.flip_landmarks(tensor, 9).numpy(), lm.flip_landmarks(face, 9))
    shape = lm.normalised_mean_error(tensor + 1, tensor, lm.biocular_distance(tensor))
    np.testing.assert_allclose(shape.numpy(), [2**0.5 / 2, 2**0.5 / 6], rtol=1e-5)


def test_jaw_of_the_mesh_divides_the_contour_into_equal_steps():
    rng = np.random.default_rng(0)
    mesh = rng.normal(size=(3, 468, 2))
    contour = [127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152]
    for face, points in zip(mesh, lm.mesh_to_68(mesh), strict=True):
        steps = np.r_[0, np.cumsum(np.hypot(*np.diff(face[contour], axis=0).T))]
        at = np.linspace(0, steps[-1], 9)
        expected = np.stack([np.interp(at, steps, face[contour][:, axis]) for axis in (0, 1)], -1)
        np.testing.assert_allclose(points[:9], expected)
    np.testing.assert_allclose(lm.mesh_to_68(mesh)[:, [0, 8, 16, 30, 36, 45]], mesh[:, [127, 152, 356, 4, 33, 263]])


def test_a_mesh_of_another_size_is_refused():
    with pytest.raises(ValueError, match="468 or 478 vertices, not 400"):
        lm.mesh_to_68(np.zeros((400, 2)))
