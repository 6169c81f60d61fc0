"""The family's contract: what a batch holds, how clips are measured, what is drawn."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.contract.toys import smoke_experiment
from tests.systems.toy_talkers import FRAMES, SENTENCES, opening
from vultus.core import registry
from vultus.core.experiment import Experiment, evaluate, train
from vultus.core.results import read_rows
from vultus.core.system import Batch, Evaluation, System
from vultus.data.media import probe
from vultus.data.tables import ACTION_UNITS
from vultus.metrics import talking
from vultus.metrics.image import psnr
from vultus.systems.talking_heads import common
from vultus.systems.talking_heads.common import FAMILY, HEADLINE, Prediction, TalkingFold


@pytest.fixture(scope="module")
def experiment(roots: dict[str, Path]) -> Experiment:
    return smoke_experiment("still_face", roots["talking_heads"])


def fold_of(experiment: Experiment, **changes: Any) -> TalkingFold:
    config = dataclasses.replace(experiment.config, **changes)
    fold = registry.family("talking_heads").folds(dataclasses.replace(experiment, config=config))[0]
    assert isinstance(fold, TalkingFold)
    return fold


class Reading(NamedTuple):
    probability: Tensor
    intensity: Tensor
    landmarks_68: Tensor


class Sync(NamedTuple):
    confidence: float
    distance: float
    offset_frames: int


class Judge:
    """Answers all four questions from the colour of the mouth's place, in a way that can be computed by hand."""

    def __init__(self, name: str) -> None:
        self.label = f"{name} toy 0"

    def look(self, face: np.ndarray) -> Reading:
        mouth = torch.from_numpy(face[:, 19:28, 10:23].astype(np.float32)).mean(dim=(1, 2, 3)) / 255
        points = torch.zeros(len(face), 68, 2)
        points[:, 42:48, 0] = 20.0
        points[:, 65:68, 1] = mouth[:, None]
        level = mouth[:, None].expand(-1, len(ACTION_UNITS))
        return Reading((level < 0.45).float(), level * 5, points)

    def scores(self, face: np.ndarray, mfcc: np.ndarray) -> Sync:
        return Sync(float(face.mean()), float(mfcc.mean()), -3)

    def read(self, face: np.ndarray) -> list[str]:
        return ["bin", "blue", "at", "f", "two", "soon"]

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judges = {name: Judge(name) for name in ("perceptual", "au", "syncnet", "lip_reader")}
    monkeypatch.setattr(common, "load_judges", lambda: judges)
    monkeypatch.setattr(talking, "SYNC_FRAMES", 1)  # the toys speak for half a second


class Echo(System):
    """Shows the true frames: what a perfect system would."""

    def __init__(self) -> None:
        super().__init__(None)
        self.register_buffer("nothing", torch.zeros(1))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, batch: Batch) -> Prediction:
        return Prediction(frames=batch["video"], au_from_speech=batch["au_occurrence"].clamp(min=0))


def evaluated(system: System, experiment: Experiment) -> Evaluation:
    fold = fold_of(experiment)
    table = FAMILY.predict(system, fold, 4).assign(dataset="world", fold=0)
    return FAMILY.score(table, [fold], experiment)


def still(experiment: Experiment) -> System:
    return registry.get("still_face").system(experiment.config).eval()


def test_a_training_batch_has_the_documented_tensors(experiment: Experiment) -> None:
    batch = fold_of(experiment, seq_len=5).training_batch(0, 0, 7)
    shapes = {name: tuple(value.shape) for name, value in batch.items()}
    assert shapes == {
        "video": (7, 5, 3, 32, 32), "identity": (7, 3, 32, 32), "mfcc": (7, 5, 12, 28), "au_occurrence": (7, 5, 5),
        "mouth": (7, 5, 32, 32), "valid": (7, 5), "row": (7, 5),
    }  # fmt: skip
    assert batch["video"].abs().max() <= 1
    assert set(batch["au_occurrence"].unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert batch["valid"].all()


def test_training_sequences_are_of_training_people_and_consecutive(experiment: Experiment) -> None:
    fold = fold_of(experiment, seq_len=4)
    for step in range(3):
        rows = fold.training_batch(0, step, 6)["row"]
        assert (rows.diff(dim=1) == 1).all()
        assert set(fold.store.rows["subject"].to_numpy()[rows.flatten()]) <= set(fold.split.train)


def test_a_sequence_longer_than_its_clip_says_where_it_ends(experiment: Experiment) -> None:
    batch = fold_of(experiment, seq_len=FRAMES + 3).training_batch(0, 0, 2)
    assert batch["valid"].sum(dim=1).tolist() == [FRAMES, FRAMES]
    assert not batch["video"][:, FRAMES:].any()
    assert (batch["au_occurrence"][:, FRAMES:] == -1).all()


def test_a_frames_sound_is_seven_frames_without_the_first_cepstrum(experiment: Experiment) -> None:
    fold = fold_of(experiment)
    clip = fold.of["test"].iloc[1]
    batch, mfcc = fold.whole(clip), fold.store["mfcc"][clip.start : clip.stop]
    window = mfcc[2:9].reshape(28, 13)[:, 1:].T
    np.testing.assert_array_equal(batch["mfcc"][0, 5].numpy(), window)
    assert not batch["mfcc"][0, 0, :, :12].any()  # silence before the clip
    assert not batch["mfcc"][0, -1, :, 16:].any()


def test_mirrored_sequences_mirror_pictures_and_mouths_together(experiment: Experiment) -> None:
    plain, flipped = (fold_of(experiment, flip=flip, colour_jitter=0.0) for flip in (False, True))
    found = 0
    for step in range(4):
        a, b = plain.training_batch(0, step, 4), flipped.training_batch(0, step, 4)
        for i in range(4):
            if torch.equal(a["row"][i], b["row"][i]) and not torch.equal(a["video"][i], b["video"][i]):
                found += 1
                for name in ("video", "identity", "mouth"):
                    torch.testing.assert_close(b[name][i], a[name][i].flip(-1))
    assert found


def test_the_mouths_box_is_around_the_mouth(experiment: Experiment) -> None:
    fold = fold_of(experiment)
    batch = fold.whole(fold.of["test"].iloc[0])
    points = fold.store["landmarks_68"][batch["row"][0].numpy(), 48:68].mean(axis=1)
    at = torch.stack([mask.nonzero().float().mean(dim=0).flip(0) for mask in batch["mouth"][0]])
    np.testing.assert_allclose(at.numpy(), points, atol=0.6)


@pytest.mark.parametrize("choice", ["first", "random", "other_clip"])
def test_the_still_picture_comes_from_where_it_should(choice: str, experiment: Experiment) -> None:
    fold = fold_of(experiment, id_frame=choice, flip=False, colour_jitter=0.0)
    faces, subjects, clips = fold.store["face"], fold.store.rows["subject"], fold.store.rows["clip_id"]
    batch = fold.training_batch(0, 0, 5)
    for i in range(5):
        row = int(batch["row"][i, 0])
        picture = ((batch["identity"][i].permute(1, 2, 0) + 1) * 127.5).round().numpy()
        candidates = np.flatnonzero((np.asarray(faces) == picture).all(axis=(1, 2, 3)))
        assert set(subjects[candidates]) == {subjects[row]}
        if choice == "first":
            assert fold.store.clip(clips[row]).start in candidates
        else:
            assert (clips[row] in set(clips[candidates])) == (choice == "random")


def test_a_head_that_moves_is_brought_to_rest() -> None:
    rng = np.random.default_rng(0)
    shape = rng.normal(0, 10, (21, 2))
    angle, scale, shift = rng.normal(0, 0.1, 9), rng.uniform(0.9, 1.1, 9), rng.normal(40, 4, (9, 2))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(9, 2, 2)
    points = scale[:, None, None] * np.einsum("tij,pj->tpi", turn, shape) + shift[:, None]
    matrices = common._steadying(points)
    steady = np.einsum("tij,tpj->tpi", matrices[:, :2, :2], points) + matrices[:, None, :2, 2]
    np.testing.assert_allclose(steady, np.broadcast_to(steady[:1], steady.shape), atol=1.0)
    assert np.abs(steady - steady[:1]).max() < 0.2 * np.abs(points - points[:1]).max()
    unknown = common._steadying(np.full((3, 21, 2), np.nan))
    np.testing.assert_array_equal(unknown, np.broadcast_to(np.eye(3), (3, 3, 3)))


@pytest.mark.usefixtures("judged")
def test_a_perfect_system_has_perfect_numbers(experiment: Experiment) -> None:
    metrics = evaluated(Echo().eval(), experiment).metrics
    assert metrics["PSNR"] == 100
    assert metrics["SSIM"] == pytest.approx(1, abs=1e-3)  # flat regions lose digits in float32
    assert [metrics[name] for name in ("LPIPS", "LMD", "AUE")] == [0, 0, 0]
    assert metrics["EFID"] == pytest.approx(0, abs=1e-6)
    assert metrics["MouthCorrelation"] == pytest.approx(1)
    assert metrics["SpeechF1"] == 1.0


@pytest.mark.usefixtures("judged")
def test_the_still_face_measures_what_its_control_does(experiment: Experiment) -> None:
    evaluation = evaluated(still(experiment), experiment)
    values = {row.metric: row.value for row in evaluation.rows}
    for name in ("PSNR", "SSIM", "LPIPS", "LMD", "AUE", "WER", "SyncC", "EFID", "F1"):
        assert values[name] == pytest.approx(values[f"{name}@still"]), name
    assert values["LMD"] > 0
    assert values["MouthCorrelation"] == 0


@pytest.mark.usefixtures("judged")
def test_numbers_are_means_over_frames_and_say_who_measured(experiment: Experiment) -> None:
    evaluation = evaluated(still(experiment), experiment)
    fold, rows = fold_of(experiment), {row.metric: row for row in evaluation.rows}
    expected = []
    for _, clip in fold.of["test"].iterrows():
        video = (fold.whole(clip)["video"][0] + 1) / 2
        expected.append(psnr(video[:1].expand_as(video), video))
    assert rows["PSNR"].value == pytest.approx(float(torch.cat(expected).mean()), abs=1e-3)
    assert rows["PSNR"].low <= rows["PSNR"].value <= rows["PSNR"].high
    assert {name: rows[name].judge for name in ("PSNR", "LPIPS", "LMD", "WER", "SyncC", "SyncC@truth", "F1/AU25")} == {
        "PSNR": "", "LPIPS": "perceptual toy 0", "LMD": "au toy 0", "WER": "lip_reader toy 0",
        "SyncC": "syncnet toy 0", "SyncC@truth": "syncnet toy 0", "F1/AU25": "au toy 0",
    }  # fmt: skip
    assert rows["SyncOffset"].value == 3
    assert rows["WER"].value == pytest.approx((1 + 6) / 12)  # one word wrong of the first sentence, all of the second
    assert set(HEADLINE) <= set(evaluation.metrics)
    assert set(evaluation.replicates) == set(rows)
    assert evaluation.warnings == ()


@pytest.mark.usefixtures("judged")
def test_controls_hear_what_they_should(experiment: Experiment) -> None:
    """The toy's SyncD is the mean of the sound that it is given."""
    fold = fold_of(experiment)
    table = FAMILY.predict(still(experiment), fold, 4).set_index("clip_id")
    for clip_id, row in table.iterrows():
        sound = np.asarray(fold.store["mfcc"][fold.store.clip(str(clip_id))], np.float64)
        assert row["SyncD"] == pytest.approx(sound.mean(), rel=1e-4)
        assert row["SyncD@shifted5"] == pytest.approx(sound[:-5].sum() / sound.size, rel=1e-4)
        others = table.index[(table["subject"] != row["subject"]) & (table["transcript"] != row["transcript"])]
        means = [float(fold.store["mfcc"][fold.store.clip(other)].mean()) for other in others]
        assert min(abs(row["SyncD@other_speech"] - mean) for mean in means) < 1e-3


def test_without_judges_their_numbers_are_missing_and_said_so(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluation = evaluated(still(experiment), experiment)
    assert np.isnan(evaluation.metrics["LMD"])
    assert np.isfinite(evaluation.metrics["PSNR"])
    assert evaluation.warnings == (
        "LPIPS, SyncC, SyncD, LMD, AUE, WER, EFID: the judge that measures it has not been trained",
    )


def test_an_evaluation_draws_films_with_sound_and_mouths(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no judges are
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    evaluate(experiment, tmp_path / "models", tmp_path / "reports")
    pictures = tmp_path / "reports/pictures"
    captions = json.loads((pictures / "captions.json").read_text())
    assert set(captions) == {path.name for path in pictures.iterdir()} - {"captions.json"}
    films = sorted(pictures.glob("*.mp4"))
    assert [film.stem for film in films] == ["test0", "test1", "test2"]
    info = probe(films[0])
    assert (info.n_frames, info.fps, info.sample_rate) == (FRAMES, 25.0, 16_000)
    assert all("synthetic people" in caption for caption in captions.values())
    assert "MouthPSNR" in set(pd.read_parquet(tmp_path / "models/history.parquet")["name"])
    assert set(HEADLINE) <= set(read_rows(tmp_path / "reports/results.csv")["metric"])


def test_the_toys_say_two_sentences() -> None:
    assert len(set(SENTENCES)) == 2
    assert opening("test0-0").std() > 0.1
