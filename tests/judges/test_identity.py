"""The judge of identity: unit vectors, batches of several people in several clips, pairs across clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vultus.core.seeds import generator, seed_everything
from vultus.judges import JudgeFold
from vultus.judges.identity import Config, GuiseConfig, IdentityJudge, disguised

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


def test_more_people_than_there_are_come_in_two_disguises(judge: IdentityJudge, people: JudgeFold) -> None:
    known = len(people.split.people("train"))
    batch = judge.teach(people, generator(1, "x"), 4 * (known + 2))
    assert len(batch["person"].unique()) == known + 2


def test_a_disguise_is_worn_in_all_frames_of_a_person(people: JudgeFold) -> None:
    face = torch.from_numpy(np.asarray(people.store["face"][:1])).expand(4, -1, -1, -1)
    worn = disguised(face, 2, GuiseConfig(), generator(1, "x"))
    assert worn.shape == face.shape
    assert torch.equal(worn[0], worn[1])
    assert torch.equal(worn[2], worn[3])
    assert (worn[0] != worn[2]).any()
    assert torch.equal(disguised(face, 2, GuiseConfig(warp=0, stretch=0, tint=0), generator(1, "x")), face)


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
