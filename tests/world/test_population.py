"""People and clip ids: groups of whole families, and nothing that depends on how many there are."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.data.tables import EMOTIONS, GROUPS
from vultus.world import population
from vultus.world.population import PerGroup, WorldConfig

SMALL = WorldConfig(
    people=PerGroup(train=3, validation=1, test=2, judge=1),
    extra_people=PerGroup(train=2, test=1),
    families=PerGroup(train=2, test=1),
)


def test_a_family_lives_in_one_group() -> None:
    config = dataclasses.replace(SMALL, tongue_sentences=PerGroup())
    people = [population.person(1, subject) for subject in population.subjects(config)]
    assert len(people) == len({person.subject for person in people}) == 7 + 3 * 6
    groups: dict[str, set[str]] = {}
    for person in people:
        groups.setdefault(person.family, set()).add(person.group)
        assert person.group in GROUPS
        for parent in (person.father, person.mother):
            assert parent is None or population.person(1, parent).group == person.group
    assert all(len(of_family) == 1 for of_family in groups.values())


def test_children_have_their_parents_alleles() -> None:
    daughter = population.person(1, "train-f00-daughter")
    assert daughter.father == "train-f00-father"
    assert daughter.generation == 2
    for side, parent in enumerate((daughter.father, daughter.mother)):
        assert parent is not None
        alleles = population.person(1, parent).genes.alleles
        distance = np.abs(alleles - daughter.genes.alleles[side]).min(axis=0)
        assert np.median(distance) < 0.15, "each gene comes from one of the parent's two alleles"
    stranger = population.person(1, "train-f01-father").genes.alleles
    assert np.median(np.abs(stranger - daughter.genes.alleles[0]).min(axis=0)) > 0.2


def test_siblings_differ_and_parents_are_older() -> None:
    daughter, son = (population.person(1, f"train-f00-{role}") for role in ("daughter", "son"))
    assert np.abs(daughter.genes.traits() - son.genes.traits()).mean() > 0.2
    father, grandfather = (population.person(1, f"train-f00-{role}") for role in ("father", "grandfather"))
    assert son.genes.age + 12 < father.genes.age < grandfather.genes.age - 12
    assert father.father == grandfather.subject


def test_more_people_and_clips_change_nobody() -> None:
    larger = dataclasses.replace(
        SMALL,
        people=PerGroup(train=9, validation=4, test=5, judge=3),
        families=PerGroup(train=3, validation=1, test=1),
        spontaneous_clips=PerGroup(19, 19, 19, 19),
        speech_clips=PerGroup(5, 5, 5, 9),
        emotion_clips=6,
        utterance_people=PerGroup(train=9, test=2),
        utterance_takes=10,
        tongue_sentences=PerGroup(train=150, validation=30, test=60, judge=1),
        posed_takes=PerGroup(train=7, validation=1, judge=3),
    )
    ids, more = population.clip_ids(SMALL), population.clip_ids(larger)
    assert set(ids) < set(more)
    assert len(set(more)) == len(more)
    for clip_id in ids:
        assert population.plan_clip(SMALL, clip_id) == population.plan_clip(larger, clip_id)


def test_seeds_make_other_people_and_the_same_seed_the_same() -> None:
    subject = "test-f00-mother"
    population.person.cache_clear()
    one = population.person(1, subject)
    population.person.cache_clear()
    again, other = population.person(1, subject), population.person(2, subject)
    assert again is not one
    np.testing.assert_array_equal(one.genes.alleles, again.genes.alleles)
    assert one.habit == again.habit
    assert np.abs(one.genes.alleles - other.genes.alleles).mean() > 0.3


def test_plans_say_what_is_recorded() -> None:
    plan = population.plan_clip(SMALL, "train-001_spontaneous_T3-1")
    assert (plan.subject, plan.kind, plan.task, plan.emotion) == ("train-001", "spontaneous", "T3", "surprise")
    assert plan.n_frames == SMALL.spontaneous_frames
    plan = population.plan_clip(SMALL, "test-000_emotion_anger-2")
    assert (plan.emotion, plan.task, plan.n_frames) == ("anger", "speech", 100)
    left, right = (population.plan_clip(SMALL, f"test-000_multiview_0_{view}") for view in ("left", "right"))
    assert left.session == right.session == "test-000_multiview_0"
    assert (left.view, right.view, left.task) == ("left", "right", right.task)
    assert population.plan_clip(SMALL, "test-000_domain_sketch-0").domain == "sketch"
    plan = population.plan_clip(SMALL, "silent-000_tongue_validation-12_lips")
    assert (plan.subject, plan.group, plan.session) == ("silent-000", "validation", "silent-000_tongue_validation-12")
    assert (plan.fps, plan.view, plan.n_frames) == (60, "lips", 0)
    plan = population.plan_clip(SMALL, "train-001_posed_fear-1_sketch")
    assert (plan.emotion, plan.domain, plan.view, plan.n_frames) == ("fear", "sketch", None, 1)
    assert population.plan_clip(SMALL, "train-001_utterance_boredom-7").emotion == "boredom"
    assert all(population.plan_clip(SMALL, clip_id).emotion in EMOTIONS for clip_id in population.clip_ids(SMALL))


@pytest.mark.parametrize("clip_id", ["train-000", "train-000_party_0", "train_000_speech_0_a_b", ""])
def test_foreign_clip_ids_are_refused(clip_id: str) -> None:
    with pytest.raises(ValueError, match="no clip id"):
        population.plan_clip(SMALL, clip_id)


@pytest.mark.parametrize("subject", ["train", "nobody-000", "train-f00-uncle"])
def test_foreign_subject_ids_are_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="no subject id"):
        population.person(1, subject)


def test_configuration_comes_from_params() -> None:
    config = section(WorldConfig, {"size_px": 64, "people": {"train": 2}, "processes": 1}, "world")
    assert config.people == PerGroup(train=2)
    assert config.size_px == 64
    with pytest.raises(UserError, match="size_px is 63"):
        section(WorldConfig, {"size_px": 63}, "world")
    with pytest.raises(UserError, match="spontaneous_frames is 0"):
        section(WorldConfig, {"spontaneous_frames": 0}, "world")
    with pytest.raises(UserError, match="utterance_takes is 11"):
        section(WorldConfig, {"utterance_takes": 11}, "world")
    with pytest.raises(UserError, match="posed_styles"):
        section(WorldConfig, {"posed_styles": ["pastel"]}, "world")
    with pytest.raises(UserError, match="fewer than 0"):
        section(WorldConfig, {"people": {"train": -1}}, "world")


def test_emotions_of_the_extra_people_differ() -> None:
    config = WorldConfig()
    acted = {clip_id.split("_")[2].split("-")[0] for clip_id in population.clip_ids(config) if "_emotion_" in clip_id}
    assert acted == set(population.SPOKEN_EMOTIONS)


def test_kinds_and_groups_have_the_quantities_that_their_systems_need() -> None:
    plans = [population.plan_clip(WorldConfig(), clip_id) for clip_id in population.clip_ids(WorldConfig())]
    count = Counter((plan.kind, plan.group) for plan in plans)
    assert [count["spontaneous", group] for group in GROUPS] == [32 * 16, 8 * 16, 12 * 16, 24 * 6]
    assert [count["speech", group] for group in GROUPS] == [32 * 2, 8 * 2, 12 * 2, 24 * 8]
    assert [count["tongue", group] for group in GROUPS] == [2 * 120, 2 * 20, 2 * 60, 0]
    assert count["utterance", "train"] == sum(plan.kind == "utterance" for plan in plans) == 560
    speakers = [population.person(1, subject) for subject in {p.subject for p in plans if p.kind == "utterance"}]
    assert Counter(person.genes.sex for person in speakers) == {"female": 5, "male": 5}


def test_acted_expressions_come_in_styles_of_different_people() -> None:
    plans = [population.plan_clip(WorldConfig(), clip_id) for clip_id in population.clip_ids(WorldConfig())]
    posed = [plan for plan in plans if plan.kind == "posed"]
    of_train = Counter((plan.emotion, plan.domain) for plan in posed if plan.group == "train")
    assert len(of_train) == 7 * 3
    assert min(of_train.values()) >= 60
    styles = {subject: {p.domain for p in posed if p.subject == subject} for subject in {p.subject for p in posed}}
    assert all(len(of_person) == 1 for of_person in styles.values())
    assert {plan.domain for plan in posed if plan.group == "judge"} == {"photo"}
    assert {plan.group for plan in posed} == {"train", "judge"}


def test_the_silent_speaker_belongs_to_no_group() -> None:
    person = population.person(1, population.SILENT_SPEAKER)
    assert person.group is None
    assert population.SILENT_SPEAKER in set(population.subjects(SMALL))
    nobody = dataclasses.replace(SMALL, tongue_sentences=PerGroup())
    assert population.SILENT_SPEAKER not in set(population.subjects(nobody))
