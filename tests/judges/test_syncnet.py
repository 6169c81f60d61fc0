from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.judges.talkers import SIDE, judge_fold
from vultus.core.errors import UserError
from vultus.core.history import History
from vultus.core.loop import Run, TrainConfig
from vultus.core.seeds import generator, seed_everything
from vultus.judges import JudgeFold
from vultus.judges.syncnet import CARD, Config, SyncNet
from vultus.judges.syncnet_published import PublishedSyncNet


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> JudgeFold:
    return judge_fold(tmp_path_factory.mktemp("syncnet") / "faces")


@pytest.fixture(scope="module")
def taught(fold: JudgeFold, tmp_path_factory: pytest.TempPathFactory) -> SyncNet:
    seed_everything(1)
    judge = SyncNet(Config(width=4, embedding=16, dropout=0.0))
    train = TrainConfig(epochs=1, batch_size=32, steps_per_epoch=80, optimizer="adamw", learning_rate=5e-3)
    judge.fit(Run(fold, train, 1, tmp_path_factory.mktemp("resume"), History()))
    return judge.eval()


def test_finds_planted_offsets_of_a_stranger(taught: SyncNet, fold: JudgeFold) -> None:
    clip = fold.clips("test").iloc[0]
    face, mfcc = (fold.store[name][clip["start"] : clip["stop"]] for name in ("face", "mfcc"))
    for early in (-7, 0, 4):
        assert taught.scores(face[12:62], mfcc[12 + early : 62 + early]).offset_frames == early
    together = taught.scores(face, mfcc)
    apart = taught.scores(face, mfcc[::-1].copy())
    assert together.confidence > 2 * apart.confidence
    assert together.distance < apart.distance


def test_acceptance_measures_what_the_card_promises(taught: SyncNet, fold: JudgeFold) -> None:
    tests = {test.name: test for test in taught.acceptance(fold)}
    assert {name: test.bound for name, test in tests.items()} == {
        "OffsetExact": 0.9, "Retrieval": 0.6, "ConfidenceRatio": 3.0,
    }  # fmt: skip
    assert tests["OffsetExact"].value > 0.8
    assert set(taught.validation(fold)) == {"OffsetExact", "Retrieval"}


def test_half_of_a_batch_comes_from_few_clips_at_a_distance(fold: JudgeFold) -> None:
    config = Config(windows_of_clip=8, gap_frames=3)
    judge = SyncNet(config)
    judge.prepare(fold)
    assert judge._speech is not None
    chosen = judge._speech.draw(generator(1, "draw"), 32, config)
    assert len(chosen) == 32
    for group in (chosen[:8], chosen[8:16]):
        assert len({int(start) // 75 for start in group}) == 1
        assert np.diff(np.sort(group)).min() >= 3
    assert all(int(start) % 75 <= 70 for start in chosen)


def test_batches_are_a_function_of_the_generator(fold: JudgeFold) -> None:
    judge = SyncNet(Config())
    judge.prepare(fold)
    one, again = (judge.teach(fold, generator(1, "batch"), 16) for _ in range(2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert judge._speech is not None
    sound = judge._speech.sound.copy()
    judge.teach(fold, generator(2, "batch"), 16)
    assert np.array_equal(judge._speech.sound, sound)  # louder and noisier is the batch alone


def test_embeddings_do_not_depend_on_their_company(taught: SyncNet, fold: JudgeFold) -> None:
    face, mfcc = fold.store["face"][:75], fold.store["mfcc"][:75]
    whole, part = taught.embed(face, mfcc), taught.embed(face[10:50], mfcc[10:50])
    for all_windows, windows in zip(whole, part, strict=True):
        assert torch.allclose(all_windows[10:45], windows, atol=1e-5)
        assert torch.allclose(windows.norm(dim=1), torch.ones(35), atol=1e-5)


def test_what_cannot_be_scored_is_refused(taught: SyncNet) -> None:
    face, mfcc = np.zeros((35, SIDE, SIDE, 3), np.uint8), np.zeros((35, 4, 13), np.float32)
    with pytest.raises(ValueError, match="30 windows are too few"):
        taught.scores(face, mfcc)
    with pytest.raises(ValueError, match="expected faces"):
        taught.scores(face, mfcc[:-1])


def test_published_layout_and_shapes(tmp_path: Path) -> None:
    network = PublishedSyncNet().eval()
    state = network.state_dict()
    assert state["netcnnaud.0.weight"].shape == (64, 1, 3, 3)
    assert state["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert state["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7)
    assert state["netcnnlip.18.weight"].shape == (512, 256, 1, 6, 6)
    assert {name for name in state if name.startswith("netcnnaud.") and name.endswith(".running_var")} == {
        f"netcnnaud.{index}.running_var" for index in (1, 5, 9, 12, 15, 19)
    }
    assert state["netfcaud.3.weight"].shape == state["netfclip.3.weight"].shape == (1024, 512)
    seen: list[torch.Tensor] = []
    network.netcnnlip.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    red = torch.zeros(1, 5, 40, 40, 3, dtype=torch.uint8)
    red[..., 0] = 200
    with torch.inference_mode():
        assert network.see(red).shape == (1, 1024)
        assert network.hear(torch.randn(2, 20, 13)).shape == (2, 1024)
    assert seen[0].shape == (1, 3, 5, 224, 224)
    assert seen[0].mean(dim=(0, 2, 3, 4)).tolist() == pytest.approx([0, 0, 200])  # blue first


def test_published_weights_are_read_by_their_names(tmp_path: Path) -> None:
    generated = {name: value.clone() for name, value in PublishedSyncNet().state_dict().items()}
    generated["netfcaud.3.bias"].fill_(0.25)
    torch.save(generated, tmp_path / "weights.pth")
    judge = SyncNet(Config(network="published"))
    judge.load_published(tmp_path / "weights.pth")
    assert bool((judge.network.state_dict()["netfcaud.3.bias"] == 0.25).all())
    del generated["netfclip.0.bias"]
    safetensors.torch.save_file(generated, tmp_path / "half.safetensors")
    with pytest.raises(UserError, match=r"netfclip\.0\.bias"):
        judge.load_published(tmp_path / "half.safetensors")
    with pytest.raises(UserError, match="network to published"):
        SyncNet(Config()).load_published(tmp_path / "weights.pth")


def test_card() -> None:
    assert CARD.kinds == ("speech",)
    assert CARD.train.steps_per_epoch
