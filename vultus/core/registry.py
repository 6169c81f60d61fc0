"""Which systems exist, and their cards; importing this loads no system.

A system is the file ``vultus/systems/<family>/<key>.py`` (or a package of that name). It registers one `Card` when it
is imported; `get` imports just that one file. `keys` reads the folder names and imports nothing, so that flows, the
command line and the report can list all systems without torch.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vultus.core.errors import UserError

if TYPE_CHECKING:
    from vultus.core.loop import TrainConfig
    from vultus.core.system import Family, System

SYSTEMS = Path(__file__).parents[1] / "systems"


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper as a paired experiment: two arms, trained on the same people with the same seeds.

    An arm is a system with changes in its Config. Without a word about it, an arm is the card's own system as
    ``claims/params.yaml`` configures it.
    """

    name: str
    """Short, in snake case, unique within the card: ``refined_attention``."""
    sentence: str
    metric: str
    """Name in the family's results that both arms are compared on."""
    direction: Literal["higher", "lower"]
    """Which value of the metric is better."""
    variant: dict[str, Any] = field(default_factory=dict)
    """Changes in the Config of the arm that should win."""
    baseline: dict[str, Any] = field(default_factory=dict)
    """Changes in the Config of the arm that it is compared with."""
    baseline_system: str = ""
    """Key of another system of the family for that arm."""
    baseline_metric: str = ""
    """Another name in the results for that arm: two numbers of one training, say."""
    paper_claim: str = ""
    """What the paper printed: "F1 62.4 against 60.0 (BP4D)"."""


@dataclass(frozen=True)
class Card:
    """What a system is, beside its code: read by the stages, the report and the tests that run over all systems."""

    key: str
    """File name, stage suffix and registry name: the paper's acronym in snake case."""
    family: str
    title: str
    authors: str
    venue: str
    year: int
    identifier: str
    """arXiv number or DOI; empty for a baseline."""
    config: type
    """The Config dataclass; its defaults are the paper's values."""
    system: type[System]
    train: TrainConfig
    """The paper's training settings."""
    datasets: tuple[str, ...]
    protocol: str
    headline: tuple[str, ...]
    """Metric names that a comparison shows, spelled as in the family's result files."""
    role: Literal["system", "baseline"] = "system"
    paper_values: dict[str, dict[str, float]] = field(default_factory=dict)
    """``{dataset: {metric: value}}``, fractions or the field's unit, as printed in the paper."""
    reconstructed: tuple[str, ...] = ()
    """One sentence for each part that the paper leaves open, and what stands here instead."""
    data_licence: str = ""
    claims: tuple[Claim, ...] = ()


_CARDS: dict[str, Card] = {}


def register(card: Card) -> Card:
    """Make a card known; called once at the end of a system's file.

    Raises:
        ValueError: another class already holds the key.
    """
    known = _CARDS.get(card.key)
    if known is not None and known.system.__qualname__ != card.system.__qualname__:
        raise ValueError(f"two systems register the key {card.key!r}")
    _CARDS[card.key] = card
    return card


def families() -> tuple[str, ...]:
    """Names of the family folders, sorted."""
    return tuple(sorted(path.name for path in SYSTEMS.iterdir() if path.is_dir() and not path.name.startswith("_")))


def keys(family: str | None = None) -> tuple[str, ...]:
    """Keys of all systems (baselines too), sorted, read from the file names; nothing is imported.

    Args:
        family: restrict to one family's folder.
    """
    folders = [SYSTEMS / family] if family else [SYSTEMS / name for name in families()]
    return tuple(sorted(name for folder in folders for name in _names(folder)))


def family_of(key: str) -> str:
    """The family whose folder holds the system.

    Raises:
        UserError: no file has that name; lists the keys that exist.
    """
    for name in families():
        if key in _names(SYSTEMS / name):
            return name
    raise UserError(f"there is no system {key!r}; there is: {', '.join(keys())}")


def get(key: str) -> Card:
    """The card of a system; imports its file.

    Raises:
        UserError: no such system.
        ValueError: the file registers no card of its own name.
    """
    module = f"vultus.systems.{family_of(key)}.{key}"
    importlib.import_module(module)
    if key not in _CARDS:
        raise ValueError(f"{module} registers no card named {key!r}")
    return _CARDS[key]


def family(name: str) -> Family:
    """The contract of a family: the object ``FAMILY`` of its ``common.py``.

    Raises:
        UserError: the family has no ``common.py``.
    """
    try:
        module = importlib.import_module(f"vultus.systems.{name}.common")
    except ModuleNotFoundError as error:
        if error.name not in (f"vultus.systems.{name}", f"vultus.systems.{name}.common"):
            raise
        raise UserError(f"the family {name!r} has no systems yet; families: {', '.join(families())}") from None
    contract: Family = module.FAMILY
    return contract


def _names(folder: Path) -> list[str]:
    files = [path.stem for path in folder.glob("*.py")]
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return [name for name in files + packages if name != "common" and not name.startswith("_")]
