"""One toy speaker: every phone is a picture of its own, six words, three lists of short sentences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vultus.core.seeds import generator
from vultus.data.parquet import TableWriter
from vultus.data.stores import ClipArrays, Store, build_store

WORDS = {
    "see": ("S", "IY"), "sea": ("S", "IY"), "dog": ("D", "AO", "G"), "seed": ("S", "IY", "D"), "moon": ("M", "UW", "N"),
    "a": ("AX",),
}  # fmt: skip
LISTS = {"train": 10, "validation": 3, "test": 4}
FPS = 60.0
_FRAMES = 6


def spell(session: str) -> tuple[tuple[str, ...], list[tuple[str, int]], list[tuple[str, int, int]]]:
    """Words of a session; its phones with their numbers of frames; its words with their first and last frames."""
    rng = generator(0, "sentence", session)
    words = tuple(rng.choice(list(WORDS), size=3).tolist())
    phones, spans, at = [("SIL", _FRAMES)], [], _FRAMES
    for word in words:
        lengths = [_FRAMES + int(rng.integers(-1, 2)) for _ in WORDS[word]]
        phones += list(zip(WORDS[word], lengths, strict=True))
        spans.append((word, at, at + sum(lengths)))
        at += sum(lengths)
    return words, [*phones, ("SIL", _FRAMES)], spans


def see(session: Mapping[str, Any]) -> ClipArrays:
    """Pictures of a session; noise in their place where it is ``scrambled``."""
    name, rng = session["clip_id"], generator(0, "pictures", session["clip_id"])
    shown = [phone for phone, n in spell(name)[1] for _ in range(n)]
    arrays = {}
    for view, shape in (("tongue", (32, 40)), ("lips", (24, 32))):
        plain = np.stack([_picture(phone, view, shape) for phone in shown])
        noisy = plain + rng.normal(0, 12, plain.shape)
        if session["scrambled"]:
            noisy = rng.uniform(0, 255, plain.shape)
        arrays[view] = noisy.clip(0, 255).astype(np.uint8)
    times = (np.arange(len(shown)) + 0.5) / FPS
    rows = {"frame": np.arange(len(shown), dtype=np.int32), "time_s": times, "subject": "speaker"}
    return ClipArrays(pd.DataFrame({**rows, "group": session["group"]}), arrays)


def _picture(phone: str, view: str, shape: tuple[int, int]) -> np.ndarray:
    coarse = generator(0, "phone", phone, view).uniform(40, 215, (4, 5))
    return np.kron(coarse, np.ones((shape[0] // 4, -(-shape[1] // 5))))[:, : shape[1]]


def write_sentences(root: Path, scrambled: tuple[str, ...] = ()) -> Store:
    """Tables in data/tables/world/valid and articulation in data/features/world/articulation below ``root``.

    Pictures and words of the lists in ``scrambled`` are nonsense.
    """
    sessions = [
        {"clip_id": f"{group}-{number}", "group": group, "scrambled": group in scrambled}
        for group, count in LISTS.items()
        for number in range(count)
    ]
    with TableWriter(root / "data/tables/world/valid") as tables:
        for session in sessions:
            words, phones, spans = spell(session["clip_id"])
            if session["scrambled"]:
                words, spans = ("a", "a"), []
            for view in ("ultrasound", "lips"):
                clip_id = f"{session['clip_id']}_{view}"
                tables.add("clips", [{
                    "clip_id": clip_id, "dataset": "world", "subject": "speaker", "session": session["clip_id"],
                    "group": session["group"], "kind": "tongue", "view": view, "fps": FPS,
                    "transcript": " ".join(words),
                }])  # fmt: skip
            ends = np.cumsum([n for _, n in phones]).tolist()
            units = [("phone", end - n, end, phone) for (phone, n), end in zip(phones, ends, strict=True)]
            units += [("word", a, b, word) for word, a, b in spans]
            tables.add("units", [
                {"clip_id": clip_id, "tier": tier, "start_s": a / FPS, "end_s": b / FPS, "label": label}
                for tier, a, b, label in units
            ])  # fmt: skip
    folder = root / "data/features/world/articulation"
    key = f"{scrambled}"
    store = build_store(folder, sessions, see, lambda s: f"{s['clip_id']}{key}", cache=root / "cache", jobs=1)
    (folder / "text").mkdir()
    rng = generator(0, "texts")
    for name in ("domain_a", "domain_b"):
        lines = [" ".join(rng.choice(list(WORDS), size=3)) for _ in range(60)]
        (folder / f"text/{name}.txt").write_text("\n".join(lines) + "\n")
    entries = [f"{word} {' '.join(phones)}" for word, phones in WORDS.items()]
    (folder / "text/lexicon.txt").write_text("\n".join(entries) + "\n")
    return store
