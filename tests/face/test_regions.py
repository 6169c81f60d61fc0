"""AU centres by both rules, boxes, and the attention maps of JAA-Net and EAC-Net."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vultus.data.tables import ACTION_UNITS
from vultus.face.attention import attention_maps, eac_attention_maps
from vultus.face.landmarks import flip_landmarks, reduce_points
from vultus.face.regions import REGIONS, au_boxes, au_centres

from .toy import template

# The papers' table in 49-point indices: AU -> (left, right, shift in inner-eye distances), AU17/26 in image order.
PUBLISHED = {
    1: (4, 5, -1 / 2), 2: (1, 8, -1 / 3), 4: (2, 7, 1 / 3), 6: (24, 29, 1.0), 7: (21, 26, 0.0), 9: (15, 17, -1 / 2),
    10: (43, 45, 0.0), 12: (31, 37, 0.0), 14: (31, 37, 0.0), 15: (31, 37, 0.0), 17: (41, 39, 1 / 2),
    23: (34, 40, 0.0), 24: (34, 40, 0.0), 25: (34, 40, 0.0), 26: (41, 39, 1 / 2),
}  # fmt: skip


def test_every_column_of_the_tables_has_a_region():
    assert set(REGIONS) == set(ACTION_UNITS)
    assert {au for au, region in REGIONS.items() if not region.reconstructed} == set(PUBLISHED)


def test_centres_follow_the_published_table():
    face = reduce_points(template() * 20 + 100, 49)
    u = face[25, 0] - face[22, 0]
    expected = [[face[left] + [0, dy * u], face[right] + [0, dy * u]] for left, right, dy in PUBLISHED.values()]
    np.testing.assert_allclose(au_centres(face, tuple(PUBLISHED)), expected)


@pytest.mark.parametrize("rule", ["jaa", "eac"])
def test_sets_batches_and_torch_agree(rule):
    rng = np.random.default_rng(0)
    faces = (template() * 20 + 100 + rng.normal(0, 1, (3, 68, 2))).astype(np.float32)
    before = faces.copy()
    centres = au_centres(faces, ACTION_UNITS, rule)
    assert centres.shape == (3, len(ACTION_UNITS), 2, 2)
    np.testing.assert_array_equal(faces, before)
    for points in (49, 66):
        np.testing.assert_array_equal(au_centres(reduce_points(faces, points), ACTION_UNITS, rule), centres)
    tensor = torch.from_numpy(faces).requires_grad_()
    in_torch = au_centres(tensor, ACTION_UNITS, rule)
    np.testing.assert_allclose(in_torch.detach().numpy(), centres, rtol=1e-6)


def test_rules_differ_in_au10_alone():
    face = template() * 20 + 100
    jaa, eac = (au_centres(face, ACTION_UNITS, rule) for rule in ("jaa", "eac"))
    differs = [au for au, a, b in zip(ACTION_UNITS, jaa, eac, strict=True) if not np.array_equal(a, b)]
    assert differs == [10]
    np.testing.assert_array_equal(eac[ACTION_UNITS.index(10)], face[[49, 53]])


def test_centres_mirror_with_the_face():
    """Left and right change places under a flip; the lips' upper and lower centre stay."""
    face = template() * 20 + 100 + np.random.default_rng(1).normal(0, 1, (68, 2))
    centres = au_centres(face, ACTION_UNITS)
    flipped = au_centres(flip_landmarks(face, 201), ACTION_UNITS)
    mirrored = np.stack([200 - flipped[..., 0], flipped[..., 1]], -1)
    for au, before, after in zip(ACTION_UNITS, centres, mirrored, strict=True):
        order = [0, 1] if REGIONS[au].left == 51 else [1, 0]
        np.testing.assert_allclose(after[order], before, err_msg=f"AU{au}")


def test_an_unknown_action_unit_is_refused():
    with pytest.raises(ValueError, match=r"no region for AU \[3\]"):
        au_centres(template(), (1, 3))
    with pytest.raises(ValueError, match="'jaa' or 'eac'"):
        au_centres(template(), (1,), "other")  # type: ignore[arg-type]


def test_boxes_are_cut_at_the_border():
    centres = np.array([[50.0, 60.0], [2.0, 99.0]])
    np.testing.assert_allclose(au_boxes(centres, 100), [[43, 53, 57, 67], [0, 92, 9, 99]])


def by_definition(centres: np.ndarray, crop_px: int, map_px: int) -> np.ndarray:
    """One AU's map, cell by cell, for zeta .14 and xi .56."""
    half = round((map_px - 1) / 2 * 0.14)
    drawn = np.zeros((map_px, map_px))
    for cx, cy in np.round(centres * map_px / crop_px):
        for y in range(map_px):
            for x in range(map_px):
                if abs(x - cx) <= half and abs(y - cy) <= half:
                    value = max(0.0, 1 - (abs(x - cx) + abs(y - cy)) * 0.56 / (0.14 * map_px))
                    drawn[y, x] = max(drawn[y, x], value)
    return drawn


@pytest.mark.parametrize(("map_px", "half_cells", "slope"), [(44, 3, 0.0909), (52, 4, 0.0769)])
def test_attention_map_of_the_papers_sizes(map_px, half_cells, slope):
    centre = torch.full((1, 1, 2, 2), 88.0)
    drawn = attention_maps(centre, crop_px=176, map_px=map_px)[0, 0]
    middle = map_px // 2
    assert drawn[middle, middle] == 1
    assert 1 - drawn[middle, middle + 1] == pytest.approx(slope, abs=5e-5)
    assert drawn[middle, middle + half_cells] == pytest.approx(1 - half_cells * slope, abs=3e-4)
    assert int((drawn > 0).sum()) == (2 * half_cells + 1) ** 2
    assert drawn[middle, middle + half_cells + 1] == 0


def test_attention_maps_equal_the_definition():
    rng = np.random.default_rng(2)
    centres = rng.uniform(-20, 196, (2, 5, 2, 2)).astype(np.float32)
    centres[0, 0] = [[80, 80], [85, 83]]
    drawn = attention_maps(torch.from_numpy(centres), 176, 44).numpy()
    expected = [[by_definition(pair, 176, 44) for pair in face] for face in centres]
    np.testing.assert_allclose(drawn, expected, atol=1e-6)


def test_broken_centres_leave_no_mark_and_no_crash():
    centres = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30]).reshape(1, 1, 2, 2)
    drawn = attention_maps(centres, 176, 44)
    assert torch.isfinite(drawn).all()
    assert drawn.sum() == 0
    half_broken = torch.tensor([[[[88.0, 88.0], [float("nan"), 10.0]]]])
    assert attention_maps(half_broken, 176, 44).sum() > 0


def test_maps_carry_no_gradient_and_survive_half_precision():
    centres = torch.full((1, 1, 2, 2), 151.0, requires_grad=True)
    assert not attention_maps(centres, 176, 44).requires_grad
    half = attention_maps(centres.bfloat16(), 176, 44)
    assert half.dtype == torch.float32
    with pytest.raises(ValueError, match="expected"):
        attention_maps(torch.zeros(1, 2, 2), 176, 44)


def test_eac_map():
    centres = torch.tensor([[[[50.0, 50.0], [50.0, 50.0]]]])
    drawn = eac_attention_maps(centres, 100)[0, 0]
    assert drawn.shape == (100, 100)
    assert int((drawn > 0).sum()) == 11 * 11
    assert drawn[53, 48] == pytest.approx(1 - 0.095 * 5)
