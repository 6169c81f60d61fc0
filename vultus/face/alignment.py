"""Similarity alignment of the JAA family: upright eyes, one scale from five points, a square crop.

Shao et al. 2018 and 2021, preprocessing of the published code: rotate until the eye line is horizontal; take the
bounding box of the two eye centres, the nose tip and the mouth corners; half the crop's side is 0.5 * 2.9 * the longer
side of that box, around its centre; scale to 200 x 200 px, bilinear, grey 128 outside the picture.
Here for any crop size and for 49, 66 or 68 points, on whole batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vultus.face.landmarks import MOUTH_CORNERS, NOSE_TIP, eye_centres, positions

FloatArray = npt.NDArray[np.floating[Any]]

BOX_FACTOR = 2.9
"""Side of the crop, in longer sides of the five-point box."""

BORDER_GREY = 128
"""Value of the pixels that lie outside the picture."""


def alignment_matrix(landmarks: FloatArray, size_px: int) -> FloatArray:
    """Picture to aligned crop, for each face.

    Args:
        landmarks: (..., K, 2) px of the picture, K = 49, 66 or 68.
        size_px: side of the crop; the box's sides fall on pixel centres 0 and ``size_px - 1``.

    Returns:
        (..., 2, 3) float64, ``crop = matrix @ (x, y, 1)``; NaN where one of the points needed is NaN or where they
        all fall together.

    Raises:
        ValueError: an unknown number of points, or ``size_px`` below 2.
    """
    if size_px < 2:
        raise ValueError(f"an aligned crop needs at least 2 px, not {size_px}")
    points = np.asarray(landmarks, dtype=np.float64)
    left, right = eye_centres(points)
    named = points[..., positions((NOSE_TIP, *MOUTH_CORNERS), points.shape[-2]), :]
    five = np.concatenate([left[..., None, :], right[..., None, :], named], axis=-2)

    eye_line = right - left
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine, sine = np.moveaxis(eye_line / np.linalg.norm(eye_line, axis=-1, keepdims=True), -1, 0)
        rotation = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)
        upright = five @ np.swapaxes(rotation, -1, -2)
        low, high = upright.min(-2), upright.max(-2)
        half_side = 0.5 * BOX_FACTOR * (high - low).max(-1)
        linear = rotation * ((size_px - 1) / (2 * half_side))[..., None, None]
        centre = (low + high)[..., None] / 2
        offset = (size_px - 1) / 2 - ((size_px - 1) / (2 * half_side))[..., None, None] * centre
    matrix: FloatArray = np.concatenate([linear, offset], axis=-1)
    usable = np.isfinite(matrix).all((-2, -1), keepdims=True)
    return np.where(usable, matrix, np.nan)


def transform_points(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Map points (..., K, 2) by (..., 2, 3) matrices."""
    mapped: FloatArray = points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return mapped


def invert_matrix(matrix: FloatArray) -> FloatArray:
    """Aligned crop to picture: the inverse of (..., 2, 3) similarity matrices; NaN stays NaN."""
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    squared_scale = a**2 + b**2
    linear = np.stack([np.stack([a, -b], -1), np.stack([b, a], -1)], -2) / squared_scale[..., None, None]
    inverse: FloatArray = np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)
    return inverse


def warp_face(image: npt.NDArray[np.uint8], matrix: FloatArray, size_px: int) -> npt.NDArray[np.uint8]:
    """Resample a picture into the aligned crop, bilinear, grey outside.

    Args:
        image: (H, W) or (H, W, 3).
        matrix: (2, 3), picture to crop.
        size_px: side of the crop.

    Returns:
        (size_px, size_px) or (size_px, size_px, 3).

    Raises:
        ValueError: the matrix holds NaN: the face had no usable landmarks.
    """
    import cv2

    if not np.isfinite(matrix).all():
        raise ValueError("the alignment matrix is not finite: this face has no usable landmarks")
    border = (BORDER_GREY, BORDER_GREY, BORDER_GREY)
    warped: npt.NDArray[np.uint8] = cv2.warpAffine(
        image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return warped
