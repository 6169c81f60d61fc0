"""For each family a writer of toy data: the tables and features that its systems read, laid out as in a checkout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.systems.toy_domains import write_domains
from tests.systems.toy_faces import write_toy
from tests.systems.toy_sentences import write_sentences
from tests.systems.toy_talkers import write_talkers
from tests.systems.toy_voices import write_voices
from vultus.core.experiment import Experiment, load_experiment

TOYS: dict[str, Callable[..., Any]] = {
    "action_units": write_toy,
    "talking_heads": write_talkers,
    "speech_emotion": write_voices,
    "silent_speech": write_sentences,
    "adaptation": write_domains,
}
"""Family -> function of a root folder, and optionally of the ``scrambled`` groups of people."""

PROTOCOLS = {"silent_speech": ("ssc_lists",), "adaptation": ("transfers",)}
"""Family -> its protocols on the toy data, the first for all but the protocol tests; the others divide people."""
OF_PEOPLE = ("world", "by_subject_3fold")

SMOKE = Path(__file__).parents[2] / "params/smoke.yaml"


def smoke_experiment(key: str, root: Path) -> Experiment:
    """The experiment of the smoke preset on toy data below ``root``."""
    experiment = load_experiment(key, SMOKE)
    return dataclasses.replace(
        experiment,
        dataset="world",
        protocol=PROTOCOLS.get(experiment.card.family, OF_PEOPLE)[0],
        tables=root / "data/tables/world/valid",
        features=root / "data/features/world" / experiment.features.name,
        media=root / "data/raw/world",
    )
