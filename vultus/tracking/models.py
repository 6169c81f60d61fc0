"""Trained systems into MLflow's registry, each as ``vultus-<system>``.

The alias ``champion`` names the version to serve. It moves to a new version where that one is better on validation
people: the same metric, on the same split. Test numbers never decide. Where a training measures nothing on validation
people, or the champion was measured on another split, the alias stays until somebody moves it by hand.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vultus.core.experiment import Experiment, load_experiment
from vultus.tracking.results import Result, Validation

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

CHAMPION = "champion"
_VALIDATION_TAG = "validation"
_SPLIT_TAG = "split_hash"


def register(client: MlflowClient, root: Path, result: Result, run_id: str) -> str:
    """Log and register the model of a run, unless both are done.

    Args:
        client: of the tracking server and registry.
        root: repository root.
        result: of the system.
        run_id: its parent run.

    Returns:
        A sentence about the new version and the champion; empty where nothing was to do.

    Raises:
        UserError: the data are not here from which the input example is taken.
    """
    from mlflow.exceptions import MlflowException

    name = f"vultus-{result.system}"
    if client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
        return ""
    run = client.get_run(run_id)
    logged = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    ready = [model for model in logged if str(model.status) == "READY"]
    model = ready[0] if ready else _log(client, root, result, run_id, run.info.experiment_id)
    try:
        client.create_registered_model(name, description=f"{result.system} of the family {result.family}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {_SPLIT_TAG: result.split_hash, "dataset": result.run.tags["dataset"]}
    if result.validation:
        tags[_VALIDATION_TAG] = json.dumps(dataclasses.asdict(result.validation))
    version = client.create_model_version(
        name, model.artifact_location, run_id=run_id, tags=tags, model_id=model.model_id
    )
    return f"{name} version {version.version}: {_contest(client, name, version, result)}"


def _contest(client: MlflowClient, name: str, version: ModelVersion, result: Result) -> str:
    """Give the new version the alias if it has won it; says how it stands."""
    number = client.get_registered_model(name).aliases.get(CHAMPION)
    if number is None:
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return "champion, as the first"
    tags = client.get_model_version(name, number).tags
    held = Validation(**json.loads(tags[_VALIDATION_TAG])) if _VALIDATION_TAG in tags else None
    if tags.get(_SPLIT_TAG) != result.split_hash:
        return f"version {number} stays champion: it was measured on another split"
    if result.validation is None or held is None:
        return f"version {number} stays champion: nothing was measured on validation people"
    said = f"validation {result.validation.metric} {result.validation.value:.4g} against {held.value:.4g}"
    if result.validation.beats(held):
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return f"champion: {said}"
    return f"version {number} stays champion: {said}"


def _log(client: MlflowClient, root: Path, result: Result, run_id: str, experiment_id: str) -> Any:
    """The model of the first fold with its signature and an input example; weights as safetensors, code as sources."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput

    from vultus.serving import _load_pyfunc, example_of, write_model

    experiment = _below(root, load_experiment(result.system, root / "params.yaml"))
    example = example_of(experiment)
    with tempfile.TemporaryDirectory() as scratch:
        data, model_folder = Path(scratch) / result.system, Path(scratch) / "model"
        write_model(data, experiment, root / "models" / result.system, root / "models" / "landmark_detector")
        answer = _load_pyfunc(str(data)).predict(example)  # type: ignore[arg-type]
        mlflow.pyfunc.save_model(
            model_folder,
            loader_module="vultus.serving",
            data_path=str(data),
            code_paths=[str(Path(__file__).parents[1])],
            signature=_signature(example, answer),
            input_example=example,
            pip_requirements=requirements(),
        )
        model = client.create_logged_model(
            experiment_id, name=result.system, source_run_id=run_id, model_type=result.family, tags={"fold": "0"}
        )
        client.log_model_artifacts(model.model_id, str(model_folder))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return client.finalize_logged_model(model.model_id, "READY")


def _signature(example: Any, answer: Any) -> ModelSignature:
    """Columns of pictures, or tensors with a free number of items."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

    if isinstance(example, dict):

        def tensors(values: dict[str, Any]) -> Schema:
            return Schema([TensorSpec(np.dtype(v.dtype), (-1, *v.shape[1:]), name) for name, v in values.items()])

        return ModelSignature(tensors(example), tensors(answer))
    units = [ColSpec(DataType.double, name, required=False) for name in answer.columns if name != "faces"]
    return ModelSignature(
        Schema([ColSpec(DataType.binary, "picture")]), Schema([ColSpec(DataType.long, "faces"), *units])
    )


def requirements() -> list[str]:
    """The training core's dependencies at the versions that are installed here."""
    names = [line.split(";")[0] for line in metadata.requires("vultus") or () if "extra ==" not in line]
    bare = sorted({name.split(">")[0].split("=")[0].split("<")[0].strip() for name in names})
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in bare]


def _below(root: Path, experiment: Experiment) -> Experiment:
    """The experiment with its data where ``root`` is."""
    folders = {name: root / getattr(experiment, name) for name in ("tables", "features", "media")}
    return dataclasses.replace(experiment, **folders)
