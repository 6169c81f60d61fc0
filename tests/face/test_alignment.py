"""Similarity alignment against its definition, step by step, and against OpenCV's resampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vultus.face import alignment
from vultus.face.landmarks import biocular_distance, eye_centres, reduce_points

from .toy import random_face, template


def stepwise(points: np.ndarray, size_px: int) -> np.ndarray:
    """The recipe followed literally for one face of 68 points; maps the points themselves."""
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    angle = np.arctan2(right[1] - left[1], right[0] - left[0])
    turn = np.array([[np.cos(-angle), -np.sin(-angle)], [np.sin(-angle), np.cos(-angle)]])
    rotated = (turn @ points.T).T
    five = np.stack([turn @ left, turn @ right, rotated[30], rotated[48], rotated[54]])
    x0, y0, x1, y1 = *five.min(0), *five.max(0)
    half = 0.5 * 2.9 * max(x1 - x0, y1 - y0)
    corner = np.array([(x0 + x1) / 2 - half, (y0 + y1) / 2 - half])
    return (rotated - corner) * ((size_px - 1) / (2 * half))


@pytest.mark.parametrize("size_px", [72, 100, 200])
@pytest.mark.parametrize("n_points", [49, 66, 68])
def test_matrix_follows_the_recipe(size_px, n_points):
    rng = np.random.default_rng(size_px)
    faces = np.stack([random_face(rng, angle_rad=1.2)[1] for _ in range(5)])
    matrix = alignment.alignment_matrix(reduce_points(faces, n_points), size_px)
    aligned = alignment.transform_points(matrix, faces)
    np.testing.assert_allclose(aligned, np.stack([stepwise(face, size_px) for face in faces.astype(float)]), atol=1e-4)


def test_eyes_come_out_level_and_faces_of_one_scale():
    rng = np.random.default_rng(3)
    faces = np.stack([random_face(rng, angle_rad=3.0)[1] for _ in range(20)])
    aligned = alignment.transform_points(alignment.alignment_matrix(faces, 200), faces)
    left, right = eye_centres(aligned)
    np.testing.assert_allclose(left[:, 1], right[:, 1], atol=1e-3)
    assert (right[:, 0] > left[:, 0]).all()
    # A face with the template's proportions: box of 2 x 2.3 eye distances, so 199 / (2.9 * 2.3) px a unit.
    plain = template()
    upright = alignment.transform_points(alignment.alignment_matrix(plain, 200), plain)
    assert biocular_distance(upright) == pytest.approx(2 * 199 / (2.9 * 2.3))


def test_inverse_is_a_round_trip():
    rng = np.random.default_rng(4)
    faces = np.stack([random_face(rng)[1] for _ in range(6)]).reshape(2, 3, 68, 2)
    matrix = alignment.alignment_matrix(faces, 100)
    there = alignment.transform_points(matrix, faces)
    back = alignment.transform_points(alignment.invert_matrix(matrix), there)
    np.testing.assert_allclose(back, faces, atol=1e-4)
    np.testing.assert_allclose(alignment.invert_matrix(matrix)[1, 2], cv2.invertAffineTransform(matrix[1, 2]))


def test_pixels_follow_the_points():
    """A dot painted on a landmark of the picture is found at the landmark of the crop."""
    points = random_face(np.random.default_rng(5), size_px=300, scale_px=(40, 45))[1]
    matrix = alignment.alignment_matrix(points, 200)
    aligned = alignment.transform_points(matrix, points)
    rows, columns = np.mgrid[:300, :300]
    for k in (30, 36, 45, 48, 54):
        spot = np.exp(-((columns - points[k, 0]) ** 2 + (rows - points[k, 1]) ** 2) / (2 * 3.0**2))
        crop = alignment.warp_face((spot * 255).astype(np.uint8), matrix, 200).astype(float)
        weight = np.where(crop > 8, crop, 0.0)
        weight[(np.abs(np.mgrid[:200, :200] - aligned[k, ::-1, None, None]) > 12).any(0)] = 0.0
        centroid = [(weight * axis).sum() / weight.sum() for axis in np.mgrid[:200, :200][::-1]]
        np.testing.assert_allclose(centroid, aligned[k], atol=0.15)


def test_warp_equals_sampling_by_hand_and_is_grey_outside():
    rng = np.random.default_rng(6)
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    points = template() * 9 + [25.0, 10.0]
    matrix = alignment.alignment_matrix(points, 60)
    warped = alignment.warp_face(image, matrix, 60)
    grid = np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), -1).reshape(-1, 2)
    source = alignment.transform_points(alignment.invert_matrix(matrix), grid)
    outside = ((source < -1) | (source > [50, 40])).any(-1)
    assert (warped.reshape(-1, 3)[outside] == 128).all()
    inside = ((source >= 0) & (source <= [48.99, 38.99])).all(-1)
    corner = np.floor(source[inside]).astype(int)
    share = source[inside] - corner
    x, y = corner.T
    pixels = image.astype(float)
    top = pixels[y, x] * (1 - share[:, :1]) + pixels[y, x + 1] * share[:, :1]
    bottom = pixels[y + 1, x] * (1 - share[:, :1]) + pixels[y + 1, x + 1] * share[:, :1]
    by_hand = top * (1 - share[:, 1:]) + bottom * share[:, 1:]
    # OpenCV interpolates with 1/32 px steps.
    assert np.abs(warped.reshape(-1, 3)[inside] - by_hand).mean() < 2.5


def test_unusable_landmarks_give_nan_and_a_clear_refusal():
    faces = np.stack([template() * 10, np.full((68, 2), np.nan), np.zeros((68, 2))])
    faces[0, 5] = np.nan
    matrix = alignment.alignment_matrix(faces, 100)
    assert np.isfinite(matrix[0]).all(), "the jaw is not needed"
    assert np.isnan(matrix[1:]).all()
    with pytest.raises(ValueError, match="no usable landmarks"):
        alignment.warp_face(np.zeros((5, 5), np.uint8), matrix[1], 100)
