"""A small ``audio`` store of invented tracks: each emotion has a pitch movement of its own, each person a voice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vultus.core.seeds import generator
from vultus.data.stores import ClipArrays, Store, build_store
from vultus.systems.speech_emotion.common import EMODB_EMOTIONS

PEOPLE = {"train": 5, "validation": 2, "test": 3, "judge": 1}
TAKES = 2
RUN_FRAMES, GAP_FRAMES, RUNS = 16, 6, 6


def draw_clip(clip: Mapping[str, Any]) -> ClipArrays:
    """Six voiced runs; the emotion sets slope, jump and level, the person the pitch, the clip the noise."""
    person, rng = generator(0, "voice", clip["subject"]), generator(0, "take", clip["clip_id"])
    emotion = EMODB_EMOTIONS.index(clip["emotion"])
    centre_hz = person.uniform(100, 220)
    time = np.arange(RUN_FRAMES) * 0.01
    silence = np.zeros(GAP_FRAMES)
    pieces = [silence]
    for k in range(RUNS):
        level = (1.2 * (emotion % 4)) * (-1) ** k + rng.normal(0, 0.3)
        slope = 12.0 * (emotion - 3) + rng.normal(0, 4)
        pieces += [centre_hz * 2 ** ((level + slope * (time - time.mean())) / 12), silence]
    f0_hz = np.concatenate(pieces)
    voiced = f0_hz > 0
    n = len(f0_hz)
    energy_db = np.where(voiced, -20.0 + emotion, -60.0) + rng.normal(0, 1, n)
    if clip["scrambled"]:
        f0_hz, energy_db = rng.permutation(f0_hz), rng.normal(-30, 10, n)
    rows = pd.DataFrame({
        "frame": np.arange(n, dtype=np.int32), "time_s": np.arange(n) * 0.01, "subject": clip["subject"],
        "active": voiced,
    })  # fmt: skip
    arrays = {
        "f0_hz": f0_hz, "voicing": np.where(voiced, 0.9, 0.2), "energy_db": energy_db,
        "zero_crossings": np.where(voiced, 0.1, 0.4) + rng.normal(0, 0.01, n), "mfcc": rng.normal(0, 1, (n, 39)),
        "log_mel": np.where(voiced[:, None], -2.0, -8.0) + rng.normal(0, 1, (n, 80)),
    }  # fmt: skip
    return ClipArrays(rows, {name: np.asarray(values, np.float32) for name, values in arrays.items()})


def write_voices(root: Path, scrambled: tuple[str, ...] = ()) -> Store:
    """Tables in data/tables/world/valid and tracks in data/features/world/audio below ``root``.

    Tracks and labels of the groups in ``scrambled`` are nonsense.
    """
    clips = [
        {
            "clip_id": f"{group}{number}-{emotion}-{take}",
            "dataset": "world",
            "subject": f"{group}{number}",
            "group": group,
            "sex": "female" if number % 2 else "male",
            "emotion": EMODB_EMOTIONS[(shown + 3 * (group in scrambled)) % len(EMODB_EMOTIONS)],
            "scrambled": group in scrambled,
        }
        for group, people in PEOPLE.items()
        for number in range(people)
        for shown, emotion in enumerate(EMODB_EMOTIONS)
        for take in range(TAKES)
    ]
    tables = root / "data/tables/world/valid"
    tables.mkdir(parents=True)
    pd.DataFrame(clips).to_parquet(tables / "clips.parquet")
    folder = root / "data/features/world/audio"
    return build_store(
        folder, clips, draw_clip, lambda clip: f"{clip['clip_id']}{scrambled}", cache=root / "cache", jobs=1
    )
