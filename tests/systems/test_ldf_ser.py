"""What is special in the speech emotion family: folds, features by switch, classifiers, the claim on toy voices."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.contract.toys import smoke_experiment
from tests.systems.toy_voices import PEOPLE
from vultus.core import registry
from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.core.experiment import Experiment, evaluate, train, with_changes
from vultus.core.history import History
from vultus.core.loop import Run
from vultus.data.parquet import read_frame
from vultus.data.stores import open_store
from vultus.systems.speech_emotion.common import (
    EMODB_EMOTIONS,
    FAMILY,
    EmotionFold,
    VectorSystem,
    describe_utterances,
    score_decisions,
    spoken_tracks,
)
from vultus.systems.speech_emotion.ldf_ser import CARD, Config

N_PEOPLE = sum(n for group, n in PEOPLE.items() if group != "judge")


@pytest.fixture
def experiment(roots: dict[str, Path]) -> Experiment:
    return smoke_experiment("ldf_ser", roots["speech_emotion"])


def folds(experiment: Experiment) -> list[EmotionFold]:
    opened = FAMILY.folds(experiment)
    assert all(isinstance(fold, EmotionFold) for fold in opened)
    return opened  # type: ignore[return-value]


def fitted(experiment: Experiment, fold: EmotionFold, folder: Path) -> VectorSystem:
    folder.mkdir(exist_ok=True)
    system = experiment.build()
    system.fit(Run(fold, experiment.train, experiment.seed, folder, History()))
    assert isinstance(system, VectorSystem)
    return system.eval()


def uar(experiment: Experiment, folder: Path) -> float:
    """On the test people of the first fold."""
    fold = folds(experiment)[0]
    return score_decisions(fold.table(fitted(experiment, fold, folder), "test"), EMODB_EMOTIONS)["UAR"]


@pytest.mark.parametrize(
    ("features", "size"), [("ldf", 60), ("global_small", 23), ("global_384", 384), ("global+ldf", 83)]
)
def test_features_by_switch(experiment: Experiment, features: str, size: int) -> None:
    utterances = folds(with_changes(experiment, features=features))[0].utterances
    assert utterances.features.shape == (14 * (N_PEOPLE + PEOPLE["judge"]), size)
    assert len(utterances.columns) == size
    assert np.isfinite(utterances.features).all()
    assert utterances.about["voiced_ok"].all()


def test_loso_tests_each_speaker_once_and_never_a_judge(experiment: Experiment) -> None:
    opened = folds(dataclasses.replace(experiment, protocol="loso"))
    tested = [tuple(fold.utterances.about["subject"].iloc[fold.rows["test"]].unique()) for fold in opened]
    assert len(opened) == N_PEOPLE
    assert all(len(people) == 1 for people in tested)
    assert not any(people[0].startswith("judge") for people in tested)


def test_cv10_says_that_its_speakers_are_known(experiment: Experiment, tmp_path: Path) -> None:
    mixed = dataclasses.replace(experiment, protocol="cv10")
    train(mixed, tmp_path / "models", tmp_path / "checkpoints")
    closing = evaluate(mixed, tmp_path / "models", tmp_path / "reports")
    assert "speakers are in training and test" in closing
    predictions = pd.read_parquet(tmp_path / "reports/predictions.parquet")
    assert predictions["clip_id"].is_unique
    assert predictions["fold"].nunique() == 10


def test_result_files(experiment: Experiment, tmp_path: Path) -> None:
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    evaluate(experiment, tmp_path / "models", tmp_path / "reports")
    predictions = pd.read_parquet(tmp_path / "reports/predictions.parquet")
    scores = predictions[[f"score_{emotion}" for emotion in EMODB_EMOTIONS]].to_numpy()
    assert [EMODB_EMOTIONS[i] for i in scores.argmax(axis=1)] == predictions["decision"].tolist()
    rows = pd.read_csv(tmp_path / "reports/results.csv").set_index("metric")
    assert rows.loc["WAR", "value"] == pytest.approx((predictions["decision"] == predictions["emotion"]).mean())
    recalls = [rows.loc[f"Recall/{emotion}", "value"] for emotion in EMODB_EMOTIONS]
    assert rows.loc["UAR", "value"] == pytest.approx(np.mean(recalls), abs=1e-5)
    assert rows.loc[["UAR/female", "UAR/male"], "n"].sum() == predictions["subject"].nunique()
    pictures = {path.name for path in (tmp_path / "reports/pictures").glob("*.png")}
    assert pictures == {"confusion.png", "utterances.png"}


@pytest.mark.parametrize("classifier", ["svm_rbf", "svm_linear", "elm", "mlp"])
def test_every_classifier_learns_the_toy_emotions(experiment: Experiment, tmp_path: Path, classifier: str) -> None:
    train_config = dataclasses.replace(experiment.train, epochs=12)
    changed = with_changes(dataclasses.replace(experiment, train=train_config), classifier=classifier)
    fold = folds(changed)[0]
    system = fitted(changed, fold, tmp_path / "run")
    assert score_decisions(fold.table(system, "test"), EMODB_EMOTIONS)["UAR"] > 0.7
    system.save(tmp_path)
    loaded = changed.card.system(changed.config)
    loaded.load(tmp_path)
    pd.testing.assert_frame_equal(fold.table(system, "test"), fold.table(loaded.eval(), "test"))


def test_shuffling_the_pitch_of_an_utterance_takes_what_local_features_know(
    experiment: Experiment, tmp_path: Path
) -> None:
    whole = uar(with_changes(experiment, blocks=("jump", "slope")), tmp_path / "a")
    shuffled = uar(with_changes(experiment, blocks=("jump", "slope"), shuffle_time=True), tmp_path / "b")
    assert whole - shuffled > 0.3


def test_c_is_chosen_by_leaving_out_training_speakers(experiment: Experiment, tmp_path: Path) -> None:
    candidates = (10.0, 0.003, 0.3)
    changed = with_changes(experiment, c_values=candidates, blocks=("slope",))
    fold = folds(changed)[0]
    label, wrong = fold.utterances.label.copy(), fold.rows["train"][::3]  # wrong ones, so that the candidates differ
    label[wrong] = np.random.default_rng(0).permutation(label[wrong])
    fold.utterances = dataclasses.replace(fold.utterances, label=label)
    run = Run(fold, changed.train, changed.seed, tmp_path, History())
    changed.build().fit(run)
    x, label, speaker = fold.vectors("train")
    reached = [
        balanced_accuracy_score(
            label,
            cross_val_predict(
                make_pipeline(StandardScaler(), SVC(C=c, break_ties=True, tol=1e-5)), x, label, groups=speaker,
                cv=LeaveOneGroupOut(),
            ),
        )
        for c in candidates
    ]  # fmt: skip
    assert len(set(reached)) > 1
    assert run.selected["solve"]["chosen"] == {"C": candidates[int(np.argmax(reached))]}


def test_the_machine_learns_from_validation_people_too(experiment: Experiment, tmp_path: Path) -> None:
    fold = folds(experiment)[0]
    system = fitted(experiment, fold, tmp_path / "run")
    everybody = fold.vectors("train", "validation")[0]
    torch.testing.assert_close(system.mean, torch.from_numpy(everybody.mean(axis=0)))


def test_balanced_weights_are_inverse_shares(experiment: Experiment) -> None:
    changed = with_changes(experiment, balanced=True)
    fold = folds(changed)[0]
    fold.rows["train"] = fold.rows["train"][5:]  # some angry and bored utterances less
    system = changed.build()
    system.prepare(fold)
    label = fold.vectors("train")[1]
    assert isinstance(system, VectorSystem)
    np.testing.assert_allclose(system.class_weight, len(label) / (7 * np.bincount(label)), rtol=1e-6)


def test_reference_is_the_utterance_the_speaker_or_fixed(experiment: Experiment) -> None:
    vectors = {}
    for reference in ("utterance", "speaker", "none"):
        vectors[reference] = folds(with_changes(experiment, blocks=("ppd",), reference=reference))[0].utterances
    levels = {name: utterances.features @ np.arange(18) for name, utterances in vectors.items()}
    subject = vectors["none"].about["subject"]
    spread = {name: pd.Series(level).groupby(subject).mean().std() for name, level in levels.items()}
    # A fixed reference keeps the voice of the speaker in the histogram; the others take it out.
    assert spread["none"] > 3 * max(spread["utterance"], spread["speaker"])
    assert np.abs(levels["utterance"] - levels["speaker"]).max() > 0.01


def test_speakers_pitch_is_the_median_of_all_that_they_say(experiment: Experiment) -> None:
    heard: dict[float, int] = {}

    class Listening(Config):
        def describe(self, tracks: Any, speaker_f0_hz: float, rng: Any) -> Any:
            heard[speaker_f0_hz] = heard.get(speaker_f0_hz, 0) + 1
            return super().describe(tracks, speaker_f0_hz, rng)

    clips, store = read_frame(experiment.tables / "clips.parquet"), open_store(experiment.features)
    describe_utterances(store, clips, Listening(), seed=1)
    assert len(heard) == N_PEOPLE + PEOPLE["judge"]
    assert set(heard.values()) == {14}


def test_emotions_that_are_not_asked_for_are_left_out(experiment: Experiment) -> None:
    fold = folds(with_changes(experiment, emotions=("anger", "sadness")))[0]
    assert set(fold.utterances.about["emotion"]) == {"anger", "sadness"}
    assert fold.utterances.left_out == 5 * 2 * (N_PEOPLE + PEOPLE["judge"])
    with pytest.raises(UserError, match="no clip has one of the emotions contempt, calm"):
        folds(with_changes(experiment, emotions=("contempt", "calm")))


def test_an_utterance_without_voice_is_counted(experiment: Experiment, tmp_path: Path) -> None:
    fold = folds(experiment)[0]
    fold.utterances.about.loc[fold.rows["test"][:2], "voiced_ok"] = False
    table = fold.table(fitted(experiment, fold, tmp_path / "run"), "test").assign(dataset="world", fold=0)
    warnings = FAMILY.score(table, [fold], experiment).warnings
    assert warnings == (f"2 of {len(table)} utterances have too little voice to describe its dynamics",)


def test_tracks_are_those_of_the_store_without_silence(experiment: Experiment) -> None:
    store = open_store(experiment.features)
    clip_id = store.clips["clip_id"].iloc[0]
    tracks, rows = spoken_tracks(store, clip_id), store.clip(clip_id)
    whole = np.asarray(store["f0_hz"][rows], np.float64)
    assert 0 < len(tracks) <= len(whole)
    assert tracks.mfcc.shape == (len(tracks), 13)
    np.testing.assert_array_equal(tracks.f0_hz[tracks.f0_hz > 0], whole[whole > 0])


def test_configuration_is_checked() -> None:
    with pytest.raises(UserError, match="emotions has 'rage'; known"):
        section(Config, {"emotions": ["rage", "anger"]}, "systems.ldf_ser.config")
    with pytest.raises(UserError, match="once each"):
        section(Config, {"blocks": []}, "systems.ldf_ser.config")
    with pytest.raises(UserError, match="c_values"):
        section(Config, {"c_values": [0.0]}, "systems.ldf_ser.config")


def test_claims_are_about_existing_switches() -> None:
    for claim in CARD.claims:
        for changes in (claim.variant, claim.baseline):
            dataclasses.replace(Config(), **changes)
    assert registry.get("global_ser").role == "baseline"
