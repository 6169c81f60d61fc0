"""Splits of people into training, validation and test, as objects that prove they are disjoint.

A split lists subject ids, never frames: neighbouring frames are near-duplicates, and one person in two parts would let
identity stand for the label. Two exceptions say so in their ``unit``: ``cv10`` lists clips, as published numbers of
speech emotion are made that way, and ``ssc_lists`` lists sessions, as silent speech was recorded of one person.
Everything is deterministic: the published folds are written out, and where people are drawn they are ranked by a hash
of their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.core.errors import UserError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

BP4D_FOLDS: tuple[tuple[str, ...], ...] = (
    ("F001", "F002", "F008", "F009", "F010", "F016", "F018", "F023",
     "M001", "M004", "M007", "M008", "M012", "M014"),
    ("F003", "F005", "F011", "F013", "F020", "F022",
     "M002", "M005", "M010", "M011", "M013", "M016", "M017", "M018"),
    ("F004", "F006", "F007", "F012", "F014", "F015", "F017", "F019", "F021",
     "M003", "M006", "M009", "M015"),
)  # fmt: skip
"""The 41 people of BP4D in the three folds of the JAA-Net lists."""

DISFA_FOLDS: tuple[tuple[str, ...], ...] = (
    ("SN001", "SN002", "SN009", "SN010", "SN016", "SN026", "SN027", "SN030", "SN032"),
    ("SN006", "SN011", "SN012", "SN013", "SN018", "SN021", "SN024", "SN028", "SN031"),
    ("SN003", "SN004", "SN005", "SN007", "SN008", "SN017", "SN023", "SN025", "SN029"),
)
"""The 27 people of DISFA in the three folds of the JAA-Net lists; two other partitions circulate."""

VALIDATION_SHARE = 1 / 7
"""Share of the training people of a fold that selects the epoch: 4 of BP4D's 27, 3 of DISFA's 18."""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of subject ids.

    Attributes:
        name: protocol and fold, as ``bp4d_3fold/1``.
        train: people that fit the parameters.
        validation: people that select the epoch and thresholds.
        test: people that are scored.
        unit: what the ids name; with ``clip_id`` people are in several parts, and no number is one of unseen people.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    unit: Literal["subject", "clip_id", "session"] = field(default="subject", kw_only=True)

    def __post_init__(self) -> None:
        self.check_disjoint()

    def check_disjoint(self) -> None:
        """Assert that no person is in two parts, or twice in one.

        Raises:
            ValueError: names the person.
        """
        seen: dict[str, Part] = {}
        for part in PARTS:
            for subject in self.people(part):
                if subject in seen:
                    raise ValueError(f"split {self.name}: {subject} is in {seen[subject]} and in {part}")
                seen[subject] = part

    @property
    def hash(self) -> str:
        """12 hex digits of the sha256 of the sorted ids of each part; the order of ids does not matter."""
        text = "\n".join(f"{part}:{','.join(sorted(self.people(part)))}" for part in PARTS)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def people(self, part: Part) -> tuple[str, ...]:
        """The subject ids of a part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[part]

    def mask(self, subjects: Iterable[str | None], part: Part) -> npt.NDArray[np.bool_]:
        """Which rows belong to a part.

        Args:
            subjects: subject id of each of N rows (clip id, where that is the unit).
            part: train, validation or test.

        Returns:
            (N,) bool.
        """
        self.check_disjoint()
        return pd.Series(list(subjects), dtype="object").isin(self.people(part)).to_numpy(bool)


def protocol(name: str, clips: pd.DataFrame) -> list[Split]:
    """The splits of a protocol, over the people that the data set has.

    Args:
        name: one of `PROTOCOLS`.
        clips: table of clips with ``subject``, and ``group`` for ``world``.

    Raises:
        UserError: an unknown protocol, people that a published partition does not name, or a part without people.
    """
    if name not in PROTOCOLS:
        raise UserError(f"there is no protocol {name!r}; known protocols: {', '.join(PROTOCOLS)}")
    known = clips[clips["subject"].notna()]
    if known.empty:
        raise UserError(f"protocol {name}: no clip has a subject; set it in the data set's source")
    splits = PROTOCOLS[name](known)
    for split in splits:
        for part in PARTS:
            if not split.people(part):
                raise UserError(
                    f"protocol {split.name}: nobody is left for {part}; add people or choose another protocol"
                )
    return splits


def _world(clips: pd.DataFrame) -> list[Split]:
    """One split by the group column; the judges' people are in no part."""
    group_of: dict[str, str] = {}
    for subject, group in clips[["subject", "group"]].dropna().drop_duplicates().itertuples(index=False):
        if subject in group_of:
            raise UserError(
                f"protocol world: {subject} is in the groups {group_of[subject]} and {group}; give a person one group"
            )
        group_of[subject] = group
    people = {part: tuple(sorted(s for s, group in group_of.items() if group == part)) for part in PARTS}
    return [Split("world", people["train"], people["validation"], people["test"])]


def _published(name: str, folds: tuple[tuple[str, ...], ...]) -> Callable[[pd.DataFrame], list[Split]]:
    def splits(clips: pd.DataFrame) -> list[Split]:
        present = set(clips["subject"])
        strangers = sorted(present - {subject for fold in folds for subject in fold})
        if strangers:
            raise UserError(
                f"protocol {name}: {strangers[0]} is in no published fold; leave that person out of the data set"
            )
        return _leave_one_fold_out(name, [[s for s in fold if s in present] for fold in folds])

    return splits


def _by_subject(name: str, n_folds: int) -> Callable[[pd.DataFrame], list[Split]]:
    """Whole families dealt to folds by hash; the judges' people are in no part."""

    def splits(clips: pd.DataFrame) -> list[Split]:
        known = clips[clips["group"] != "judge"] if "group" in clips else clips
        families = _families(known)
        dealt: list[list[str]] = [[] for _ in range(n_folds)]
        for number, family in enumerate(_shuffled(families, name)):
            dealt[number % n_folds] += families[family]
        return _leave_one_fold_out(name, dealt, {s: family for family, people in families.items() for s in people})

    return splits


def _loso(clips: pd.DataFrame) -> list[Split]:
    """Leave one speaker out: a fold tests on one person; the judges' people are in no part."""
    known = clips[clips["group"] != "judge"] if "group" in clips else clips
    return _leave_one_fold_out("loso", [[subject] for subject in sorted(set(known["subject"]))])


def _cv10(clips: pd.DataFrame) -> list[Split]:
    """Ten folds of clips with equal shares of each emotion; the fold after the tested one selects."""
    if "emotion" not in clips or clips["emotion"].isna().all():
        raise UserError("protocol cv10 deals clips by their emotion, and no clip has one: choose another protocol")
    known = clips[clips["emotion"].notna()]
    dealt: list[list[str]] = [[] for _ in range(10)]
    stratified = [clip for _, part in known.groupby("emotion") for clip in _shuffled(part["clip_id"], "cv10")]
    for number, clip in enumerate(stratified):
        dealt[number % 10].append(clip)
    splits = []
    for number, test in enumerate(dealt):
        held_out = dealt[(number + 1) % 10]
        train = [clip for fold in dealt if fold is not test and fold is not held_out for clip in fold]
        parts = (tuple(sorted(part)) for part in (train, held_out, test))
        splits.append(Split(f"cv10/{number + 1}", *parts, unit="clip_id"))
    return splits


def _judging(clips: pd.DataFrame) -> list[Split]:
    """The judges' people: a quarter to test a judge on; of those who teach it, a sixth selects its epoch."""
    if "group" in clips:
        strangers = clips[clips["group"].notna() & (clips["group"] != "judge")]
        if len(strangers):
            raise UserError(
                f"protocol judging: {strangers['subject'].iloc[0]} is in the group {strangers['group'].iloc[0]}; "
                "judges learn from the judge people alone"
            )
    people = _shuffled(clips["subject"].unique(), "judging")
    n_test = max(1, round(len(people) / 4))
    n_validation = max(1, round((len(people) - n_test) / 6))
    test, validation, train = np.split(np.array(people, object), [n_test, n_test + n_validation])
    return [Split("judging", *(tuple(sorted(part)) for part in (train, validation, test)))]


def _families(clips: pd.DataFrame) -> dict[str, list[str]]:
    """People joined by the columns father and mother, under the id that sorts first; a person alone is a family."""
    related = nx.Graph()
    related.add_nodes_from(clips["subject"])
    for parent in {"father", "mother"} & set(clips.columns):
        pairs = clips[["subject", parent]].dropna().drop_duplicates()
        related.add_edges_from(pairs.itertuples(index=False))
    recorded = set(clips["subject"])
    families = (sorted(recorded & family) for family in nx.connected_components(related))
    return {people[0]: people for people in families if people}


def _leave_one_fold_out(name: str, folds: list[list[str]], family_of: Mapping[str, str] | None = None) -> list[Split]:
    """Test on each fold in turn; the validation people, in whole families, are drawn from the other folds."""
    splits = []
    for number, test in enumerate(folds, start=1):
        fold_name = f"{name}/{number}"
        families: dict[str, list[str]] = {}
        for subject in (s for fold in folds if fold is not test for s in fold):
            families.setdefault(family_of[subject] if family_of else subject, []).append(subject)
        wanted = max(1, round(VALIDATION_SHARE * sum(map(len, families.values())))) if len(families) > 1 else 0
        train, held_out = list[str](), list[str]()
        for family in _shuffled(families, fold_name):
            (held_out if len(held_out) < wanted else train).extend(families[family])
        splits.append(Split(fold_name, *(tuple(sorted(people)) for people in (train, held_out, test))))
    return splits


def _shuffled(people: Iterable[str], salt: str) -> list[str]:
    return sorted(people, key=lambda subject: hashlib.sha256(f"{salt}:{subject}".encode()).hexdigest())


def _ssc_lists(clips: pd.DataFrame) -> list[Split]:
    """The recording lists of silent speech, from the group column: sentences are unseen, the speaker is not.

    Lists without a held-out part (the archive has a training and a test list) give a seventh of the training sessions
    to validation.
    """
    if "session" not in clips or clips["session"].isna().all():
        raise UserError("protocol ssc_lists divides sessions, and no clip has one: set it in the data set's source")
    listed: dict[str, set[str]] = {part: set() for part in PARTS}
    for session, group in clips[["session", "group"]].dropna().drop_duplicates().itertuples(index=False):
        if group in listed:
            listed[group].add(session)
    if not listed["validation"]:
        ranked = _shuffled(listed["train"], "ssc_lists")
        listed["validation"] = set(ranked[: round(VALIDATION_SHARE * len(ranked))])
        listed["train"] -= listed["validation"]
    return [Split("ssc_lists", *(tuple(sorted(listed[part])) for part in PARTS), unit="session")]


PROTOCOLS: dict[str, Callable[[pd.DataFrame], list[Split]]] = {
    "world": _world,
    "judging": _judging,
    "bp4d_3fold": _published("bp4d_3fold", BP4D_FOLDS),
    "disfa_3fold": _published("disfa_3fold", DISFA_FOLDS),
    "by_subject_3fold": _by_subject("by_subject_3fold", 3),
    "loso": _loso,
    "cv10": _cv10,
    "ssc_lists": _ssc_lists,
}
"""Name -> function of the clips table; fold K of ``X`` is named ``X/K`` and tests on the K-th set of people."""


@dataclass(frozen=True)
class Transfer:
    """From a labelled domain to one without labels, whose items are both learnt from and scored.

    Attributes:
        source: domain whose items have labels; the part ``train`` of the split.
        target: domain whose labels are hidden; the part ``test`` of the split. Nothing is held out for validation:
            without target labels there is nothing to select by.
        split: of people where each has a subject and none is in both domains, else of clips.
    """

    source: str
    target: str
    split: Split

    @property
    def name(self) -> str:
        """``photo-sketch``."""
        return f"{self.source}-{self.target}"


def transfers(items: pd.DataFrame, names: Iterable[str] = ()) -> list[Transfer]:
    """The protocol ``transfers``: ordered pairs of domains.

    Args:
        items: ``clip_id``, ``domain`` and ``subject`` (null where nobody is named) of the labelled items.
        names: the transfers that are wanted, ``SOURCE-TARGET``, in this order; empty = all pairs of the data set.

    Raises:
        UserError: fewer than two domains, or a name that is no transfer of the data set.
    """
    domains = sorted(items["domain"].unique())
    if len(domains) < 2:
        raise UserError(f"protocol transfers: the data set has the domains {domains}; it takes two to transfer")
    pairs = {f"{a}-{b}": (a, b) for a in domains for b in domains if a != b}
    wanted = tuple(names) or tuple(pairs)
    unknown = [name for name in wanted if name not in pairs]
    if unknown:
        raise UserError(f"protocol transfers: there is no transfer {unknown[0]!r}; there is: {', '.join(pairs)}")
    return [Transfer(*pairs[name], _between(name, items, *pairs[name])) for name in wanted]


def _between(name: str, items: pd.DataFrame, source: str, target: str) -> Split:
    ends = [items[items["domain"] == domain] for domain in (source, target)]
    people = [set(end["subject"].dropna()) for end in ends]
    named = all(end["subject"].notna().all() for end in ends)
    unit: Literal["subject", "clip_id"] = "subject" if named and not people[0] & people[1] else "clip_id"
    train, test = (tuple(sorted(end[unit].unique())) for end in ends)
    return Split(f"transfers/{name}", train, (), test, unit=unit)
