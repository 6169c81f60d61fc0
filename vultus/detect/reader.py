"""A trained system of the family ``action_units`` as a function of aligned faces, without tables, stores or labels.

N faces, A action units, S side of the aligned face, l side of the network's crop.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vultus.core import registry
from vultus.core.config import load_params, store_section
from vultus.core.errors import UserError
from vultus.core.experiment import load_experiment, load_system
from vultus.core.system import Batch, System
from vultus.face.alignment import transform_points
from vultus.face.crops import CropConfig
from vultus.face.landmarks import biocular_distance, reduce_points
from vultus.systems.action_units.common import FaceConfig, local_contrast

Array = npt.NDArray[Any]

FAMILY = "action_units"
MODELS = Path("models")
THRESHOLD = 0.5
"""Probability from which on an AU counts as present, as in the evaluation."""


@dataclass(frozen=True)
class AuReading:
    """What the system says of one face."""

    probability: Array
    """(A,)."""
    uncertainty: Array
    """(A,): what the system says of its own doubt; where it says nothing, `entropy_bits` of the probability."""
    intensity: Array | None
    """(A,) in 0..5; None where the system has none."""


class AuReader:
    """The systems of all folds of a training; their probabilities are averaged, as any of them has seen other people.

    Args:
        systems: one a fold, in evaluation mode.
        aligned_px: side of the aligned faces that the training saw.
        about: one line: which system, trained on what.
    """

    def __init__(self, systems: list[System], aligned_px: int, about: str) -> None:
        self.systems, self.aligned_px, self.about = systems, aligned_px, about
        self.config: FaceConfig = systems[0].config
        self.aus = self.config.aus
        blank, nowhere = np.zeros((1, aligned_px, aligned_px, 3), np.uint8), np.zeros((1, 68, 2), np.float32)
        (answer,) = self.read(blank, nowhere, np.eye(2, 3)[None])  # the table's columns are known before any face is
        self.has_intensity = answer.intensity is not None

    @classmethod
    def open(cls, key: str, params: Path, models: Path = MODELS) -> AuReader:
        """The system that ``models/KEY`` holds, with the settings of the params file it was trained by.

        Raises:
            UserError: no such system in the family, or it is not trained, or with other settings.
        """
        known = registry.keys(FAMILY)
        if key not in known:
            raise UserError(f"there is no action unit system {key!r}; there is: {', '.join(known)}")
        experiment = load_experiment(key, params)
        folds = sorted((models / key).glob("fold_*"))
        if not folds:
            trained = ", ".join(name for name in known if (models / name / "fold_0").exists()) or "none"
            raise UserError(f"{models / key} holds no trained system: run `dvc repro train@{key}` (trained: {trained})")
        _, crops = store_section(CropConfig, load_params(params), "crops", experiment.dataset)
        people = f"{'synthetic' if experiment.synthetic else 'filmed'} people ({experiment.dataset})"
        about = f"{key}, trained on {people}" + (f", mean of {len(folds)} folds" if len(folds) > 1 else "")
        return cls([load_system(experiment, fold) for fold in folds], crops.size_px, about)

    def read(self, aligned: Array, landmarks_68: Array, matrix: Array) -> list[AuReading]:
        """Read a batch of faces; each as it would be read alone.

        Args:
            aligned: (N, S, S, 3) uint8 RGB.
            landmarks_68: (N, 68, 2) px of the frame.
            matrix: (N, 2, 3), frame to aligned face.
        """
        batch = central_batch(self.config, aligned, transform_points(matrix, landmarks_68).astype(np.float32))
        said: dict[str, list[Array]] = {}
        with torch.inference_mode():
            for system in self.systems:
                device = next(iter(system.state_dict().values())).device
                prediction = system.predict({name: value.to(device) for name, value in batch.items()})
                for field in dataclasses.fields(prediction):
                    value: Tensor | None = getattr(prediction, field.name)
                    if field.name.startswith("au_") and value is not None:
                        said.setdefault(field.name, []).append(value.double().cpu().numpy())
        mean = {name: np.mean(values, axis=0) for name, values in said.items()}
        probability = mean["au_probability"]
        uncertainty = mean.get("au_uncertainty", entropy_bits(probability))
        intensity = mean.get("au_intensity")
        return [
            AuReading(probability[i], uncertainty[i], None if intensity is None else intensity[i].clip(0, 5))
            for i in range(len(aligned))
        ]


def entropy_bits(probability: Array) -> Array:
    """Doubt of a probability alone: -p log2 p - (1 - p) log2 (1 - p), 0 at 0 and 1, 1 at a half."""
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def central_batch(config: FaceConfig, aligned: Array, landmarks_68: Array) -> Batch:
    """The batch that `AuFold.central` makes of stored faces, without labels.

    Args:
        config: of the system.
        aligned: (N, S, S, 3) uint8 RGB.
        landmarks_68: (N, 68, 2) px of the aligned face.

    Raises:
        UserError: the network's crop is larger than the aligned face.
    """
    stored, size = aligned.shape[1], config.image_px
    side = config.resize_px or stored
    if side < size:
        raise UserError(f"config.image_px is {size}, but the aligned faces are {side} px wide: raise crops.size_px")
    if side != stored:
        aligned = np.stack([cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in aligned])
    margin, scale = (side - size) // 2, side / stored
    crops = aligned[:, margin : margin + size, margin : margin + size]
    image = local_contrast(crops, config.contrast_px) if config.contrast_px else crops.astype(np.float32) / 127.5 - 1
    points = reduce_points((landmarks_68 + 0.5) * scale - 0.5, config.land_num) - margin
    unknown = np.full((len(aligned), len(config.aus)), -1, np.float32)
    return {
        "image": torch.from_numpy(image).permute(0, 3, 1, 2).contiguous(),
        "landmarks": torch.from_numpy(points.astype(np.float32)),
        "biocular": torch.from_numpy(biocular_distance(landmarks_68).astype(np.float32) * np.float32(scale)),
        "au_occurrence": torch.from_numpy(unknown),
        "row": torch.arange(len(aligned)),
    }
