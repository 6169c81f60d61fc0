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
import yaml

from tests.synthetic_results import SPLIT_HASH, write_evaluation, write_lock, write_repository, write_training
from vultus import tracking
from vultus.core.errors import UserError
from vultus.core.history import HistoryRow
from vultus.tracking import publisher, results


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_repository(tmp_path)
    return tmp_path


def _runs(root: Path, family: str = "action_units") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.tracking_uri(root))
    return list(client.search_runs([client.get_experiment_by_name(family).experiment_id]))


def _parents(runs: list[Any]) -> list[Any]:
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def _children(root: Path) -> list[Any]:
    return [run for run in _runs(root) if "mlflow.parentRunId" in run.data.tags]


def _points(root: Path, run: Any, name: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    history = MlflowClient(tracking_uri=tracking.tracking_uri(root)).get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def test_a_result_becomes_a_parent_with_one_child_a_fold(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    write_training(root / "models" / "jaa_net", 0, folds=3)
    done = publisher.publish(root)
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
    publisher.publish(root)
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
    publisher.publish(root)
    names = {path.name for path in (root / "mlartifacts").rglob("*") if path.is_file()}
    assert {"metrics.json", "results.csv", "attention.png", "captions.json", "config.yaml"} <= names
    assert "weights.safetensors" not in names


def test_publishing_twice_makes_one_run(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    publisher.publish(root)
    again = publisher.publish(root)
    assert again.present == ["jaa_net"]
    assert not again.created
    assert len(_parents(_runs(root))) == 1


def test_a_changed_result_makes_a_second_run_and_keeps_the_first(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    publisher.publish(root)
    write_evaluation(root / "reports/systems/jaa_net", "jaa_net", 9)
    write_lock(root, ("jaa_net",))
    assert publisher.publish(root).created == ["jaa_net"]
    assert len({run.data.tags[publisher.KEY_TAG] for run in _parents(_runs(root))}) == 2


def test_a_half_written_run_is_completed(root: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            publisher.publish(root)
    assert not publisher.is_current(root)
    (half,) = _runs(root)
    assert half.info.status == "RUNNING"
    assert publisher.publish(root).created == ["jaa_net"], "its child is new"
    (parent,) = _parents(_runs(root))
    assert parent.info.run_id == half.info.run_id
    assert parent.info.status == "FINISHED"
    assert _points(root, parent, "validation/F1") == _points(root, _children(root)[0], "validation/F1")


def test_an_artifact_that_was_lost_comes_back(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    publisher.publish(root)
    (picture,) = (root / "mlartifacts").rglob("attention.png")
    picture.unlink()
    assert publisher.publish(root).completed == ["jaa_net"]
    assert picture.is_file()
    assert publisher.publish(root).present == ["jaa_net"]


def test_a_child_that_was_deleted_comes_back(root: Path, empty_database: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    write_training(root / "models" / "jaa_net", 0, folds=3)
    publisher.publish(root)
    client = MlflowClient(tracking_uri=tracking.tracking_uri(root))
    client.delete_run(_children(root)[1].info.run_id)
    publisher.publish(root)
    assert sorted(run.data.tags["fold"] for run in _children(root)) == ["fold 0", "fold 1", "fold 2"]


def test_a_run_that_was_followed_becomes_the_fold_and_gets_what_it_missed(root: Path, empty_database: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    rows = pd.read_parquet(root / "models/jaa_net/history.parquet").to_dict("records")
    client = MlflowClient(tracking_uri=tracking.tracking_uri(root))
    experiment = publisher.experiment_of(client, "action_units")
    tags = {publisher.LIVE_TAG: results.fingerprint(rows[0])}
    live = client.create_run(experiment, tags=tags, run_name="jaa_net, training").info.run_id
    for row in rows[:4]:  # then the server went away
        point = results.point(HistoryRow(**row))
        client.log_metric(live, point.name, point.value, step=point.step)
    publisher.publish(root)
    (child,) = _children(root)
    assert child.info.run_id == live
    assert child.info.run_name == "jaa_net, fold fold 0"
    for name in ("train/loss", "validation/loss", "validation/F1"):
        points = _points(root, child, name)
        assert [step for step, _ in points] == [0, 1, 2], "each epoch once"
    publisher.publish(root)
    assert len(_runs(root)) == 2


def test_data_sets_are_logged_as_dvc_knows_them(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    deps = [{"path": "data/features/world/crops", "md5": "c1.dir"}, {"path": "vultus/nn", "md5": "c2.dir"}]
    lock["stages"]["train@jaa_net"] = {"cmd": "", "deps": deps}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    publisher.publish(root)
    publisher.publish(root)
    (parent,) = _parents(_runs(root))
    (data,) = parent.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("world/crops", "c1.dir")
    assert {tag.value for tag in data.tags} == {"training"}


def test_provenance_is_that_of_the_first_publication(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    rows = pd.read_csv(root / "reports/systems/jaa_net/results.csv").assign(judge="au embedded 12ab")
    rows.to_csv(root / "reports/systems/jaa_net/results.csv", index=False)
    write_lock(root, ("jaa_net",))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "dvc.lock"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    publisher.publish(root)
    (before,) = _parents(_runs(root))
    subprocess.run([*git, "commit", "--allow-empty", "-qm", "two"], cwd=root, check=True)
    publisher.publish(root)
    (after,) = _parents(_runs(root))
    assert before.data.tags == after.data.tags
    assert after.data.tags["git_commit"] == commit
    assert after.data.tags["judge"] == "au embedded 12ab"
    assert after.data.tags["split_hash"] == SPLIT_HASH
    assert len(after.data.tags["dvc_lock"]) == 12


def test_claims_are_a_run_with_a_child_for_each_arm_and_seed(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    rows = [
        (arm, seed, "F1", replicate, 0.5 + seed / 100 + replicate / 1000)
        for arm in ("jaa_net", "jaa_net: attention=none")
        for seed in (1, 2)
        for replicate in (-1, 0, 1)
    ]
    folder = root / "reports/claims/jaa_net"
    folder.mkdir(parents=True)
    columns = ["arm", "seed", "metric", "replicate", "value"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "replicates.parquet")
    (root / "claims").mkdir()
    shutil.copy(root / "params.yaml", root / "claims/params.yaml")
    (root / "claims/dvc.lock").write_text(yaml.safe_dump({"stages": {"claim@jaa_net": {"cmd": "x"}, "ledger": {}}}))
    assert publisher.publish(root).created == ["jaa_net", "jaa_net, claims"]
    arms = {run.info.run_name: run.data.metrics for run in _children(root) if "arm" in run.data.tags}
    assert len(arms) == 4
    assert arms["jaa_net: attention=none, seed 2"] == {"F1": pytest.approx(0.519)}
    assert publisher.publish(root).present == ["jaa_net", "jaa_net, claims"]


def test_points_of_a_sweep_are_children_of_one_run(
    root: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    for rate in (0.1, 0.2):
        workspace = tmp_path_factory.mktemp("point")
        params = write_repository(workspace)
        params["systems"] |= {"arl": params["systems"]["jaa_net"]}  # not evaluated there
        params["systems"]["jaa_net"]["train"]["learning_rate"] = rate
        (workspace / "params.yaml").write_text(yaml.safe_dump(params))
        write_evaluation(workspace / "reports/systems/jaa_net", "jaa_net", int(rate * 10))
        write_lock(workspace, ("jaa_net",))
        point = {"systems.jaa_net.train.learning_rate": rate}
        assert publisher.publish_point(workspace, "rates", point).created == ["jaa_net"]
        assert publisher.publish_point(workspace, "rates", point).present == ["jaa_net"]
        assert not (workspace / "mlartifacts").exists()
    (parent,) = _parents(_runs(root))
    assert parent.info.run_name == "sweep rates"
    assert sorted(run.info.run_name for run in _children(root)) == [
        "jaa_net, learning_rate=0.1",
        "jaa_net, learning_rate=0.2",
    ]


def test_files_behind_a_server_are_not_written_past_it(root: Path, empty_database: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, root / "mlflow.db")
    client = MlflowClient(tracking_uri=tracking.tracking_uri(root))
    client.create_experiment("action_units", artifact_location="mlflow-artifacts:/1")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        publisher.publish(root)


def test_the_database_can_be_deleted(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    publisher.publish(root)
    assert publisher.is_current(root)
    (before,) = _parents(_runs(root))
    (root / "mlflow.db").unlink()
    assert not publisher.is_current(root)
    shutil.copy(empty_database, root / "mlflow.db")
    publisher.publish(root)
    (after,) = _parents(_runs(root))
    assert after.data.metrics == before.data.metrics
    assert after.data.params == before.data.params


def test_files_that_dvc_lock_does_not_describe_are_not_published(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"F1": 1.0}')
    done = publisher.publish(root)
    assert not done.created
    assert "make repro" in done.skipped["jaa_net"]
    assert not publisher.is_current(root), "a system that was left out is tried again"


def test_a_result_without_numbers_is_still_a_run(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "models/jaa_net/history.parquet").unlink()
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"F1": NaN}')
    write_lock(root, ("jaa_net",))
    publisher.publish(root)
    (parent,) = _runs(root)
    assert parent.data.metrics == {}


def test_names_with_an_at_sign_become_names_that_mlflow_allows(root: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, root / "mlflow.db")
    (root / "reports/systems/jaa_net/metrics.json").write_text('{"WER": 0.2, "WER@general_lm": 0.6}')
    history = pd.read_parquet(root / "models/jaa_net/history.parquet")
    history["name"] = history["name"].replace("F1", "F1@general_lm")
    history.to_parquet(root / "models/jaa_net/history.parquet")
    write_lock(root, ("jaa_net",))
    publisher.publish(root)
    (parent,) = [run for run in _runs(root) if "mlflow.parentRunId" not in run.data.tags]
    assert {"WER": 0.2, "WER:general_lm": 0.6}.items() <= parent.data.metrics.items()
    assert "validation/F1:general_lm" in parent.data.metrics


def test_nothing_ran_yet(tmp_path: Path) -> None:
    write_repository(tmp_path)
    (tmp_path / "dvc.lock").unlink()
    with pytest.raises(UserError, match="make repro"):
        publisher.publish(tmp_path)


def test_the_address_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.tracking_uri(tmp_path) == "http://127.0.0.1:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking.tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"


def test_asking_whether_all_is_published_does_not_import_mlflow(root: Path) -> None:
    code = (
        "import sys, pathlib; from vultus.tracking import publisher; "
        f"assert not publisher.is_current(pathlib.Path({str(root)!r})); assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
