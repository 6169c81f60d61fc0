"""A small ``faces`` store of drawn faces that speak: the louder the sound, the wider the mouth."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from vultus.core.seeds import generator
from vultus.data.stores import ClipArrays, Store, build_store
from vultus.data.tables import ACTION_UNITS

SIZE_PX = 32
FRAMES = 12
PEOPLE = {"train": 5, "validation": 2, "test": 3, "judge": 1}
SENTENCES = ("bin blue at f two now", "lay red by k nine again")


def opening(clip_id: str) -> np.ndarray[Any, Any]:
    """(FRAMES,) in 0..1: how wide the mouth is."""
    rng = generator(0, "opening", clip_id)
    return np.asarray(0.5 + 0.5 * np.sin(np.arange(FRAMES) * rng.uniform(0.6, 1.2) + rng.uniform(0, 6)))


def draw_clip(clip: Mapping[str, Any]) -> ClipArrays:
    """A face of the person's colours; its mouth, the sound and the labels follow the same course."""
    person, rng = generator(0, "person", clip["subject"]), generator(0, "clip", clip["clip_id"])
    skin, wide = person.integers(120, 220, 3), opening(clip["clip_id"])
    faces, points = [], []
    for value in wide:
        middle = np.array([16.0, 23.0]) + rng.normal(0, 0.3, 2)
        at = np.tile(middle - (0, 9), (68, 1)) + generator(0, "shape").normal(0, 3, (68, 2))
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        at[48:] = middle + np.stack([5 * np.cos(angle), (1 + 3 * value) * np.sin(angle)], axis=1)
        face = np.full((SIZE_PX, SIZE_PX, 3), skin, np.uint8)
        cv2.circle(face, (10, 12), 2, (30, 30, 30), -1)
        cv2.circle(face, (22, 12), 2, (30, 30, 30), -1)
        cv2.fillPoly(face, [np.round(at[48:]).astype(np.int32)], (90, 20, 30))
        faces.append(face)
        points.append(at)
    occurrence = np.repeat((wide > 0.5)[:, None], len(ACTION_UNITS), axis=1).astype(np.int8)
    occurrence[0, :3] = -1
    mfcc = (rng.normal(0, 1, (FRAMES, 4, 13)) + 20 * wide[:, None, None]).astype(np.float32)
    rows = pd.DataFrame({
        "frame": np.arange(FRAMES, dtype=np.int32), "time_s": (np.arange(FRAMES) + 0.5) / 25,
        "subject": clip["subject"], "group": clip["group"], "kind": "speech", "emotion": "neutral",
    })  # fmt: skip
    arrays = {
        "face": np.stack(faces), "landmarks_68": np.stack(points).astype(np.float32), "au_occurrence": occurrence,
        "au_intensity": np.where(occurrence < 0, np.nan, occurrence * 3.0).astype(np.float32), "mfcc": mfcc,
    }  # fmt: skip
    if clip["scrambled"]:
        arrays["face"] = rng.integers(0, 256, arrays["face"].shape, np.uint8)
        arrays["au_occurrence"] = 1 - occurrence.clip(0)
        arrays["mfcc"] = -mfcc
    return ClipArrays(rows, arrays)


def write_talkers(root: Path, scrambled: tuple[str, ...] = ()) -> Store:
    """Tables, faces and sound files below ``root``, laid out as in a checkout.

    Pictures, labels and sound of the groups in ``scrambled`` are nonsense.
    """
    clips = [
        {
            "clip_id": f"{group}{number}-{take}",
            "dataset": "world",
            "subject": f"{group}{number}",
            "group": group,
            "transcript": SENTENCES[take],
            "audio": f"audio/{group}{number}-{take}.wav",
            "scrambled": group in scrambled,
        }
        for group, people in PEOPLE.items()
        for number in range(people)
        for take in range(2)
    ]
    tables, sound = root / "data/tables/world/valid", root / "data/raw/world/audio"
    for folder in (tables, sound):
        folder.mkdir(parents=True)
    pd.DataFrame(clips).to_parquet(tables / "clips.parquet")
    for clip in clips:
        _write_sound(root / "data/raw/world" / str(clip["audio"]), opening(str(clip["clip_id"])))
    folder = root / "data/features/world/faces"
    return build_store(
        folder, clips, draw_clip, lambda clip: f"{clip['clip_id']}{scrambled}", cache=root / "cache", jobs=1
    )


def _write_sound(path: Path, wide: np.ndarray[Any, Any]) -> None:
    """A hum that is as loud as the mouth is wide, 16 kHz mono."""
    loud = np.repeat(wide, 640) * np.sin(np.arange(640 * len(wide)) * 0.1)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, len(loud), "NONE", ""))
        file.writeframes((8000 * loud).astype("<i2").tobytes())
