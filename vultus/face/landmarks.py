"""Landmark sets, the maps between them, and the distances that face metrics are normalised by.

The common tongue is the 68 iBUG points, 0-based: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67, everything
as seen in the image (16 ends at image right). Two subsets of it are in use:

* 66 points (DISFA's files): without the inner mouth corners 60 and 64;
* 49 points (BP4D's tracker, the JAA family): the 66 without the jaw.

A function that names points takes any of the three sets and tells them apart by their number; arrays may be numpy or
torch, with any leading axes, (..., K, 2) as x y in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", npt.NDArray[Any], "Tensor")
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

INNER_MOUTH_CORNERS = (60, 64)
JAW = range(17)
LEFT_EYE = range(36, 42)
RIGHT_EYE = range(42, 48)
INNER_EYE_CORNERS = (39, 42)
OUTER_EYE_CORNERS = (36, 45)
NOSE_TIP = 30
MOUTH_CORNERS = (48, 54)

POINTS_68: IntArray = np.arange(68)
POINTS_66: IntArray = np.setdiff1d(POINTS_68, INNER_MOUTH_CORNERS)
POINTS_49: IntArray = np.setdiff1d(POINTS_66, list(JAW))
SETS: dict[int, IntArray] = {49: POINTS_49, 66: POINTS_66, 68: POINTS_68}
"""Number of points -> the 68-point index of each."""

POLYLINES_68: tuple[tuple[int, ...], ...] = (
    tuple(JAW),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(27, 31)),
    tuple(range(31, 36)),
    (*LEFT_EYE, 36),
    (*RIGHT_EYE, 42),
    (*range(48, 60), 48),
    (*range(60, 68), 60),
)
"""The strokes that draw a face from its 68 points."""


def _flip_68() -> IntArray:
    mirrored = POINTS_68.copy()
    for first, last in ((0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67)):
        mirrored[first : last + 1] = np.arange(last, first - 1, -1)
    mirrored[36:42] = (45, 44, 43, 42, 47, 46)
    mirrored[42:48] = (39, 38, 37, 36, 41, 40)
    return mirrored


FLIP_68: IntArray = _flip_68()
"""After a horizontal flip, point k of the new face is point ``FLIP_68[k]`` of the old one; its own inverse."""


def point_set(n_points: int) -> IntArray:
    """The 68-point index of each point of a set.

    Raises:
        ValueError: no set has that many points.
    """
    if n_points not in SETS:
        raise ValueError(f"landmark sets have 49, 66 or 68 points, not {n_points}")
    return SETS[n_points]


def positions(points_68: tuple[int, ...] | range | IntArray, n_points: int) -> IntArray:
    """Where points of the 68 stand in the set of ``n_points``.

    Raises:
        ValueError: no such set, or the set lacks one of the points.
    """
    held = point_set(n_points)
    wanted = np.asarray(points_68, dtype=np.int64)
    found = np.minimum(np.searchsorted(held, wanted), n_points - 1)
    if not np.array_equal(held[found], wanted):
        absent = sorted(set(wanted.ravel().tolist()) - set(held.tolist()))
        raise ValueError(f"the {n_points}-point set lacks the points {absent} of the 68")
    return found


def reduce_points(landmarks_68: Array, n_points: int) -> Array:
    """The 49- or 66-point subset of (..., 68, 2) landmarks.

    Raises:
        ValueError: the input has not 68 points, or there is no such set.
    """
    if landmarks_68.shape[-2] != 68:
        raise ValueError(f"expected (..., 68, 2) landmarks, got {tuple(landmarks_68.shape)}")
    return landmarks_68[..., point_set(n_points), :]


def flip_permutation(n_points: int) -> IntArray:
    """Order of the points after a horizontal flip: ``flipped[k] = old[permutation[k]]``; its own inverse."""
    return positions(FLIP_68[point_set(n_points)], n_points)


def flip_landmarks(landmarks: Array, width_px: int) -> Array:
    """Landmarks of the picture mirrored left to right: x -> width - 1 - x, and the points change names.

    Args:
        landmarks: (..., K, 2), K = 49, 66 or 68; not changed.
        width_px: of the picture.
    """
    permuted = landmarks[..., flip_permutation(landmarks.shape[-2]), :]
    permuted[..., 0] = width_px - 1 - permuted[..., 0]
    return permuted


def eye_centres(landmarks: Array) -> tuple[Array, Array]:
    """Means of the six points of the left and of the right eye (image left), each (..., 2) px."""
    n_points = landmarks.shape[-2]
    left = landmarks[..., positions(LEFT_EYE, n_points), :].mean(-2)
    right = landmarks[..., positions(RIGHT_EYE, n_points), :].mean(-2)
    return left, right


def biocular_distance(landmarks: Array) -> Array:
    """Distance of the eye centres, (...,) px; the normaliser of the JAA papers (their list files hold its square)."""
    left, right = eye_centres(landmarks)
    squared: Array = ((right - left) ** 2).sum(-1)
    return squared**0.5


def inter_ocular_distance(landmarks: Array) -> Array:
    """Distance of the outer eye corners, (...,) px; the normaliser of the 300-W benchmark."""
    left, right = positions(OUTER_EYE_CORNERS, landmarks.shape[-2])
    squared: Array = ((landmarks[..., right, :] - landmarks[..., left, :]) ** 2).sum(-1)
    return squared**0.5


def normalised_mean_error(predicted: Array, target: Array, distance_px: Array) -> Array:
    """Mean point-to-point error as a share of a facial distance: mean_k |p_k - t_k| / d.

    Args:
        predicted: (..., K, 2) px.
        target: (..., K, 2) px.
        distance_px: (...,), from `biocular_distance` or `inter_ocular_distance` of the target.

    Returns:
        (...,) at least 0, NaN where a point is NaN; above 0.10 a face usually counts as failed.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != target.shape:
        raise ValueError(f"predicted {tuple(predicted.shape)} and target {tuple(target.shape)} differ in shape")
    squared: Array = ((predicted - target) ** 2).sum(-1)
    error_px: Array = squared**0.5
    share: Array = error_px.mean(-1) / distance_px
    return share


MESH_51 = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 195, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""Vertices of MediaPipe's face mesh (468 or 478) that stand for the points 17-67."""

_MESH_LEFT_CONTOUR = (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
_MESH_RIGHT_CONTOUR = (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)


def mesh_to_68(mesh: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The 68 points of a MediaPipe face mesh.

    Brows, nose, eyes and lips are vertices. The jaw is read off the mesh's contour: on each half the eight points and
    the chin divide the way from the top of the ear (127, 356) to the chin (152) into equal lengths.

    Args:
        mesh: (..., 468 or 478, D).

    Returns:
        (..., 68, D).

    Raises:
        ValueError: another number of vertices.
    """
    if mesh.shape[-2] not in (468, 478):
        raise ValueError(f"MediaPipe's face mesh has 468 or 478 vertices, not {mesh.shape[-2]}")
    left = _equal_steps(mesh[..., _MESH_LEFT_CONTOUR, :], 9)
    right = _equal_steps(mesh[..., _MESH_RIGHT_CONTOUR, :], 9)
    return np.concatenate([left, right[..., 7::-1, :], mesh[..., MESH_51, :]], axis=-2)


def _equal_steps(polyline: npt.NDArray[Any], n_points: int) -> npt.NDArray[Any]:
    """Points (..., n, D) that divide polylines (..., P, D) into equal lengths, ends included."""
    lengths = np.linalg.norm(np.diff(polyline, axis=-2), axis=-1)
    way = np.concatenate([np.zeros_like(lengths[..., :1]), lengths.cumsum(-1)], axis=-1)
    wanted = way[..., -1:] * np.linspace(0, 1, n_points)
    piece = (way[..., None, 1:-1] <= wanted[..., None]).sum(-1)
    start, end = np.take_along_axis(way, piece, -1), np.take_along_axis(way, piece + 1, -1)
    share = ((wanted - start) / np.maximum(end - start, np.finfo(way.dtype).tiny))[..., None]
    before = np.take_along_axis(polyline, piece[..., None], -2)
    after = np.take_along_axis(polyline, piece[..., None] + 1, -2)
    points: npt.NDArray[Any] = before + share * (after - before)
    return points
