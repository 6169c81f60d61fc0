"""Trained systems as models that answer requests: what MLflow calls when it serves one.

A model folder holds weights, the configuration, and ``model.yaml``, which says what to build of them; nothing is
pickled, and `_load_pyfunc` is the whole of MLflow's loading. Action unit systems answer pictures:

    request    {"dataframe_records": [{"picture": "<base64 of a PNG or JPEG>"}]}
    answer     {"predictions": [{"faces": 1, "AU01": 0.08, ..., "AU24": 0.91}]}

The face is found, aligned and cut as the systems have learnt it; of several faces the largest is looked at, and a
picture without a face gets nulls. All other systems take the tensors of their family's batch that they read, and answer
with the tensors of its ``Prediction``, each under its name.
"""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import yaml
from torch import Tensor

from vultus.core import registry
from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.core.experiment import Experiment
from vultus.core.system import Phase, System
from vultus.face.alignment import alignment_matrix, warp_face
from vultus.face.detection import Face, FaceDetector, MediapipeDetector, mediapipe_installed

Array = npt.NDArray[Any]
FACES = "action_units"
"""The family whose systems answer pictures."""
_EXAMPLE_ITEMS = 2


@dataclass(frozen=True)
class ModelSettings:
    """``model.yaml`` of a model folder."""

    system: str
    stored_px: int = 0
    """Side of the aligned faces that the system was taught on, before its own resizing; for pictures alone."""
    detector: str = ""
    """``trained`` where the folder ``detector`` is there, ``mediapipe`` otherwise; for pictures alone."""


class Recording(dict[str, Tensor]):
    """A batch that remembers which of its tensors were read."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        super().__init__(batch)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return super().__getitem__(name)


class ServedBatch:
    """A system that takes the tensors of a batch."""

    def __init__(self, system: System) -> None:
        self.system = system

    def predict(self, data: dict[str, Array], params: dict[str, Any] | None = None) -> dict[str, Array]:
        """The fields of the family's ``Prediction`` that the system gives.

        Args:
            data: name -> (B, ...) array, as the signature says.
            params: MLflow's; there are none.
        """
        with torch.inference_mode():
            prediction = self.system.predict({name: torch.from_numpy(np.array(one)) for name, one in data.items()})
        fields = {field.name: getattr(prediction, field.name) for field in dataclasses.fields(prediction)}
        return {name: one.float().numpy() for name, one in fields.items() if one is not None}


class ServedFaces:
    """An action unit system with what finds, aligns and cuts a face."""

    def __init__(self, system: System, detector: FaceDetector, stored_px: int) -> None:
        self.system, self.detector, self.stored_px = system, detector, stored_px

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row a picture: ``faces`` found, and the probability of each action unit as ``AU12``.

        Args:
            data: column ``picture``: bytes of a PNG or JPEG.
            params: MLflow's; there are none.

        Raises:
            UserError: the bytes are no picture.
        """
        names = [f"AU{au:02d}" for au in self.system.config.aus]
        rows = []
        for number, encoded in enumerate(data["picture"]):
            rgb = decode_picture(encoded, number)
            faces = self.detector.detect(rgb)
            probability: list[float | None] = [None] * len(names)
            if faces:
                with torch.inference_mode():
                    answer = self.system.predict({"image": self.look_at(rgb, faces[0]), "row": torch.zeros(1).long()})
                probability = [round(float(value), 6) for value in answer.au_probability[0]]
            rows.append({"faces": len(faces), **dict(zip(names, probability, strict=True))})
        return pd.DataFrame(rows, dtype=object)  # None becomes null; NaN would be no JSON

    def look_at(self, rgb: Array, face: Face) -> Tensor:
        """(1, 3, l, l): the face as the system's own data show it, the central crop."""
        from vultus.systems.action_units.common import local_contrast

        config = self.system.config
        matrix = alignment_matrix(np.asarray(face.landmarks_68, np.float64), self.stored_px)
        aligned = warp_face(rgb, matrix, self.stored_px)
        side = config.resize_px or self.stored_px
        if side != self.stored_px:
            aligned = cv2.resize(aligned, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
        margin = (side - config.image_px) // 2
        crop = aligned[None, margin : margin + config.image_px, margin : margin + config.image_px]
        window = config.contrast_px
        image = local_contrast(crop, window) if window else crop.astype(np.float32) / 127.5 - 1
        return torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()


def decode_picture(encoded: bytes, number: int = 0) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB of an encoded picture.

    Raises:
        UserError: the bytes are no picture that OpenCV reads.
    """
    bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    if bgr is None:
        raise UserError(f"picture {number} of the request cannot be read: send a PNG or JPEG, encoded in base64")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _load_pyfunc(path: str) -> ServedBatch | ServedFaces:
    """The model in a folder that `write_model` made; the name is MLflow's."""
    folder = Path(path)
    settings = section(ModelSettings, yaml.safe_load((folder / "model.yaml").read_text()), "model.yaml")
    card = registry.get(settings.system)
    system = card.system(section(card.config, yaml.safe_load((folder / "config.yaml").read_text()), "config.yaml"))
    system.load(folder)
    system.eval()
    if card.family != FACES:
        return ServedBatch(system)
    return ServedFaces(system, _detector(settings, folder), settings.stored_px)


def write_model(folder: Path, experiment: Experiment, models: Path, detector: Path) -> None:
    """Write the model folder of a trained system: the weights of its first fold, and what else an answer needs.

    Args:
        folder: new.
        experiment: as it was trained.
        models: ``models/S``.
        detector: folder of the detector that was trained on the embedded people; it finds faces for systems that learnt
            from such people, MediaPipe for all others.
    """
    shutil.copytree(models / "fold_0", folder)
    settings = ModelSettings(experiment.card.key)
    if experiment.card.family == FACES:
        from vultus.data.stores import open_store

        trained = (experiment.synthetic or not mediapipe_installed()) and detector.is_dir()
        if trained:
            shutil.copytree(detector, folder / "detector")
        stored_px = int(open_store(experiment.features).meta["arrays"]["face"]["shape"][1])
        settings = ModelSettings(experiment.card.key, stored_px, "trained" if trained else "mediapipe")
    (folder / "model.yaml").write_text(yaml.safe_dump(asdict(settings), sort_keys=False))


def example_of(experiment: Experiment) -> dict[str, Array] | pd.DataFrame:
    """What a request to the system holds, from its own data: a face, or the part of a batch that ``predict`` reads.

    Raises:
        UserError: the data are not here.
    """
    for path in (experiment.tables, experiment.features):
        if not path.is_dir():
            raise UserError(f"{path} is missing, and the model's input example comes from there: run `dvc pull`")
    fold = registry.family(experiment.card.family).folds(experiment)[0]
    if experiment.card.family == FACES:
        face = fold.store["face"][fold.rows["test"][0]]  # type: ignore[attr-defined]
        return pd.DataFrame({"picture": [cv2.imencode(".png", np.ascontiguousarray(face[..., ::-1]))[1].tobytes()]})
    system = experiment.build()
    system.prepare(fold)
    batch = system.draw(fold, Phase("train", experiment.train), 0, 0)
    recording = Recording({name: value[:_EXAMPLE_ITEMS] if value.ndim else value for name, value in batch.items()})
    with torch.inference_mode():
        system.eval().predict(recording)
    return {name: recording[name].numpy() for name in sorted(recording.read)}


def _detector(settings: ModelSettings, folder: Path) -> FaceDetector:
    if settings.detector == "mediapipe":
        return MediapipeDetector()
    from vultus.face.trained_detector import TrainedDetector

    return TrainedDetector(folder / "detector")
