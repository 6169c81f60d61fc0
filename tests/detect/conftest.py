from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.face.toy import random_face
from vultus.detect.reader import AuReader
from vultus.face.detection import RGB, Face
from vultus.systems.action_units.plain_cnn import Config, PlainCnn

CONFIG = Config(aus=(12, 1, 4), width=4, hidden=8, image_px=32, resize_px=36, contrast_px=5)


class Lookup:
    """A detector that knows the pictures it was told of, by their bytes."""

    method = "lookup"

    def __init__(self) -> None:
        self.known: dict[bytes, list[Face]] = {}

    def detect(self, rgb: RGB) -> list[Face]:
        return self.known.get(rgb.tobytes(), [])

    def track(self, rgb: RGB, first: bool) -> list[Face]:
        raise AssertionError("each frame must be searched anew")


@dataclass(frozen=True)
class Said:
    """A prediction with intensities and the system's own doubt."""

    au_probability: torch.Tensor
    au_intensity: torch.Tensor
    au_uncertainty: torch.Tensor


class WithIntensity(PlainCnn):
    def predict(self, batch: dict[str, torch.Tensor]) -> Said:
        probability = super().predict(batch).au_probability
        return Said(probability, probability * 10, torch.full_like(probability, 0.25))


def reader(system: type[PlainCnn] = PlainCnn, folds: int = 1) -> AuReader:
    """A tiny network with weights of its own for each fold; its probabilities differ from face to face."""
    systems = []
    for fold in range(folds):
        torch.manual_seed(fold)
        net = system(CONFIG)
        for layer in net.features:
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0  # one batch sets the running statistics
        with torch.no_grad():
            net.train()({"image": torch.randn(16, 3, 32, 32)})
            net.classifier[-1].weight.mul_(5)
        systems.append(net.eval())
    return AuReader(systems, aligned_px=54, about="a toy")


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Lookup]:
    """Seven numbered pictures: a face in each but the third, two faces in the last, and who finds them."""
    rng, detector, folder = np.random.default_rng(1), Lookup(), tmp_path / "pictures"
    folder.mkdir()
    for number in range(1, 8):
        faces: Sequence[tuple[RGB, np.ndarray]] = [random_face(rng, size_px=96) for _ in range(2)]
        rgb = np.concatenate([face for face, _ in faces], axis=1)
        found = [Face((points + (96 * k, 0)).astype(np.float32), 0.9 - 0.1 * k) for k, (_, points) in enumerate(faces)]
        if number != 3:
            detector.known[rgb.tobytes()] = found if number == 7 else found[:1]
        cv2.imwrite(str(folder / f"{number:02d}.png"), rgb[..., ::-1])
    return folder, detector


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """Small real files that are not part of the product; where they lie is in VULTUS_REAL."""
    folder = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()
    if not (folder / "faces").is_dir():
        pytest.skip(f"the real example files are not here: set VULTUS_REAL to their folder (looked in {folder})")
    return folder
