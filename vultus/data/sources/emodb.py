"""The Berlin Database of Emotional Speech (Burkhardt et al. 2005) in its original layout.

    wav/03a01Fa.wav    speaker 03, text a01, emotion F (Freude), first version

Ten actors, ten German sentences, seven emotions, 535 utterances of 16 kHz. Everything is in the name; the emotion is
the German initial, whatever the English order of some copies on the web suggests. Files may lie in ``wav`` or in the
root itself; the label folders beside are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vultus.data.sources.rows import ClipRows, misnamed, sound_rows

SPEAKERS = {
    "03": ("male", 31), "08": ("female", 34), "09": ("female", 21), "10": ("male", 32), "11": ("male", 26),
    "12": ("male", 30), "13": ("female", 32), "14": ("female", 35), "15": ("male", 25), "16": ("female", 31),
}  # fmt: skip
"""Speaker -> sex and age in years."""

EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}

TEXTS = {
    "a01": "der lappen liegt auf dem eisschrank",
    "a02": "das will sie am mittwoch abgeben",
    "a04": "heute abend könnte ich es ihm sagen",
    "a05": "das schwarze stück papier befindet sich da oben neben dem holzstück",
    "a07": "in sieben stunden wird es soweit sein",
    "b01": "was sind denn das für tüten die da unter dem tisch stehen",
    "b02": "sie haben es gerade hochgetragen und jetzt gehen sie wieder runter",
    "b03": "an den wochenenden bin ich jetzt immer nach hause gefahren und habe agnes besucht",
    "b09": "ich will das eben wegbringen und dann mit karl was trinken gehen",
    "b10": "die wird auf dem platz sein wo wir sie immer hinlegen",
}

_NAME = re.compile(rf"({'|'.join(SPEAKERS)})({'|'.join(TEXTS)})([{''.join(EMOTIONS)}])([a-f])")


@dataclass(frozen=True)
class Options:
    """The source ``emodb`` needs none."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every utterance, by name."""
    folder = root / "wav" if (root / "wav").is_dir() else root
    for path in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            yield misnamed(path, root, "as in 03a01Fa.wav (speaker, text, emotion of W L E A F T N, version)")
            continue
        speaker, text, emotion, _ = match.groups()
        sex, age = SPEAKERS[speaker]
        clip = {
            "clip_id": path.stem,
            "subject": speaker,
            "sex": sex,
            "age": float(age),
            "emotion": EMOTIONS[emotion],
            "transcript": TEXTS[text],
        }
        yield sound_rows(path, root, clip)
