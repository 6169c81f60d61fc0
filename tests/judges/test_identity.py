"""The judge of identity: unit vectors, batches of several people in several clips, pairs across clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vultus.core.seeds import generator, seed_everything
from vultus.judges import JudgeFold
from vultus.judges.identity import Config, IdentityJudge

SMALL = Config(image_px=32, width=8, dimensions=8)


@pytest.fixture
def judge() -> IdentityJudge:
    seed_everything(1)
    return IdentityJudge(SMALL)


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch(judge: IdentityJudge, people: JudgeFold) -> None:
    face = np.asarray(people.store["face"][:5])
    embedding = judge.eval().embed(face)
    assert embedding.shape == (5, 8)
    assert np.allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    assert np.allclose(judge.embed(face[3:4]), embedding[3:4], atol=1e-5)
    assert np.allclose(judge.embed(face[:, :, ::-1]), embedding, atol=1e-5)


def test_a_batch_holds_several_people_in_several_clips(judge: IdentityJudge, people: JudgeFold) -> None:
    batch = judge.teach(people, generator(1, "x"), 12)
    assert batch["image"].shape == (12, 3, 32, 32)
    numbers, counts = batch["person"].unique(return_counts=True)
    assert len(numbers) == 3
    assert counts.tolist() == [4, 4, 4]
    again = judge.teach(people, generator(1, "x"), 12)
    assert torch.equal(batch["image"], again["image"])


def test_it_learns_to_tell_drawn_people_apart(judge: IdentityJudge, people: JudgeFold) -> None:
    optimiser = torch.optim.AdamW(judge.parameters(), lr=5e-3)
    for step in range(25):
        loss = judge.losses(judge.teach(people, generator(1, step), 16))["contrastive"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tests = {test.name: test.value for test in judge.eval().acceptance(people)}
    assert set(tests) == {"AUC", "EER", "AUC above the pixels'"}
    assert tests["AUC"] > 0.9
    assert tests["EER"] < 0.2
