"""The judge of emotion: what is certain, what is not, and what it answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.judges.toy_people import EMOTIONS
from vultus.core.seeds import generator, seed_everything
from vultus.judges import JudgeFold
from vultus.judges.emotion import NOT_TOLD, Config, EmotionJudge

SMALL = Config(emotions=EMOTIONS, image_px=32, width=8, hidden=16)


@pytest.fixture
def judge() -> EmotionJudge:
    seed_everything(1)
    return EmotionJudge(SMALL)


def test_probabilities_sum_to_one_and_columns_have_names(judge: EmotionJudge, people: JudgeFold) -> None:
    probability = judge.eval().probability(np.asarray(people.store["face"][:4]))
    assert probability.shape == (4, len(judge.emotions))
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert judge.emotions == EMOTIONS


def test_a_face_and_its_mirror_image_are_one_answer(judge: EmotionJudge, people: JudgeFold) -> None:
    face = np.asarray(people.store["face"][:4])
    assert np.allclose(judge.eval().probability(face), judge.probability(face[:, :, ::-1]), atol=1e-5)


def test_points_and_intensities_are_taught_by_every_face(judge: EmotionJudge, people: JudgeFold) -> None:
    batch = judge.teach(people, generator(1, "x"), 8)
    batch["emotion"] = torch.full((8,), NOT_TOLD)
    torch.stack(list(judge.losses(batch).values())).sum().backward()
    assert judge.network.points.heat.weight.grad.abs().sum() > 0
    assert judge.network.points.local.weight.grad.abs().sum() > 0
    assert judge.network.prototypes.weight.grad.abs().sum() == 0


def test_spontaneous_faces_teach_no_emotion(judge: EmotionJudge, people: JudgeFold) -> None:
    rows = people.rows("train")
    about = people.store.rows.iloc[rows]
    labels = judge._labels(people, rows)
    assert (labels[about["kind"] == "spontaneous"] == NOT_TOLD).all()
    assert (labels[about["kind"] == "speech"] == EMOTIONS.index("neutral")).all()
    posed = (about["kind"] == "posed").to_numpy()
    assert [EMOTIONS[k] for k in labels[posed]] == about["emotion"].to_numpy()[posed].tolist()


def test_an_uncertain_batch_has_a_finite_loss(judge: EmotionJudge, people: JudgeFold) -> None:
    batch = judge.teach(people, generator(1, "x"), 8)
    batch["emotion"] = torch.full((8,), NOT_TOLD)
    losses = judge.losses(batch)
    assert losses["emotion"].item() == 0
    assert torch.isfinite(losses["intensity"])


def test_acceptance_measures_recall_class_by_class(
    judge: EmotionJudge, people: JudgeFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "probability", lambda face: np.tile([0.1, 0.2, 0.7], (len(face), 1)))
    tests = {test.name: test.value for test in judge.acceptance(people)}
    assert tests == {"UAR": pytest.approx(1 / 3), "speech called neutral": 1.0}


def test_an_unknown_emotion_is_told() -> None:
    with pytest.raises(ValueError, match="'joy'"):
        Config(emotions=("joy",))
