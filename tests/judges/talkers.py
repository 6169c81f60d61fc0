"""Judge people for tests: grey faces whose lips are a bright bar that opens with the sound."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vultus.data.stores import ClipArrays, build_store, open_store
from vultus.data.tables import ACTION_UNITS
from vultus.judges import JudgeFold
from vultus.judges.grid import SLOTS

FRAMES, SIDE = 75, 24
PHONE_OF_SLOT = ("B", "L", "IH", "EY", "S", "AW")


def judge_fold(folder: Path, people: int = 6, kind: str = "speech") -> JudgeFold:
    """One clip of 3 s a person: six words of one phone each, half a second long."""
    rng = np.random.default_rng(0)
    clips, units = [], []
    for person in range(people):
        words = [slot[int(rng.integers(2))] for slot in SLOTS.values()]
        clip_id = f"clip{person}"
        clips.append({"clip_id": clip_id, "subject": f"j{person}", "group": "judge", "kind": kind,
                      "transcript": " ".join(words)})  # fmt: skip
        for k, (word, phone) in enumerate(zip(words, PHONE_OF_SLOT, strict=True)):
            times = {"clip_id": clip_id, "start_s": k / 2, "end_s": (k + 1) / 2}
            units += [{**times, "tier": "word", "label": word}, {**times, "tier": "phone", "label": phone}]
    build_store(folder, clips, _film, lambda clip: clip["clip_id"], jobs=1, cache=folder.with_suffix(".cache"))
    return JudgeFold(pd.DataFrame(clips), open_store(folder), 1, ("speech",), pd.DataFrame(units))


def _film(clip: Mapping[str, Any]) -> ClipArrays:
    rng = np.random.default_rng(int(clip["subject"][1:]))
    opening = np.convolve(rng.standard_normal(FRAMES + 4), np.ones(3) / 3, "same")[:FRAMES]
    rows = np.arange(SIDE)
    height = 2 + 2 * np.tanh(2 * opening)
    bar = (np.abs(rows[None] - 0.72 * SIDE) < height[:, None])[:, :, None] & (np.abs(rows - SIDE / 2) < 5)
    face = (60 + 120 * bar + rng.normal(0, 2, (FRAMES, SIDE, SIDE)))[..., None].repeat(3, axis=3)
    mfcc = rng.normal(0, 0.1, (FRAMES, 4, 13)) + opening[:, None, None] * np.linspace(1, -1, 13)
    mfcc[..., 0] += 10
    landmarks = np.full((FRAMES, 68, 2), SIDE / 2, np.float32)
    landmarks[:, 48:, 1] = 0.72 * SIDE
    landmarks[:, 48, 0], landmarks[:, 54, 0] = SIDE / 2 - 5, SIDE / 2 + 5
    coded = np.zeros((FRAMES, len(ACTION_UNITS)), np.float32)
    coded[:, ACTION_UNITS.index(25)] = height
    coded[:, ACTION_UNITS.index(28)] = np.nan
    arrays = {"face": face.astype(np.uint8), "mfcc": mfcc.astype(np.float32), "landmarks_68": landmarks}
    return ClipArrays(pd.DataFrame({"frame": np.arange(FRAMES)}), {**arrays, "au_intensity": coded})
