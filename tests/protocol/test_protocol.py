"""Who may see whom: over all systems, on toy data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from tests.contract.toys import OF_PEOPLE, PROTOCOLS, smoke_experiment
from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.experiment import evaluate, train
from vultus.core.history import History
from vultus.core.loop import Run
from vultus.core.results import read_rows

SYSTEMS = registry.keys()


@pytest.mark.parametrize("key", SYSTEMS)
def test_training_and_selection_never_see_test_or_judge_people(
    key: str, roots: dict[str, Path], scrambled_roots: dict[str, Path], tmp_path: Path
) -> None:
    """Nonsense in place of the test people's pictures and labels changes neither weights nor the selected epoch."""
    family, weights, selected = registry.family_of(key), [], []
    for index, root in enumerate((roots[family], scrambled_roots[family])):
        experiment = smoke_experiment(key, root)
        fold = registry.family(family).folds(experiment)[0]
        folder = tmp_path / str(index)
        folder.mkdir()
        run = Run(fold, dataclasses.replace(experiment.train, epochs=2), experiment.seed, folder, History())
        system = experiment.build()
        system.fit(run)
        weights.append(system.state_dict())
        selected.append([(phase["epoch"], phase["value"]) for phase in run.selected.values()])
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert selected[0] == selected[1]


OWNED = [(key, name) for key in SYSTEMS for name in PROTOCOLS.get(registry.family_of(key), OF_PEOPLE)]


@pytest.mark.parametrize(("key", "protocol"), OWNED)
def test_every_prediction_row_has_one_owner(key: str, protocol: str, roots: dict[str, Path], tmp_path: Path) -> None:
    family = registry.family_of(key)
    experiment = dataclasses.replace(smoke_experiment(key, roots[family]), protocol=protocol)
    models, reports = tmp_path / "models", tmp_path / "reports"
    train(experiment, models, tmp_path / "checkpoints")
    evaluate(experiment, models, reports)
    predictions = pd.read_parquet(reports / "predictions.parquet")
    assert not predictions.duplicated(["clip_id", "frame"]).any()  # so no toy data lets two transfers share a target
    folds = registry.family(family).folds(experiment)
    for index, fold in enumerate(folds):
        split = fold.split  # type: ignore[attr-defined]
        assert set(predictions.loc[predictions.fold == index, split.unit]) == set(split.test)
    rows = read_rows(reports / "results.csv")
    assert set(rows.split_hash) == {"+".join(fold.split_hash for fold in folds)}
    # a part of a number may be of some people only, such as the women
    n = predictions[split.unit].nunique()
    assert set(rows.n[~rows.metric.str.contains("/")]) == {n}
    assert rows.n.max() == n
    inside = rows.dropna(subset=["low", "high"])
    assert ((inside.low <= inside.value) & (inside.value <= inside.high)).all(), inside
    assert set(experiment.card.headline) <= set(rows.metric)


def test_weights_of_another_split_are_refused(roots: dict[str, Path], tmp_path: Path) -> None:
    experiment = smoke_experiment("hog_svm", roots["action_units"])
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    other = dataclasses.replace(experiment, protocol="by_subject_3fold")
    with pytest.raises(UserError, match="trained on another split than 'by_subject_3fold' gives now: train again"):
        evaluate(other, tmp_path / "models", tmp_path / "reports")


def test_weights_of_another_configuration_are_refused(roots: dict[str, Path], tmp_path: Path) -> None:
    experiment = smoke_experiment("hog_svm", roots["action_units"])
    train(experiment, tmp_path / "models", tmp_path / "checkpoints")
    other = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, flip=False))
    with pytest.raises(UserError, match=r"config\.yaml differs from params\.yaml: train hog_svm again"):
        evaluate(other, tmp_path / "models", tmp_path / "reports")
