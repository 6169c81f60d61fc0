"""Views of faces: landmarks follow the picture, batches depend on their generator alone, shares are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tests.face.toy import template
from vultus.face.landmarks import biocular_distance, flip_permutation
from vultus.judges.blocks import (
    PointNetwork,
    ViewConfig,
    draw_rows,
    eye_share,
    gaussian_blur,
    landmark_distance,
    mean_places,
    random_views,
    some_rows,
    to_input,
)

PLAIN = ViewConfig(turn_rad=0.3, scale=0.2, shift=0.1, light=0, blur_px=0, noise=0, patch=0)


def test_input_spans_minus_one_to_one() -> None:
    face = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(300).reshape(2, 10, 10, 3)
    assert torch.equal(to_input(face, 10)[0], torch.full((3, 10, 10), -1.0))
    assert torch.allclose(to_input(face, 5)[1], torch.ones(3, 5, 5))
    with pytest.raises(ValueError, match="uint8"):
        to_input(face.float(), 10)


def test_landmarks_stay_on_what_they_mark() -> None:
    rng = np.random.default_rng(0)
    n, side = 12, 60
    points = torch.from_numpy(rng.uniform(22, 38, (n, 68, 2)).astype(np.float32))
    face = torch.zeros(n, side, side, 3, dtype=torch.uint8)
    grid = torch.arange(side)
    # the dot lies at point 0; a mirrored view must call it by the name of its mirror point
    for i, (x, y) in enumerate(points[:, 0]):
        bump = torch.exp(-((grid[None] - x) ** 2 + (grid[:, None] - y) ** 2) / 8)
        face[i] = (255 * bump).to(torch.uint8)[..., None]
    view, placed = random_views(face, points, side, PLAIN, np.random.default_rng(3))
    mirrored = 0
    for picture, named in zip((view[:, 0] + 1) / 2, placed, strict=True):
        mass = (picture - 0.02).clamp(min=0)  # black is kept a little above 0
        mass = mass / mass.sum()
        seen = torch.stack([(mass.sum(0) * grid).sum(), (mass.sum(1) * grid).sum()])
        gaps = [(named[k] * side - 0.5 - seen).norm().item() for k in (0, int(flip_permutation(68)[0]))]
        assert min(gaps) < 0.4
        mirrored += gaps[1] < gaps[0]
    assert 0 < mirrored < n


def test_a_view_depends_on_its_generator_alone() -> None:
    face = torch.randint(0, 256, (3, 40, 40, 3), dtype=torch.uint8)
    points = torch.full((3, 68, 2), 20.0)
    views = [random_views(face, points, 32, ViewConfig(), np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert torch.isfinite(views[2]).all()


def test_nothing_changes_where_all_is_off() -> None:
    face = torch.randint(0, 256, (2, 24, 24, 3), dtype=torch.uint8)
    points = torch.full((2, 68, 2), 5.0)
    off = ViewConfig(turn_rad=0, scale=0, shift=0, light=0, blur_px=0, noise=0, patch=0, flip=False)
    view, placed = random_views(face, points, 24, off, np.random.default_rng(0))
    assert torch.allclose(view, to_input(face, 24).clamp(min=2e-3 - 1), atol=1e-5)
    assert torch.allclose(placed * 24 - 0.5, points, atol=1e-4)


def test_blur_agrees_with_scipy() -> None:
    picture = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    blurred = gaussian_blur(picture, torch.tensor([0.0, 1.2]))
    assert torch.allclose(blurred[0], picture[0], atol=1e-6)
    expected = gaussian_filter(picture[1].double().numpy(), (0, 1.2, 1.2), mode="nearest", truncate=3.4)
    assert np.allclose(blurred[1].numpy(), expected, atol=1e-5)


def test_kinds_have_their_share_and_clips_of_a_kind_count_alike() -> None:
    clips = pd.DataFrame({
        "kind": ["speech", "posed", "posed", "tongue"], "start": [0, 100, 101, 102], "stop": [100, 101, 102, 200],
    })  # fmt: skip
    rows = draw_rows(clips, {"speech": 0.5, "posed": 0.5, "spontaneous": 0.5}, np.random.default_rng(0), 4000)
    assert (rows < 100).mean() == pytest.approx(0.5, abs=0.05)
    assert (rows == 100).mean() == pytest.approx(0.25, abs=0.05)
    assert rows.max() == 101


def test_some_rows_are_evenly_spaced() -> None:
    assert some_rows(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert some_rows(np.arange(3), 10).tolist() == [0, 1, 2]


def test_a_single_hot_cell_is_the_place() -> None:
    heat = torch.full((1, 1, 4, 8), -50.0)
    heat[0, 0, 1, 6] = 50.0
    assert torch.allclose(mean_places(heat)[0, 0], torch.tensor([6.5 / 8, 1.5 / 4]))


def test_landmark_distance_is_a_share_of_the_eyes_and_skips_the_unknown() -> None:
    stored = torch.from_numpy(template()[None] * 12 + 40).float()
    eyes = eye_share(stored, 80)
    assert eyes.item() == pytest.approx(float(biocular_distance(stored.double().numpy())[0]) / 80)
    assert eye_share(torch.full((1, 68, 2), torch.nan), 80).item() == pytest.approx(0.4)
    true = stored / 80
    found = true + torch.tensor([0.03, 0.04])
    assert landmark_distance(found, true, eyes).item() == pytest.approx(0.05 / eyes.item(), rel=1e-3)
    true[:, 34:] = torch.nan
    assert landmark_distance(found, true, eyes).item() == pytest.approx(0.025 / eyes.item(), rel=1e-2)


def test_answers_do_not_move_the_points() -> None:
    torch.manual_seed(0)
    network = PointNetwork(width=8, point_channels=2, hidden=4, dropout=0.0, n_answers=3)
    points, answer = network(torch.rand(2, 3, 32, 32))
    assert points.shape == (2, 68, 2)
    assert answer.shape == (2, 3)
    answer.sum().backward()
    assert network.heat.weight.grad is None
