"""The judge of action units: what it is taught, what it answers, and that its control shares nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.judges.toy_people import NEVER_SHOWN, SIZE_PX
from vultus.core.seeds import generator, seed_everything
from vultus.data.tables import ACTION_UNITS
from vultus.judges import JudgeFold
from vultus.judges.au import AuJudge, Config

SMALL = Config(image_px=32, width=8, hidden=16, point_channels=4, dropout=0.0)


@pytest.fixture
def judge(people: JudgeFold) -> AuJudge:
    seed_everything(1)
    made = AuJudge(SMALL)
    made.prepare(people)
    return made


def test_reading_has_the_shapes_and_ranges_of_the_contract(judge: AuJudge, people: JudgeFold) -> None:
    face = np.asarray(people.store["face"][:3])
    reading = judge.eval().look(face)
    shown = np.delete(np.arange(len(ACTION_UNITS)), NEVER_SHOWN)
    for values, top in ((reading.probability, 1), (reading.intensity, 5)):
        assert values.shape == (3, len(ACTION_UNITS))
        assert values[:, shown].min() >= 0
        assert values[:, shown].max() <= top
        assert np.isnan(values[:, NEVER_SHOWN]).all()
    assert reading.landmarks_68.shape == (3, 68, 2)
    assert -0.5 <= reading.landmarks_68.min() <= reading.landmarks_68.max() <= SIZE_PX - 0.5


def test_landmarks_are_in_pixels_of_the_given_face(judge: AuJudge, people: JudgeFold) -> None:
    face = np.asarray(people.store["face"][:1])
    twice = face.repeat(2, axis=1).repeat(2, axis=2)
    judge.eval()
    small, large = judge.look(face).landmarks_68, judge.look(twice).landmarks_68
    assert np.allclose((large + 0.5) / 2 - 0.5, small, atol=0.5)


def test_a_face_is_read_alike_alone_and_among_others(judge: AuJudge, people: JudgeFold) -> None:
    face = np.asarray(people.store["face"][:4])
    judge.eval()
    alone, among = judge.look(face[2:3]), judge.look(face)
    assert np.allclose(alone.landmarks_68[0], among.landmarks_68[2], atol=1e-3)
    assert np.allclose(alone.intensity[0], among.intensity[2], atol=1e-4, equal_nan=True)


def test_batches_hold_teaching_people_alone_and_repeat(judge: AuJudge, people: JudgeFold) -> None:
    batches = [judge.teach(people, generator(1, "x"), 16) for _ in range(2)]
    assert all(torch.equal(batches[0][name].nan_to_num(), batches[1][name].nan_to_num()) for name in batches[0])
    labels = np.asarray(people.store["au_occurrence"][people.rows("train")]).astype(np.float32)
    drawn = batches[0]["au_occurrence"].numpy()
    assert all((labels == row).all(axis=1).any() for row in drawn)


def test_losses_are_finite_with_unknown_points_and_labels(judge: AuJudge, people: JudgeFold) -> None:
    batch = judge.teach(people, generator(1, "x"), 16)
    assert batch["landmarks"].isnan().any()
    assert (batch["au_occurrence"] < 0).any()
    losses = judge.losses(batch)
    assert set(losses) == {"occurrence", "intensity", "landmarks", "control"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in judge.parameters() if p.grad is not None)


def test_judge_and_control_learn_apart_and_presence_does_not_move_points(judge: AuJudge, people: JudgeFold) -> None:
    batch = judge.teach(people, generator(1, "x"), 8)
    losses = judge.losses(batch)
    losses["control"].backward(retain_graph=True)
    assert all(p.grad is None for p in judge.network.parameters())
    assert all(p.grad is not None for p in judge.control.parameters())
    judge.zero_grad(set_to_none=True)
    losses["occurrence"].backward()
    assert all(p.grad is None for p in judge.control.parameters())
    assert judge.network.heat.weight.grad is None


def test_it_learns_the_toy_and_reports_the_comparison(people: JudgeFold) -> None:
    seed_everything(1)
    judge = AuJudge(SMALL)
    judge.prepare(people)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=5e-3)
    history = []
    for step in range(30):
        total = torch.stack(list(judge.losses(judge.teach(people, generator(1, step), 16)).values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        history.append(float(total.detach()))
    assert np.mean(history[-5:]) < 0.75 * np.mean(history[:3])
    tests = judge.eval().acceptance(people)
    assert [test.name for test in tests] == ["F1 above the plain network's", "F1", "NME", "ICC"]
    assert all(np.isfinite(test.value) for test in tests)


def test_a_wrong_input_side_is_told() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        Config(image_px=50)
