"""RAVDESS, the Ryerson audio-visual database of emotional speech and song (Livingstone and Russo 2018): its sounds.

    Actor_01/03-01-05-01-02-01-01.wav    modality-channel-emotion-intensity-statement-repetition-actor

Modality 03 is sound alone, the only one that is read. 24 actors (odd numbers are men), eight emotions, two statements
of one form. Files may lie at any depth; a second copy of a file, as some distributions hold, is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vultus.data.sources.rows import ClipRows, misnamed, sound_rows

CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happiness", "04": "sadness", "05": "anger", "06": "fear", "07": "disgust",
    "08": "surprise",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
ACTORS = tuple(f"{number:02d}" for number in range(1, 25))


@dataclass(frozen=True)
class Options:
    """Section ``datasets.D.options`` of the source ``ravdess``."""

    channels: tuple[Literal["speech", "song"], ...] = ("speech",)
    """Spoken or sung."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every sound of the channels, by name."""
    seen: set[str] = set()
    for path in sorted(root.rglob("*.wav"), key=lambda path: (path.stem, path)):
        if path.stem in seen:
            continue
        seen.add(path.stem)
        codes = path.stem.split("-")
        if not _is_named(codes):
            yield misnamed(
                path, root, "as in 03-01-05-01-02-01-01.wav (modality 03, ..., emotion 01 to 08, ..., actor)"
            )
            continue
        _, channel, emotion, intensity, statement, repetition, actor = codes
        if CHANNELS[channel] not in options.channels:
            continue
        clip = {
            "clip_id": path.stem,
            "subject": actor,
            "session": f"{CHANNELS[channel]}, {INTENSITIES[intensity]}, take {int(repetition)}",
            "sex": "male" if int(actor) % 2 else "female",
            "emotion": EMOTIONS[emotion],
            "transcript": STATEMENTS[statement],
            "licence": "CC BY-NC-SA 4.0",
        }
        yield sound_rows(path, root, clip)


def _is_named(codes: list[str]) -> bool:
    known = (("03",), CHANNELS, EMOTIONS, INTENSITIES, STATEMENTS, ("01", "02"), ACTORS)
    valid = len(codes) == len(known) and all(code in names for code, names in zip(codes, known, strict=True))
    # There is no strong neutral.
    return valid and not (EMOTIONS[codes[2]] == "neutral" and INTENSITIES[codes[3]] == "strong")
