"""CREMA-D, the crowd-sourced emotional multimodal actors dataset (Cao et al. 2014): its sounds.

    AudioWAV/1001_DFA_ANG_XX.wav    actor, sentence, acted emotion, level (LO, MD, HI, or XX where none was asked for)
    VideoDemographics.csv           ActorID,Age,Sex,...: read where it is there

91 actors, twelve sentences, six emotions. The emotion is the one that was acted; what listeners heard is in tables that
are not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vultus.data.sources.rows import ClipRows, misnamed, sound_rows

EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
}  # fmt: skip

SENTENCES = {
    "IEO": "it's eleven o'clock",
    "TIE": "that is exactly what happened",
    "IOM": "i'm on my way to the meeting",
    "IWW": "i wonder what this is about",
    "TAI": "the airplane is almost full",
    "MTI": "maybe tomorrow it will be cold",
    "IWL": "i would like a new alarm clock",
    "ITH": "i think i have a doctor's appointment",
    "DFA": "don't forget a jacket",
    "ITS": "i think i've seen this before",
    "TSI": "the surface is slick",
    "WSI": "we'll stop in a couple of minutes",
}

# One file of the distribution, 1040_ITH_SAD_X, has a single X.
_NAME = re.compile(rf"(10(?:0[1-9]|[1-8]\d|9[01]))_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX?)")


@dataclass(frozen=True)
class Options:
    """The source ``cremad`` needs none."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every utterance, by name."""
    people = _demographics(root / "VideoDemographics.csv")
    folder = root / "AudioWAV" if (root / "AudioWAV").is_dir() else root
    for path in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            yield misnamed(path, root, "as in 1001_DFA_ANG_XX.wav (actor 1001 to 1091, sentence, emotion, level)")
            continue
        actor, sentence, emotion, level = match.groups()
        clip = {
            "clip_id": path.stem,
            "subject": actor,
            "session": level,
            "emotion": EMOTIONS[emotion],
            "transcript": SENTENCES[sentence],
            "licence": "Open Database License",
            **people.get(actor, {}),
        }
        yield sound_rows(path, root, clip)


def _demographics(path: Path) -> dict[str, dict[str, Any]]:
    """Actor -> sex and age; empty without the file, and without the actors whose row cannot be read."""
    if not path.is_file():
        return {}
    people: dict[str, dict[str, Any]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            sex, age = (row.get("Sex") or "").lower(), row.get("Age") or ""
            if sex in ("female", "male") and age.isdecimal():
                people[row.get("ActorID", "")] = {"sex": sex, "age": float(age)}
    return people
