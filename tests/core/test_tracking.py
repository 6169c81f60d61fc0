"""The MLflow view of the result files: idempotent, complete, and nothing lost with the database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.synthetic_results import write_evaluation, write_lock, write_repository, write_training
from vultus.core import tracking
from vultus.core.errors import UserError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_repository(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, made once: its creation costs seconds, a copy costs nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


def _runs(root: Path, family: str = "action_units") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.tracking_uri(root))
    return list(client.search_runs([client.get_experiment_by_name(family).experiment_id]))


def _parents(runs: list[Any]) -> list[Any]:
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def test_a_result_becomes_a_parent_with_one_child_a_fold(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    write_training(root / "models" / "jaa_net", 0, folds=3)
    done = tracking.publish(root)
    assert done.created == ["jaa_net"]
    assert not done.skipped

    runs = _runs(root)
    (parent,) = _parents(runs)
    children = [run for run in runs if run is not parent]
    assert sorted(run.data.tags["fold"] for run in children) == ["fold 0", "fold 1", "fold 2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}

    written = json.loads((root / "reports/systems/jaa_net/metrics.json").read_text())
    assert {name: parent.data.metrics[name] for name in written} == pytest.approx(written)
    assert parent.data.params["train.batch_size"] == "16"
    assert parent.data.params["config.xi"] == "0.56", "defaults that the preset leaves alone are part of the record"
    assert parent.data.tags["synthetic"] == "true"
    assert "(synthetic)" in parent.info.run_name
    assert parent.info.end_time - parent.info.start_time == 3 * 7500, "three folds of 7.5 s"


def test_epochs_are_the_steps_of_a_metric(root: Path, empty_database: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    write_training(root / "models" / "jaa_net", 0, folds=2)
    tracking.publish(root)
    (parent,) = _parents(_runs(root))
    points = MlflowClient(tracking_uri=tracking.tracking_uri(root)).get_metric_history(
        parent.info.run_id, "validation/F1"
    )
    history = pd.read_parquet(root / "models/jaa_net/history.parquet")
    rows = history[(history["split"] == "validation") & (history["name"] == "F1")]
    expected = rows.groupby("epoch")["value"].mean()
    assert {point.step: point.value for point in points} == pytest.approx(expected.to_dict())


def test_artifacts_lie_beside_the_database(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    tracking.publish(root)
    names = {path.name for path in (root / "mlartifacts").rglob("*") if path.is_file()}
    assert {"metrics.json", "results.csv", "attention.png", "captions.json", "config.yaml"} <= names
    assert "weights.safetensors" not in names


def test_publishing_twice_makes_one_run(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    tracking.publish(root)
    again = tracking.publish(root)
    assert again.present == ["jaa_net"]
    assert not again.created
    assert len(_parents(_runs(root))) == 1


def test_a_changed_result_makes_a_second_run_and_keeps_the_first(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    tracking.publish(root)
    write_evaluation(root / "reports/systems/jaa_net", "jaa_net", 9)
    write_lock(root, ("jaa_net",))
    assert tracking.publish(root).created == ["jaa_net"]
    assert len({run.data.tags[tracking.KEY_TAG] for run in _parents(_runs(root))}) == 2


def test_a_half_written_run_is_replaced(root: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            tracking.publish(root)
    assert not tracking.is_current(root)
    assert tracking.publish(root).created == ["jaa_net"]
    (parent,) = _parents(_runs(root))
    assert parent.data.tags[tracking.COMPLETE_TAG] == "true"


def test_the_database_can_be_deleted(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    tracking.publish(root)
    assert tracking.is_current(root)
    (before,) = _parents(_runs(root))
    (root / "mlflow.db").unlink()
    assert not tracking.is_current(root)
    shutil.copy(empty_database, root / "mlflow.db")
    tracking.publish(root)
    (after,) = _parents(_runs(root))
    assert after.data.metrics == before.data.metrics
    assert after.data.params == before.data.params


def test_files_that_dvc_lock_does_not_describe_are_not_published(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"F1": 1.0}')
    done = tracking.publish(root)
    assert not done.created
    assert "make repro" in done.skipped["jaa_net"]
    assert not tracking.is_current(root), "a system that was left out is tried again"


def test_a_result_without_numbers_is_still_a_run(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "models/jaa_net/history.parquet").unlink()
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"F1": NaN}')
    write_lock(root, ("jaa_net",))
    tracking.publish(root)
    (parent,) = _runs(root)
    assert parent.data.metrics == {}


def test_names_with_an_at_sign_become_names_that_mlflow_allows(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"WER": 0.2, "WER@general_lm": 0.6}')
    history = pd.read_parquet(root / "models/jaa_net/history.parquet")
    history["name"] = history["name"].replace("F1", "F1@general_lm")
    history.to_parquet(root / "models/jaa_net/history.parquet")
    write_lock(root, ("jaa_net",))
    tracking.publish(root)
    (parent,) = [run for run in _runs(root) if "mlflow.parentRunId" not in run.data.tags]
    assert {"WER": 0.2, "WER:general_lm": 0.6}.items() <= parent.data.metrics.items()
    assert "validation/F1:general_lm" in parent.data.metrics


def test_nothing_ran_yet(tmp_path: Path) -> None:
    write_repository(tmp_path)
    (tmp_path / "dvc.lock").unlink()
    with pytest.raises(UserError, match="make repro"):
        tracking.publish(tmp_path)


def test_the_address_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.tracking_uri(tmp_path) == "http://127.0.0.1:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking.tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"


def test_asking_whether_all_is_published_does_not_import_mlflow(root: Path) -> None:
    code = (
        "import sys, pathlib; from vultus.core import tracking; "
        f"assert not tracking.is_current(pathlib.Path({str(root)!r})); assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
