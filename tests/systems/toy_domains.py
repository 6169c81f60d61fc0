"""A small ``pictures`` store of two domains: a class is a stroke's direction, chalk on black or ink on grey."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from vultus.core.seeds import generator
from vultus.data.pictures import gradient_histograms
from vultus.data.stores import ClipArrays, Store, build_store

SIZE_PX = 32
CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
DOMAINS = ("chalk", "ink")
PEOPLE, TAKES = 4, 3


def draw_clip(clip: Mapping[str, Any]) -> ClipArrays:
    """One picture: a stroke whose direction is the class; weight and place are the person's and the take's."""
    person, rng = generator(0, "person", clip["subject"]), generator(0, "clip", clip["clip_id"])
    angle = np.pi * CLASSES.index(clip["true_label"]) / len(CLASSES) + rng.normal(0, 0.04)
    middle = np.array([16, 16]) + rng.uniform(-2, 2, 2)
    arm = np.array([np.cos(angle), np.sin(angle)]) * person.uniform(8, 12)
    ground, ink = ((20, 20, 30), (240, 240, 230)) if clip["domain"] == "chalk" else ((190, 180, 170), (60, 20, 20))
    picture = np.full((SIZE_PX, SIZE_PX, 3), ground, np.uint8)
    ends = [tuple(int(v) for v in np.round(middle + sign * arm)) for sign in (-1, 1)]
    cv2.line(picture, ends[0], ends[1], ink, int(person.integers(2, 5)), cv2.LINE_AA)
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    about = {"domain": clip["domain"], "label": clip["label"], "subject": clip["subject"]}
    rows = pd.DataFrame({"frame": np.zeros(1, np.int32), **about})
    return ClipArrays(rows, {"picture": picture[None], "feature": gradient_histograms(picture)[None]})


def write_domains(root: Path, scrambled: tuple[str, ...] = ()) -> Store:
    """Tables in data/tables/world/valid and pictures in data/features/world/pictures below ``root``.

    The pictures of a target domain are learnt from, its labels are not: with ``test`` in ``scrambled`` the labels of
    the second domain, the target of the first transfer, are nonsense.
    """
    clips = []
    for domain in DOMAINS:
        for number in range(PEOPLE):
            for k in range(len(CLASSES) * TAKES):
                label = CLASSES[k % len(CLASSES)]
                wrong = CLASSES[(k * k + 3 * number) % len(CLASSES)]
                hidden = "test" in scrambled and domain == DOMAINS[1]
                clips.append({
                    "clip_id": f"{domain}{number}-{k}", "dataset": "world", "subject": f"{domain}{number}",
                    "domain": domain, "label": wrong if hidden else label, "true_label": label,
                })  # fmt: skip
    tables = root / "data/tables/world/valid"
    tables.mkdir(parents=True)
    pd.DataFrame(clips).to_parquet(tables / "clips.parquet")
    folder = root / "data/features/world/pictures"
    return build_store(
        folder, clips, draw_clip, lambda clip: f"{clip['clip_id']}{scrambled}", cache=root / "cache", jobs=1
    )
