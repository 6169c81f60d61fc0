"""Models that answer requests: every system from its own data, action unit systems from a picture."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.contract.toys import smoke_experiment
from tests.systems.toy_faces import SIZE_PX, draw_clip
from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.experiment import Experiment
from vultus.data.splits import Split
from vultus.data.stores import build_store
from vultus.face.alignment import alignment_matrix, transform_points, warp_face
from vultus.face.detection import Face
from vultus.face.landmarks import biocular_distance
from vultus.serving import FACES, Recording, ServedFaces, _load_pyfunc, decode_picture, example_of, write_model
from vultus.systems.action_units.common import AuFold


def save_untrained(experiment: Experiment, models: Path) -> Any:
    """A system that has seen its training people but made no step, saved as ``train`` saves it."""
    fold = registry.family(experiment.card.family).folds(experiment)[0]
    system = experiment.build()
    system.prepare(fold)
    target = models / "fold_0"
    target.mkdir(parents=True)
    system.save(target)
    config = json.loads(json.dumps(dataclasses.asdict(experiment.config)))
    (target / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return system.eval()


@pytest.mark.parametrize("key", [key for name in registry.families() if name != FACES for key in registry.keys(name)])
def test_every_system_answers_with_its_prediction(key: str, roots: dict[str, Path], tmp_path: Path) -> None:
    experiment = smoke_experiment(key, roots[registry.family_of(key)])
    system = save_untrained(experiment, tmp_path / "models")
    write_model(tmp_path / "model", experiment, tmp_path / "models", tmp_path / "no_detector")
    example = example_of(experiment)
    answer = _load_pyfunc(str(tmp_path / "model")).predict(example)  # type: ignore[arg-type]
    with torch.inference_mode():
        direct = system.predict({name: torch.from_numpy(np.array(value)) for name, value in example.items()})
    assert answer
    for name, value in answer.items():
        np.testing.assert_allclose(value, getattr(direct, name).float().numpy(), rtol=1e-5, atol=1e-6)
    files = {path.name for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert files <= {"weights.safetensors", "config.yaml", "model.yaml"}


def test_only_what_predict_reads_is_asked_for() -> None:
    batch = Recording({"image": torch.zeros(1), "label": torch.zeros(1)})
    assert float(batch["image"]) == 0
    assert batch.read == {"image"}


def _clip_as_filmed(clip: Any) -> Any:
    """A toy clip whose stored faces are cut from the picture by their landmarks, as the stage ``crops`` does."""
    drawn = draw_clip(clip)
    points = np.asarray(drawn.arrays["landmarks_68"], np.float64)
    matrix = alignment_matrix(points, SIZE_PX)
    faces = np.stack([warp_face(face, m, SIZE_PX) for face, m in zip(drawn.arrays["face"], matrix, strict=True)])
    aligned = transform_points(matrix, points).astype(np.float32)
    arrays = {"face": faces, "landmarks_68": aligned, "biocular_px": biocular_distance(aligned)}
    return dataclasses.replace(drawn, arrays={**drawn.arrays, **arrays})


class _Sees:
    """A detector that always sees the same faces."""

    method = "toy"

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, rgb: Any) -> list[Face]:
        return self.faces

    def track(self, rgb: Any, first: bool) -> list[Face]:
        return self.faces


@pytest.mark.parametrize("changes", [{}, {"resize_px": 60, "image_px": 48, "contrast_px": 9}])
def test_a_picture_is_looked_at_as_the_test_frames_were(
    changes: dict[str, Any], roots: dict[str, Path], tmp_path: Path
) -> None:
    experiment = smoke_experiment("plain_cnn", roots["action_units"])
    config = dataclasses.replace(experiment.config, **changes)
    clips = [{"clip_id": f"{p}-0", "subject": p, "group": "train", "scrambled": False, "dataset": "toy"} for p in "abc"]
    store = build_store(tmp_path / "crops", clips, _clip_as_filmed, lambda c: c["clip_id"], cache=tmp_path, jobs=1)
    fold = AuFold(store, Split("toy", ("a",), ("b",), ("c",)), config, 1)
    picture, points = (draw_clip(clips[2]).arrays[name][3] for name in ("face", "landmarks_68"))
    served = ServedFaces(experiment.card.system(config).eval(), _Sees(), SIZE_PX)
    row = np.array([store.clip("c-0").start + 3])
    torch.testing.assert_close(served.look_at(picture, Face(points, 1.0)), fold.central(row)["image"])


def test_pictures_are_answered_with_named_action_units(roots: dict[str, Path]) -> None:
    experiment = smoke_experiment("jaa_net", roots["action_units"])
    clip = {"clip_id": "a-0", "subject": "a", "group": "test", "scrambled": False}
    picture, points = (draw_clip(clip).arrays[name][0] for name in ("face", "landmarks_68"))
    request = pd.DataFrame({"picture": [cv2.imencode(".png", picture)[1].tobytes()]})
    system = experiment.build().eval()
    answer = ServedFaces(system, _Sees(Face(points, 0.9), Face(points + 3, 0.8)), SIZE_PX).predict(request)
    names = [f"AU{au:02d}" for au in experiment.config.aus]
    assert list(answer.columns) == ["faces", *names]
    assert answer["faces"][0] == 2
    assert all(0 <= answer[name][0] <= 1 for name in names)
    blind = ServedFaces(system, _Sees(), SIZE_PX).predict(request)
    assert blind.to_dict("records") == [{"faces": 0, **dict.fromkeys(names)}]


def test_what_is_no_picture_is_one_sentence() -> None:
    for encoded in (b"", b"nonsense"):
        with pytest.raises(UserError, match="picture 2 of the request cannot be read"):
            decode_picture(encoded, 2)


def test_an_example_needs_the_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc pull"):
        example_of(smoke_experiment("jaa_net", tmp_path))
