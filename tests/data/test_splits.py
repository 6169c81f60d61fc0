"""Splits: published folds, disjoint people, stable hashes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from vultus.core.errors import UserError
from vultus.data.splits import BP4D_FOLDS, DISFA_FOLDS, PARTS, PROTOCOLS, Split, protocol, transfers


def clips_of(people: list[str], groups: list[str | None] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"clip_id": people, "subject": people, "group": groups or [None] * len(people)})


@pytest.mark.parametrize(
    ("name", "folds", "held_out"), [("bp4d_3fold", BP4D_FOLDS, 4), ("disfa_3fold", DISFA_FOLDS, 3)]
)
def test_published_folds(name: str, folds: tuple[tuple[str, ...], ...], held_out: int) -> None:
    everybody = [subject for fold in folds for subject in fold]
    splits = protocol(name, clips_of(everybody))
    assert [split.test for split in splits] == [tuple(sorted(fold)) for fold in folds]
    assert [split.name for split in splits] == [f"{name}/{k}" for k in (1, 2, 3)]
    for split in splits:
        assert set(split.train) | set(split.validation) | set(split.test) == set(everybody)
        assert len(split.train) + len(split.validation) + len(split.test) == len(everybody)
        assert len(split.validation) == held_out
    assert len({split.hash for split in splits}) == 3


def test_the_folds_name_everybody_once() -> None:
    assert sorted(len(fold) for fold in BP4D_FOLDS) == [13, 14, 14]
    people = [subject for fold in BP4D_FOLDS for subject in fold]
    assert sorted(people) == [f"F{n:03d}" for n in range(1, 24)] + [f"M{n:03d}" for n in range(1, 19)]
    numbers = [*range(1, 14), *range(16, 19), 21, *range(23, 33)]
    assert sorted(s for fold in DISFA_FOLDS for s in fold) == [f"SN{n:03d}" for n in numbers]


def test_the_folds_are_those_of_the_published_lists() -> None:
    real = Path(os.environ.get("VULTUS_REAL", "../shared/real")) / "au" / "subject_folds.txt"
    if not real.is_file():
        pytest.skip("the folder of real data (VULTUS_REAL) is not here")
    rows = [line.split() for line in real.read_text().splitlines() if line and not line.startswith("#")]
    for dataset, folds in (("BP4D", BP4D_FOLDS), ("DISFA", DISFA_FOLDS)):
        for number, fold in enumerate(folds, start=1):
            assert sorted(fold) == sorted(r[2] for r in rows if r[0] == dataset and r[1] == str(number))


def test_a_subset_keeps_its_folds_and_strangers_are_refused() -> None:
    some = ["SN001", "SN002", "SN006", "SN011", "SN003", "SN004"]
    splits = protocol("disfa_3fold", clips_of(some))
    assert [split.test for split in splits] == [("SN001", "SN002"), ("SN006", "SN011"), ("SN003", "SN004")]
    with pytest.raises(UserError, match="SN014 is in no published fold"):
        protocol("disfa_3fold", clips_of([*some, "SN014"]))
    with pytest.raises(UserError, match="nobody is left for test"):
        protocol("disfa_3fold", clips_of(["SN001", "SN002", "SN006", "SN011"]))


def test_world_goes_by_group_without_judges() -> None:
    people = [f"p{n}" for n in range(8)]
    groups = ["train", "train", "train", "validation", "test", "test", "judge", "judge"]
    (split,) = protocol("world", clips_of(people, list(groups)))
    assert (split.train, split.validation, split.test) == (("p0", "p1", "p2"), ("p3",), ("p4", "p5"))
    torn = pd.concat([clips_of(people, list(groups)), clips_of(["p0"], ["test"])])
    with pytest.raises(UserError, match="p0 is in the groups train and test"):
        protocol("world", torn)
    with pytest.raises(UserError, match="nobody is left for validation"):
        protocol("world", clips_of(["a", "b"], ["train", "test"]))


def test_by_subject_covers_everybody_once_and_forever() -> None:
    people = [f"p{n:02d}" for n in range(20)]
    splits = protocol("by_subject_3fold", clips_of(people))
    assert sorted(s for split in splits for s in split.test) == people
    again = protocol("by_subject_3fold", clips_of(people[::-1]))
    assert [s.hash for s in splits] == [s.hash for s in again]
    assert {len(split.test) for split in splits} == {6, 7}


def test_by_subject_keeps_families_together_and_judges_out() -> None:
    people = [f"p{n:02d}" for n in range(24)]
    clips = clips_of(people, ["judge" if n >= 18 else "train" for n in range(24)])
    # p02 is the child of p00 and p01, p05 their grandchild; p03 and p04 share an unrecorded father
    clips["father"] = clips["subject"].map({"p02": "p00", "p05": "p02", "p03": "x", "p04": "x"})
    clips["mother"] = clips["subject"].map({"p02": "p01"})
    splits = protocol("by_subject_3fold", clips)
    assert sorted(s for split in splits for s in split.test) == people[:18]
    for split in splits:
        for family in ({"p00", "p01", "p02", "p05"}, {"p03", "p04"}):
            assert sum(bool(family & set(split.people(part))) for part in PARTS) == 1


def test_overlap_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="split x: b is in train and in test"):
        Split("x", ("a", "b"), ("c",), ("b",))
    with pytest.raises(ValueError, match="a is in train and in train"):
        Split("x", ("a", "a"), (), ())


def test_hash_is_of_the_sorted_people() -> None:
    assert Split("x", ("a", "b"), ("c",), ("d",)).hash == Split("y", ("b", "a"), ("c",), ("d",)).hash
    assert Split("x", ("a",), ("b",), ("c",)).hash != Split("x", ("a",), ("c",), ("b",)).hash
    assert len(Split("x", ("a",), (), ()).hash) == 12


def test_masks_partition_the_rows() -> None:
    split = Split("x", ("a",), ("b",), ("c",))
    masks = [split.mask(["a", "b", "c", "d", None, "a"], part) for part in PARTS]
    assert [m.tolist() for m in masks] == [
        [True, False, False, False, False, True],
        [False, True, False, False, False, False],
        [False, False, True, False, False, False],
    ]


def test_unknown_protocol_and_nobody() -> None:
    with pytest.raises(UserError, match=f"known protocols: {', '.join(PROTOCOLS)}"):
        protocol("bp5d", clips_of(["a"]))
    with pytest.raises(UserError, match="no clip has a subject"):
        protocol("by_subject_3fold", clips_of([None]))  # type: ignore[list-item]


def test_judge_people_are_split_once_more() -> None:
    clips = clips_of([f"j{i}" for i in range(12)] * 2).assign(group="judge")
    (split,) = protocol("judging", clips)
    assert [len(split.people(part)) for part in PARTS] == [7, 2, 3]
    (few,) = protocol("judging", clips_of(["a", "b", "c"]))
    assert [len(few.people(part)) for part in PARTS] == [1, 1, 1]
    with pytest.raises(UserError, match="nobody is left for train"):
        protocol("judging", clips_of(["a", "b"]))
    with pytest.raises(UserError, match="j3 is in the group test; judges learn from the judge people alone"):
        protocol("judging", clips.assign(group=["judge"] * 3 + ["test"] * 21))


def test_loso_tests_on_each_speaker_once() -> None:
    clips = clips_of([f"s{i}" for i in range(5)] * 3).assign(
        group=["train", "test", "train", "validation", "judge"] * 3
    )
    splits = protocol("loso", clips)
    assert [split.test for split in splits] == [("s0",), ("s1",), ("s2",), ("s3",)]
    assert [split.name for split in splits] == [f"loso/{k}" for k in range(1, 5)]
    for split in splits:
        assert len(split.validation) == 1
        assert set(split.train) | set(split.validation) == {"s0", "s1", "s2", "s3"} - set(split.test)


def test_cv10_deals_the_clips_of_each_emotion_evenly() -> None:
    clips = clips_of(["a", "b"] * 35)
    clips["clip_id"] = [f"c{i}" for i in range(70)]
    clips["emotion"] = ["anger"] * 40 + ["neutral"] * 30
    splits = protocol("cv10", clips)
    assert len(splits) == 10
    assert sorted(clip for split in splits for clip in split.test) == sorted(clips["clip_id"])
    for split in splits:
        assert split.unit == "clip_id"
        emotion = clips["emotion"][split.mask(clips["clip_id"], "test")]
        assert emotion.value_counts().to_dict() == {"anger": 4, "neutral": 3}
    with pytest.raises(UserError, match="no clip has one"):
        protocol("cv10", clips.drop(columns="emotion"))


def test_transfers_are_the_ordered_pairs_of_domains() -> None:
    items = pd.DataFrame(
        [("1", "photo", "a"), ("2", "photo", "b"), ("3", "sketch", "c"), ("4", "oil", "a"), ("5", "oil", "d")],
        columns=["clip_id", "domain", "subject"],
    )
    found = {transfer.name: transfer.split for transfer in transfers(items)}
    assert list(found) == ["oil-photo", "oil-sketch", "photo-oil", "photo-sketch", "sketch-oil", "sketch-photo"]
    assert found["photo-sketch"].train == ("a", "b")
    assert found["photo-sketch"].test == ("c",)
    assert found["photo-sketch"].unit == "subject"
    assert not found["photo-sketch"].validation
    # a is in both domains: then items are divided, and the split says so
    assert (found["photo-oil"].train, found["photo-oil"].test) == (("1", "2"), ("4", "5"))
    assert found["photo-oil"].unit == "clip_id"
    assert len({split.hash for split in found.values()}) == 6
    nobody = transfers(items.assign(subject=None), ["sketch-oil"])
    assert [transfer.split.train for transfer in nobody] == [("3",)]


def test_unknown_transfers_and_single_domains_are_refused() -> None:
    items = pd.DataFrame({"clip_id": ["1", "2"], "domain": ["photo", "oil"], "subject": [None, None]})
    with pytest.raises(UserError, match="no transfer 'photo-sketch'; there is: oil-photo, photo-oil"):
        transfers(items, ["photo-sketch"])
    with pytest.raises(UserError, match="it takes two to transfer"):
        transfers(items[:1])
