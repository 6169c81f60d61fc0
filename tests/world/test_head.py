"""The head's mesh, its measured proportions, and what genes make of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.world import anthropometry as body
from vultus.world import genes, head
from vultus.world.skin_mesh import skin_mesh

REAL = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[2] / ".." / "shared" / "real")) / "face3d" / "ict"
TOP = head.topology()
MEAN = head.mean_head()
FLIP = np.array([-1.0, 1.0, 1.0])


def someone(seed: int, sex: genes.Sex = "female", age: float = 30.0) -> genes.Genes:
    return genes.founder(np.random.default_rng(seed), sex, age)


def edges(triangles: NDArray[np.int32]) -> Counter[tuple[int, int]]:
    pairs = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    return Counter((int(a), int(b)) for a, b in np.sort(pairs, axis=1))


def similarity(moving: NDArray[np.float64], fixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """`moving` after the best rotation, scale and shift onto `fixed` (Umeyama 1991)."""
    a, b = moving - moving.mean(0), fixed - fixed.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    turn = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = np.trace(np.diag(s) @ turn) / (a**2).sum()
    aligned: NDArray[np.float64] = scale * a @ u @ turn @ vt + fixed.mean(0)
    return aligned


def measured_landmarks() -> NDArray[np.float64]:
    """(68, 3) landmarks of ICT-FaceKit's neutral head, as its `vertex_indices.json` names them."""
    if not (REAL / "ict_deltas_f16.npz").exists():
        pytest.skip("the measured heads (VULTUS_REAL/face3d) are not on this machine")
    neutral = np.load(REAL / "ict_deltas_f16.npz", allow_pickle=False)["neutral"].astype(np.float64)
    index = json.loads((REAL / "vertex_indices.json").read_text())["idx_to_landmark_verts"]
    found: NDArray[np.float64] = neutral[index]
    return found


def test_size_and_types() -> None:
    assert 5000 <= len(MEAN.vertices) <= 9000
    assert MEAN.vertices.dtype == np.float32
    assert TOP.triangles.dtype == np.int32
    assert TOP.part.dtype == np.uint8
    assert TOP.triangles.min() >= 0
    assert TOP.triangles.max() < len(MEAN.vertices)
    assert len(TOP.uv) == len(TOP.mirror) == len(TOP.weld) == len(MEAN.vertices)
    assert set(np.unique(TOP.part)) == set(range(len(head.PARTS)))
    assert np.unique(TOP.triangles).size == len(MEAN.vertices), "a vertex belongs to no triangle"
    assert np.isfinite(MEAN.vertices).all()


def test_skin_has_only_the_openings_of_a_head() -> None:
    skin = skin_mesh()
    count = edges(skin.triangles)
    assert max(count.values()) == 2, "three triangles share an edge"
    border = {v for edge, n in count.items() if n == 1 for v in edge}
    openings = [*skin.eye_rings[:, 0], skin.lip_rings[0], skin.neck_ring]
    assert border == {int(v) for opening in openings for v in opening}


def test_parts_continue_the_skin_without_a_crack() -> None:
    twins = np.flatnonzero(TOP.weld != np.arange(len(TOP.weld)))
    assert len(twins) > 100
    np.testing.assert_array_equal(MEAN.vertices[twins], MEAN.vertices[TOP.weld[twins]])
    welded = TOP.weld[TOP.triangles]
    sealed = np.isin(TOP.part, [head.PARTS.index(p) for p in ("skin", "lips", "mouth_inside", "eyelid", "neck")])
    border = {v for edge, n in edges(welded[sealed]).items() if n == 1 for v in edge}
    # what stays open: the inner edge of the lids, on the eyeball, and the collar
    lids, neck = range(*TOP.ranges["eyelid"]), range(*TOP.ranges["neck"])
    assert all(v in lids or v in neck for v in border)


def test_triangles_face_outwards() -> None:
    skin = np.isin(TOP.part, [head.PARTS.index("skin"), head.PARTS.index("lips")])
    corners = MEAN.vertices[TOP.triangles[skin]].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = (normal * (corners.mean(1) - body.CENTRE)).sum(1) > 0
    assert outward.mean() > 0.99  # the nostrils turn inwards


def test_mirror_is_an_involution_and_fits_the_mean_head() -> None:
    np.testing.assert_array_equal(TOP.mirror[TOP.mirror], np.arange(len(TOP.mirror)))
    start = TOP.ranges["hair"][0]
    rest = np.arange(start)
    np.testing.assert_allclose(MEAN.vertices[TOP.mirror[rest]], MEAN.vertices[rest] * FLIP, atol=1e-4)
    landmarks = TOP.landmark_vertices
    np.testing.assert_array_equal(TOP.mirror[landmarks], landmarks[list(body.IBUG_MIRROR)])


def test_face_chart() -> None:
    face = np.unique(TOP.triangles[np.isin(TOP.part, [0, 1])])
    uv = TOP.uv[face]
    assert uv.min() >= 0
    assert uv.max() <= 1
    landmarks = TOP.uv[TOP.landmark_vertices]
    assert ((landmarks >= 0.09) & (landmarks <= 0.91)).all()
    assert landmarks[0, 0] < landmarks[36, 0] < landmarks[45, 0] < landmarks[16, 0], "u runs from image left to right"
    assert landmarks[19, 1] < landmarks[37, 1] < landmarks[51, 1] < landmarks[8, 1], "v runs downwards"
    np.testing.assert_allclose(
        landmarks[list(body.IBUG_MIRROR)] * (-1, 1) + (1, 0), landmarks, atol=1e-5
    )  # the chart mirrors about u = 0.5


def test_landmarks_are_distinct_except_where_the_lips_meet() -> None:
    points = MEAN.vertices[TOP.landmark_vertices]
    assert len(set(TOP.landmark_vertices.tolist())) == 68
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert points[upper, 1] >= points[lower, 1] - 1e-6
        np.testing.assert_allclose(points[upper], points[lower], atol=0.01)


def test_mean_head_has_the_measured_proportions() -> None:
    real = measured_landmarks()
    ours = similarity(MEAN.vertices[TOP.landmark_vertices].astype(np.float64), real)
    interocular = np.linalg.norm(real[36] - real[45])
    error = np.linalg.norm(ours - real, axis=1) / interocular
    assert error.max() < 0.05, f"iBUG {error.argmax()} is off by {error.max():.3f} of the inter-ocular distance"


def test_eyeballs_lie_behind_the_lids() -> None:
    skin = skin_mesh()
    for shape in (MEAN, head.person_shape(someone(1)), head.person_shape(someone(2, "male", 70)),
                  head.person_shape(someone(3, "male", 6))):  # fmt: skip
        for side in (0, 1):
            rim = shape.vertices[skin.eye_rings[side, 0]] - shape.eye_centres[side]
            assert np.linalg.norm(rim, axis=1).min() > shape.eye_radius + 0.03
        ball = shape.vertices[slice(*TOP.ranges["sclera"])].reshape(2, -1, 3) - shape.eye_centres[:, None]
        np.testing.assert_allclose(np.linalg.norm(ball, axis=2), shape.eye_radius, rtol=1e-4)


def test_people_differ_and_are_repeatable() -> None:
    first, again = head.person_shape(someone(7)), head.person_shape(someone(7))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.au_gain, again.au_gain)
    landmarks = [head.person_shape(someone(i)).vertices[TOP.landmark_vertices] for i in range(12)]
    apart = [np.linalg.norm(a - b, axis=1).mean() for i, a in enumerate(landmarks) for b in landmarks[:i]]
    assert min(apart) > 0.12, "cm, mean over the landmarks"
    assert np.mean(apart) < 1.2


def test_faces_are_slightly_asymmetric() -> None:
    shape = head.person_shape(someone(4))
    points = shape.vertices[TOP.landmark_vertices]
    skew = np.linalg.norm(points - points[list(body.IBUG_MIRROR)] * FLIP, axis=1)
    assert 0.005 < skew.mean() < 0.25


def test_muscle_strengths() -> None:
    gains = np.stack([head.person_shape(someone(i)).au_gain for i in range(40)])
    assert gains.min() >= 0.75
    assert gains.max() <= 1.25
    assert abs(gains.mean() - 1) < 0.02
    assert gains.std(axis=0).min() > 0.04


def test_children_have_small_faces_and_large_eyes() -> None:
    adult, child = someone(5, "female", 30), someone(5, "female", 6)
    np.testing.assert_array_equal(adult.alleles, child.alleles)
    big, small = (head.person_shape(g).vertices[TOP.landmark_vertices] for g in (adult, child))

    def ratio(points: NDArray[np.float32]) -> float:
        opening = np.linalg.norm(points[44] - points[46]) + np.linalg.norm(points[37] - points[41])
        return float(opening / np.linalg.norm(points[27] - points[8]))

    assert np.linalg.norm(small[27] - small[8]) < 0.9 * np.linalg.norm(big[27] - big[8])
    assert ratio(small) > 1.1 * ratio(big)


def test_lips_of_everyone_are_closed() -> None:
    rings = skin_mesh().lip_rings
    half = rings.shape[1] // 2
    for seed in range(5):
        vertices = head.person_shape(someone(seed, "male", 20 + 12 * seed)).vertices
        upper, lower = vertices[rings[0, 1:half]], vertices[rings[0, :half:-1]]
        np.testing.assert_allclose(upper, lower, atol=1e-5)
