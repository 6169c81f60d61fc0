"""A fold of drawn judge people: a skin colour a person, a mark an action unit, a shape of mouth an emotion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from tests.face.toy import template
from vultus.core.seeds import generator
from vultus.data.stores import ClipArrays, build_store
from vultus.data.tables import ACTION_UNITS
from vultus.judges import JudgeFold

SIZE_PX = 40
PEOPLE = 8
FRAMES = 4
EMOTIONS = ("happiness", "sadness", "neutral")
NEVER_SHOWN = ACTION_UNITS.index(28)


def draw_clip(clip: dict[str, Any]) -> ClipArrays:
    """Frames of a clip; the last landmark of the first frame is unknown, and one label is not coded."""
    person, rng = generator(0, clip["subject"]), generator(0, clip["clip_id"])
    skin = person.integers(70, 220, 3)
    occurrence = (rng.random((FRAMES, len(ACTION_UNITS))) < 0.4).astype(np.int8)
    occurrence[:, NEVER_SHOWN] = 0
    occurrence[0, 0] = -1
    faces, points = [], []
    for frame in range(FRAMES):
        at = template() * SIZE_PX / 7 + np.multiply(SIZE_PX, (0.5, 0.32)) + rng.normal(0, 0.7, 2)
        face = np.full((SIZE_PX, SIZE_PX, 3), skin, np.uint8)
        for ids in (range(36, 42), range(42, 48), range(48, 60)):
            cv2.fillPoly(face, [np.round(at[list(ids)]).astype(np.int32)], (30, 30, 30))
        face[-6:, ::4] = np.where(occurrence[frame, :10] > 0, 255, 0)[None, :, None]
        faces.append(np.clip(face + rng.normal(0, 4, face.shape), 0, 255).astype(np.uint8))
        points.append(at)
    landmarks = np.stack(points).astype(np.float32)
    landmarks[0, -1] = np.nan
    intensity = np.where(occurrence < 0, np.nan, occurrence * 3.0).astype(np.float32)
    rows = pd.DataFrame({"frame": np.arange(FRAMES)})
    for name in ("subject", "group", "kind", "emotion"):
        rows[name] = clip[name]
    arrays = {
        "face": np.stack(faces), "landmarks_68": landmarks, "au_occurrence": occurrence, "au_intensity": intensity,
    }  # fmt: skip
    return ClipArrays(rows, arrays)


def toy_fold(folder: Path) -> JudgeFold:
    """Eight people in three kinds of clips; the store is built in ``folder``."""
    clips = [
        {
            "clip_id": f"j{person}_{kind}_{take}", "subject": f"j{person}", "group": "judge", "kind": kind,
            "emotion": "neutral" if kind == "speech" else EMOTIONS[take],
        }
        for person in range(PEOPLE)
        for kind, takes in (("spontaneous", 2), ("speech", 1), ("posed", 3))
        for take in range(takes)
    ]  # fmt: skip
    store = build_store(
        folder / "faces", clips, draw_clip, lambda clip: clip["clip_id"], cache=folder / "cache", jobs=1
    )
    return JudgeFold(pd.DataFrame(clips), store, 1)
