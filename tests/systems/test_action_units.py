"""The family's contract: batches, labels, scores, pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from tests.contract.toys import smoke_experiment
from tests.systems.toy_faces import SIZE_PX
from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.experiment import evaluate, train
from vultus.data.splits import Split, protocol
from vultus.data.stores import Store
from vultus.data.tables import ACTION_UNITS
from vultus.face.landmarks import biocular_distance, flip_landmarks, reduce_points
from vultus.systems.action_units.common import (
    CONTRAST_FLOOR,
    FAMILY,
    AuFold,
    FaceConfig,
    Prediction,
    local_contrast,
)

CONFIG = FaceConfig(aus=(1, 12, 25), image_px=64)


@pytest.fixture(scope="session")
def split(toy_root: Path) -> Split:
    return protocol("world", pd.read_parquet(toy_root / "data/tables/world/valid/clips.parquet"))[0]


def fold_of(store: Store, split: Split, **changes: object) -> AuFold:
    return AuFold(store, split, dataclasses.replace(CONFIG, **changes), seed=1)  # type: ignore[arg-type]


def test_a_central_crop_is_the_middle_of_the_stored_face(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    rows = fold.rows["test"][:3]
    batch = fold.central(rows)
    stored = toy_store["face"][rows][:, 4:68, 4:68]
    np.testing.assert_allclose((batch["image"].permute(0, 2, 3, 1).numpy() + 1) * 127.5, stored, atol=1e-4)
    np.testing.assert_allclose(batch["landmarks"], reduce_points(toy_store["landmarks_68"][rows], 49) - 4, atol=1e-4)
    np.testing.assert_allclose(batch["biocular"], biocular_distance(batch["landmarks"]), rtol=1e-4)
    columns = [ACTION_UNITS.index(au) for au in CONFIG.aus]
    np.testing.assert_array_equal(batch["au_occurrence"], toy_store["au_occurrence"][rows][:, columns])


def test_a_flipped_crop_mirrors_picture_and_names_of_the_landmarks(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    rows, offset = fold.rows["train"][:2], np.array([[1, 2], [8, 0]])
    plain, flipped = (fold.batch(rows, offset, np.full(2, flip)) for flip in (False, True))
    assert torch.equal(flipped["image"], plain["image"].flip(-1))
    torch.testing.assert_close(flipped["landmarks"], flip_landmarks(plain["landmarks"], 64))
    assert torch.equal(flipped["au_occurrence"], plain["au_occurrence"])
    # image-left brow starts left of the image-right brow, before and after
    assert (flipped["landmarks"][:, 0, 0] < flipped["landmarks"][:, 9, 0]).all()


def test_training_batches_leave_the_store_as_it_is(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    before = np.array(toy_store["landmarks_68"])
    first = fold.training_batch(0, 0, 8)
    first["landmarks"] += 100
    assert np.array_equal(before, toy_store["landmarks_68"])
    assert torch.equal(fold.training_batch(0, 0, 8)["row"], first["row"])


def test_an_epoch_holds_each_training_frame_once(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    steps = fold.steps_per_epoch(8)
    seen = torch.cat([fold.training_batch(3, step, 8)["row"] for step in range(steps)])
    assert len(seen.unique()) == len(seen) == steps * 8
    assert set(seen.tolist()) <= set(fold.rows["train"].tolist())
    again = torch.cat([fold.training_batch(4, step, 8)["row"] for step in range(steps)])
    assert not torch.equal(seen, again)


def test_resized_faces_keep_their_landmarks(toy_store: Store, split: Split) -> None:
    """A point at a corner of the stored picture is at the corner of the resized one: pixel areas scale, not centres."""
    fold = fold_of(toy_store, split, resize_px=SIZE_PX // 2, image_px=32)
    batch = fold.central(fold.rows["test"][:2])
    assert batch["image"].shape[-1] == 32
    expected = (reduce_points(toy_store["landmarks_68"][fold.rows["test"][:2]], 49) + 0.5) / 2 - 0.5 - 2
    np.testing.assert_allclose(batch["landmarks"], expected, atol=1e-4)
    np.testing.assert_allclose(batch["biocular"], biocular_distance(batch["landmarks"]), rtol=1e-4)


def test_presence_from_intensity(toy_store: Store, split: Split) -> None:
    """Toy intensities are 0 or 3, NaN where not coded: from 2 on as in DISFA they agree with the occurrence."""
    coded = fold_of(toy_store, split)
    rated = fold_of(toy_store, split, labels="intensity")
    np.testing.assert_array_equal(rated.target, coded.target)
    assert (fold_of(toy_store, split, labels="intensity", intensity_threshold=4.0).target <= 0).all()


def test_rates_and_mean_shape_come_from_training_people(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    target = fold.target[fold.rows["train"]]
    expected = [(column[column >= 0] > 0).mean() for column in target.T]
    np.testing.assert_allclose(fold.occurrence_rate(), expected, rtol=1e-6)
    shape = reduce_points(toy_store["landmarks_68"][fold.rows["train"]], 49).mean(0) - 4
    np.testing.assert_allclose(fold.mean_shape(), shape, atol=1e-3)


def test_a_crop_wider_than_the_face_is_refused(toy_store: Store, split: Split) -> None:
    with pytest.raises(UserError, match=r"image_px is 176, but the aligned faces are 72 px wide"):
        fold_of(toy_store, split, image_px=176)


def test_unknown_action_units_are_refused() -> None:
    with pytest.raises(ValueError, match="no action unit 3"):
        FaceConfig(aus=(1, 3))


def test_thinned_validation_is_evenly_spaced(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)
    rows = torch.cat([batch["row"] for batch in fold.batches("validation", 16, limit=20)]).numpy()
    assert 10 <= len(rows) <= 20
    assert len(np.unique(np.diff(np.searchsorted(fold.rows["validation"], rows)))) == 1


def test_scores_equal_an_independent_computation(toy_root: Path, tmp_path: Path) -> None:
    experiment = smoke_experiment("jaa_hat_net", toy_root)
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    evaluate(experiment, tmp_path / "models", tmp_path / "report")
    table = pd.read_parquet(tmp_path / "report/predictions.parquet")
    results = pd.read_csv(tmp_path / "report/results.csv").set_index("metric")
    metrics = json.loads((tmp_path / "report/metrics.json").read_text())
    scores = []
    for au in experiment.config.aus:
        coded = table[table[f"au{au:02d}_occurrence"] >= 0]
        decided = coded[f"au{au:02d}_probability"] >= 0.5
        scores.append(f1_score(coded[f"au{au:02d}_occurrence"], decided))
        assert results.value[f"F1/AU{au:02d}"] == pytest.approx(scores[-1], abs=1e-5)
    assert metrics["F1"] == pytest.approx(np.mean(scores), abs=1e-5)
    assert metrics["NME"] == pytest.approx(table.nme.mean(), abs=1e-5)
    assert metrics["FailureRate"] == pytest.approx((table.nme > 0.1).mean(), abs=1e-5)
    assert "LocalF1" in metrics
    assert table[["au01_probability", "au01_local_probability"]].stack().between(0, 1).all()
    captions = json.loads((tmp_path / "report/pictures/captions.json").read_text())
    assert set(captions) == {"attention.png", "landmarks.png", "people.png"}
    for name, caption in captions.items():
        assert "synthetic people (world)" in caption
        assert cv2.imread(str(tmp_path / "report/pictures" / name)).std() > 10


def test_an_action_unit_that_nobody_shows_has_no_score_and_a_warning(toy_root: Path) -> None:
    experiment = smoke_experiment("jaa_net", toy_root)
    folds = FAMILY.folds(experiment)
    predictions = FAMILY.predict(experiment.build(), folds[0], 16).assign(dataset="world", fold=0)
    assert FAMILY.score(predictions, folds, experiment).warnings == ()
    evaluation = FAMILY.score(predictions.assign(au12_occurrence=0), folds, experiment)
    assert evaluation.warnings == ("AU12 never present in test fold 0: no F1, left out of the mean",)
    f1 = {row.metric: row.value for row in evaluation.rows if row.metric.startswith("F1")}
    assert np.isnan(f1.pop("F1/AU12"))
    assert f1.pop("F1") == pytest.approx(np.mean(list(f1.values())))


def test_a_perfect_and_an_inverted_predictor(toy_store: Store, split: Split) -> None:
    fold = fold_of(toy_store, split)

    class Oracle(torch.nn.Module):
        flip = False

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("anchor", torch.zeros(1))

        def predict(self, batch: dict[str, torch.Tensor]) -> Prediction:
            present = (batch["au_occurrence"] > 0) != self.flip
            return Prediction(present.float(), landmarks=batch["landmarks"] + 3)

    oracle = Oracle()
    scores = fold.validate(oracle, 16)  # type: ignore[arg-type]
    assert scores["F1"] == scores["Accuracy"] == 1
    distance = torch.cat([batch["biocular"] for batch in fold.batches("validation", 16)])
    assert scores["NME"] == pytest.approx(float((18**0.5 / distance).mean()), rel=1e-4)
    oracle.flip = True
    assert fold.validate(oracle, 16)["F1"] == 0  # type: ignore[arg-type]


def test_the_baseline_has_the_size_of_the_system_it_is_compared_with() -> None:
    from vultus.core.experiment import load_experiment

    for params in ("params.yaml", "params/paper.yaml"):
        sizes = [sum(p.numel() for p in load_experiment(key, params).build().parameters())
                 for key in ("jaa_hat_net", "plain_cnn")]  # fmt: skip
        assert sizes[1] == pytest.approx(sizes[0], rel=0.05), params


def test_the_linear_machines_keep_their_sign_as_probabilities(toy_root: Path, tmp_path: Path) -> None:
    experiment = smoke_experiment("hog_svm", toy_root)
    wider = dataclasses.replace(experiment.config, hog_px=64, training_frames=0, aus=(12, 25))
    experiment = dataclasses.replace(experiment, config=wider)
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    chosen = json.loads((tmp_path / "models/training.json").read_text())["folds"][0]["phases"]["svm"]["chosen"]
    assert set(chosen) == {"AU12", "AU25"}
    evaluate(experiment, tmp_path / "models", tmp_path / "report")
    assert json.loads((tmp_path / "report/metrics.json").read_text())["F1"] > 0.6


def test_the_family_is_found_by_its_name() -> None:
    assert registry.family("action_units") is FAMILY


def test_local_contrast_is_the_distance_from_the_mean_around_in_local_deviations() -> None:
    face = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)
    colour = face[0].astype(np.float64) / 127.5 - 1

    def around(image: np.ndarray, y: int, x: int) -> np.ndarray:
        return image[y - 2 : y + 3, x - 2 : x + 3]

    centred = np.full_like(colour, np.nan)
    for y in range(2, 18):
        for x in range(2, 18):
            centred[y, x] = colour[y, x] - around(colour, y, x).mean(axis=(0, 1))
    expected = centred[10, 9] / (np.sqrt((around(centred, 10, 9) ** 2).mean()) + CONTRAST_FLOOR)
    np.testing.assert_allclose(local_contrast(face, 5)[0, 10, 9], expected, rtol=1e-4)


def test_local_contrast_does_not_see_the_light() -> None:
    dark = np.random.default_rng(1).integers(20, 60, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(local_contrast(4 * dark, 9), local_contrast(dark, 9), atol=0.4)
    assert np.abs(local_contrast(dark, 9)).max() > 1.5
    np.testing.assert_array_equal(local_contrast(np.full((1, 16, 16, 3), 90, np.uint8), 9), 0)


def test_contrast_changes_pictures_and_nothing_else(toy_store: Store, split: Split) -> None:
    plain, even = (fold_of(toy_store, split, contrast_px=px).training_batch(0, 0, 8) for px in (0, 9))
    assert not torch.equal(plain["image"], even["image"])
    assert all(torch.equal(plain[name], even[name]) for name in plain if name != "image")
    fold = fold_of(toy_store, split, contrast_px=9)
    seen = fold.central_faces(fold.rows["test"][:4]).astype(np.float32) / 127.5 - 1
    raw = fold_of(toy_store, split).central(fold.rows["test"][:4])["image"].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(seen, raw, atol=1e-6)
    with pytest.raises(ValueError, match="contrast_px must be odd"):
        FaceConfig(contrast_px=8)
