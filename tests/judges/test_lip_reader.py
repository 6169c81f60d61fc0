from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.judges.talkers import FRAMES, SIDE, judge_fold
from vultus.core.errors import UserError
from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.seeds import generator, seed_everything
from vultus.core.system import Phase
from vultus.judges import JudgeFold
from vultus.judges.grid import PHONES, SLOTS
from vultus.judges.lip_reader import CONTEXT, Config, Eyes, LipReader, _between, _Films, _joints, _spliced

CONFIG = Config(width=4, hidden=16, strip_frames=10, views=1, read_epochs=2, read_batch_size=4)
TRAIN = TrainConfig(epochs=2, batch_size=6, steps_per_epoch=4, optimizer="adamw", learning_rate=5e-3)


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> JudgeFold:
    return judge_fold(tmp_path_factory.mktemp("lips") / "faces")


def fitted(fold: JudgeFold, folder: Path) -> tuple[LipReader, History]:
    seed_everything(1)
    judge, history = LipReader(CONFIG), History()
    folder.mkdir(exist_ok=True)
    judge.fit(Run(fold, TRAIN, 1, folder, history))
    return judge.eval(), history


def test_two_phases_learn_and_a_killed_one_ends_with_the_same_bytes(fold: JudgeFold, tmp_path: Path) -> None:
    judge, history = fitted(fold, tmp_path / "one")
    rows = history.frame()
    for phase, loss in (("see", "actions"), ("read", "reading")):
        values = rows[(rows["phase"] == phase) & (rows["name"] == loss)]["value"].to_numpy()
        assert values[-1] < values[0]
    assert {"AuError", "LipError", "WER", "PhoneAccuracy"} <= set(rows["name"])
    (tmp_path / "one" / "read.safetensors").unlink()  # as if killed between the phases
    resumed, _ = fitted(fold, tmp_path / "one")
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in judge.state_dict().items())

    clip = fold.clips("test").iloc[0]
    face = fold.store["face"][clip["start"] : clip["stop"]]
    words = judge.read(face)
    assert all(word in slot for word, slot in zip(words, SLOTS.values(), strict=True))
    judge.save(tmp_path)
    other = LipReader(CONFIG)
    other.load(tmp_path)
    assert other.eval().read(face) == words
    tests = judge.acceptance(fold)
    assert [test.name for test in tests] == ["WER", *(f"WER/{slot}" for slot in SLOTS)]
    assert tests[0].bound == 0.2
    assert tests[0].value == pytest.approx(np.mean([test.value for test in tests[1:]]), abs=0.17)


def test_reading_leaves_the_eyes_alone(fold: JudgeFold) -> None:
    judge = LipReader(CONFIG)
    judge.prepare(fold)
    see, read = judge.phases(TRAIN)
    assert (read.train.epochs, read.train.batch_size, read.train.steps_per_epoch) == (2, 4, 4)
    judge.begin_phase(see)
    judge.train()
    assert judge.eyes.training
    assert not any(p.requires_grad for p in judge.recurrent.parameters())
    judge.begin_phase(read)
    judge.train()
    assert not judge.eyes.training
    assert judge.recurrent.training
    batch = judge.draw(fold, read, 0, 0)
    before = {name: value.clone() for name, value in judge.eyes.state_dict().items()}
    torch.stack(list(judge.losses(batch).values())).sum().backward()
    assert all(p.grad is None for p in judge.eyes.parameters())
    assert all(p.grad is not None for p in judge.recurrent.parameters())
    assert all(torch.equal(value, judge.eyes.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize("phase", ["see", "read"])
def test_batches_are_a_function_of_seed_and_step(fold: JudgeFold, phase: str) -> None:
    judge = LipReader(CONFIG)
    judge.prepare(fold)
    part = Phase(phase, TRAIN)
    judge.begin_phase(part)
    one, again, other = (judge.draw(fold, part, 0, step) for step in (3, 3, 4))
    assert all(torch.equal(one[name].nan_to_num(), again[name].nan_to_num()) for name in one)
    assert not torch.equal(one["phones"], other["phones"])
    assert one["phones"].reshape(-1, len(PHONES)).sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_actions_that_are_not_coded_teach_nothing(fold: JudgeFold) -> None:
    judge = LipReader(CONFIG)
    judge.prepare(fold)
    judge.begin_phase(Phase("see", TRAIN))
    batch = judge.teach(fold, generator(1, "batch"), 4)
    assert not batch["actions"].isfinite().all()
    torch.stack(list(judge.losses(batch).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert judge.eyes.actions.bias.grad is not None
    assert float(judge.eyes.actions.bias.grad[-1]) == 0.0  # AU 28
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in judge.eyes.parameters())


def test_a_mirrored_clip_has_its_corners_exchanged(fold: JudgeFold) -> None:
    films = _Films(fold, "train", CONFIG)
    assert films.lips.shape == films.mirrored_lips.shape == (len(films.clip_id), FRAMES, 20, 2)
    left, right = 48 - 48, 54 - 48
    assert np.array_equal(films.mirrored_lips[:, :, left], films.lips[:, :, right])
    assert not np.array_equal(films.lips[:, :, left], films.lips[:, :, right])


def test_eyes_see_two_frames_either_way() -> None:
    eyes = Eyes(CONFIG).eval()
    region = torch.randn(1, 12, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = eyes(region)["phones"]
        region[0, 6] += 1
        changed = (eyes(region)["phones"] != before).any(dim=2)[0]
    assert torch.nonzero(changed).flatten().tolist() == list(range(6 - CONTEXT, 6 + CONTEXT + 1))


def test_tracks_are_read_between_frames() -> None:
    tracks = np.stack([np.zeros(5), np.arange(5) ** 2]).astype(np.float32)[:, :, None]
    clip, at = np.array([[1, 1, 0, 1, 1, 1]]), np.array([[0.0, 0.5, 1.5, 2.25, 4.0, 7.0]])
    assert _between(tracks, clip, at)[0, :, 0].tolist() == [0.0, 0.5, 0.0, 5.25, 16.0, 16.0]


def test_a_spliced_sentence_goes_on_with_the_next_word_of_another_clip() -> None:
    joints = np.array([[10.0, 20, 30, 40, 50], [12, 25, 33, 47, 52], [8, 22, 35, 38, 55]])
    straight = np.tile(np.arange(75.0), (40, 1))
    clip, at = _spliced(joints, straight, 2, generator(1, "splices"))
    assert max(len(set(row)) for row in clip.tolist()) == 3
    slot = (at[..., None] > joints[clip]).sum(axis=2)
    assert np.isin(np.diff(slot, axis=1), (0, 1)).all()
    stays = np.diff(clip, axis=1) == 0
    assert np.allclose(np.diff(at, axis=1)[stays], 1)
    assert (np.diff(slot, axis=1)[~stays] == 1).all()
    whole, unmoved = _spliced(joints, straight, 0, generator(1, "splices"))
    assert np.array_equal(unmoved, straight)
    assert (whole == whole[:, :1]).all()


def test_a_sentence_with_a_word_missing_is_named(fold: JudgeFold) -> None:
    first = fold.units.index[(fold.units["clip_id"] == "clip0") & (fold.units["tier"] == "word")][0]
    with pytest.raises(UserError, match="clip0: a GRID sentence has 6 words, the units table 5"):
        _joints(fold.units.drop(index=first)[lambda units: units["clip_id"] == "clip0"])


def test_what_cannot_be_read_is_refused(fold: JudgeFold) -> None:
    judge = LipReader(CONFIG)
    judge.prepare(fold)
    judge.eval()
    with pytest.raises(ValueError, match="expected faces"):
        judge.read(np.zeros((75, SIDE, SIDE), np.uint8))
    with pytest.raises(ValueError, match="4 steps are too few"):
        judge.read(np.zeros((2, SIDE, SIDE, 3), np.uint8))


def test_people_without_sentences_cannot_teach(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        judge_fold(tmp_path / "faces", kind="posed")
