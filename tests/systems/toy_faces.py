"""A small ``crops`` store of drawn faces: each AU leaves a mark of its own kind where it acts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tests.face.toy import template
from vultus.core.seeds import generator
from vultus.data.stores import ClipArrays, Store, build_store
from vultus.data.tables import ACTION_UNITS
from vultus.face.landmarks import biocular_distance
from vultus.face.regions import au_centres

SIZE_PX = 72
FRAMES = 20
PEOPLE = {"train": 5, "validation": 2, "test": 3, "judge": 1}


def draw_clip(clip: Mapping[str, Any]) -> ClipArrays:
    """Frames of one person: skin and proportions are the person's, marks the labels', the place is the frame's."""
    person, rng = generator(0, "person", clip["subject"]), generator(0, "clip", clip["clip_id"])
    skin, stretch = person.integers(90, 200, 3), person.uniform(0.92, 1.08, 2)
    occurrence = (rng.random((FRAMES, len(ACTION_UNITS))) < 0.4).astype(np.int8)
    occurrence[rng.random(occurrence.shape) < 0.05] = -1
    faces, points = [], []
    for frame in range(FRAMES):
        at = template() * stretch * SIZE_PX / 7 + np.multiply(SIZE_PX, (0.5, 0.32)) + rng.normal(0, 1.0, 2)
        face = np.full((SIZE_PX, SIZE_PX, 3), skin, np.uint8)
        for ids in (range(36, 42), range(42, 48), range(48, 60)):
            cv2.fillPoly(face, [np.round(at[list(ids)]).astype(np.int32)], (40, 30, 30))
        for column, (au, sides) in enumerate(zip(ACTION_UNITS, au_centres(at, ACTION_UNITS), strict=True)):
            if occurrence[frame, column] == 1:
                colour = [(255, 255, 255), (0, 0, 0), (220, 40, 40)][au % 3]
                for x, y in sides:
                    cv2.circle(face, (round(float(x)), round(float(y)) + au % 4 - 2), 2, colour, -1)
        faces.append(np.clip(face + rng.normal(0, 4, face.shape), 0, 255).astype(np.uint8))
        points.append(at)
    landmarks = np.stack(points).astype(np.float32)
    intensity = np.where(occurrence < 0, np.nan, occurrence * 3.0).astype(np.float32)
    rows = pd.DataFrame({
        "frame": np.arange(FRAMES, dtype=np.int32), "time_s": np.arange(FRAMES) / 25, "subject": clip["subject"],
        "group": clip["group"], "occluded": False, "yaw_rad": 0.0,
    })  # fmt: skip
    arrays = {
        "face": np.stack(faces), "landmarks_68": landmarks, "au_occurrence": occurrence, "au_intensity": intensity,
        "biocular_px": biocular_distance(landmarks),
    }  # fmt: skip
    if clip["scrambled"]:
        arrays["face"] = rng.integers(0, 256, arrays["face"].shape, np.uint8)
        arrays["au_occurrence"] = 1 - occurrence.clip(0)
        arrays["landmarks_68"] = landmarks[:, ::-1] * 2
    return ClipArrays(rows, arrays)


def write_toy(root: Path, scrambled: tuple[str, ...] = ()) -> Store:
    """Tables in data/tables/world/valid and crops in data/features/world/crops below ``root``.

    Pictures, labels and landmarks of the groups in ``scrambled`` are nonsense.
    """
    clips = [
        {
            "clip_id": f"{group}{number}-{take}",
            "dataset": "world",
            "subject": f"{group}{number}",
            "group": group,
            "scrambled": group in scrambled,
        }
        for group, people in PEOPLE.items()
        for number in range(people)
        for take in range(2)
    ]
    tables = root / "data/tables/world/valid"
    tables.mkdir(parents=True)
    pd.DataFrame(clips).to_parquet(tables / "clips.parquet")
    folder = root / "data/features/world/crops"
    return build_store(
        folder, clips, draw_clip, lambda clip: f"{clip['clip_id']}{scrambled}", cache=root / "cache", jobs=1
    )
