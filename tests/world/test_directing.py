"""What is said in each kind of recording: other people, other sentences."""

from __future__ import annotations

from collections import Counter

import pytest

from vultus.data.tables import GROUPS
from vultus.world import directing, population
from vultus.world.delivery import DELIVERED_EMOTIONS
from vultus.world.population import PerGroup, WorldConfig
from vultus.world.sentences import UTTERANCE_SENTENCES
from vultus.world.word_chains import may_be_spoken

CONFIG = WorldConfig()


def said(clip_id: str) -> str:
    """Words of a clip of seed 1."""
    utterance = directing.direct(CONFIG, 1, population.plan_clip(CONFIG, clip_id)).utterance
    assert utterance is not None
    return utterance.transcript


def test_no_sentence_of_the_training_people_is_a_test_sentence() -> None:
    few = WorldConfig(people=PerGroup(6, 4, 6, 4), speech_clips=PerGroup(2, 2, 2, 3))
    texts: dict[str, list[str]] = {group: [] for group in GROUPS}
    for clip_id in population.clip_ids(few):
        plan = population.plan_clip(few, clip_id)
        if plan.kind == "speech":
            texts[plan.group].append(said(clip_id))
    everything = [text for of_group in texts.values() for text in of_group]
    assert len(set(everything)) == len(everything) == 12 + 8 + 12 + 12


def test_silent_sentences_come_from_two_domains_and_never_twice() -> None:
    numbers = {"train": range(40), "validation": range(20), "test": range(60)}
    texts = {name: [said(f"silent-000_tongue_{name}-{i}_lips") for i in of] for name, of in numbers.items()}
    everything = [text for of_list in texts.values() for text in of_list]
    assert len(set(everything)) == len(everything)
    assert all(may_be_spoken(text) for text in everything)
    a, b = (directing.word_chain(1, name) for name in "ab")
    assert all(a.allows(text) and not b.allows(text) for text in texts["train"])
    assert all(b.allows(text) and not a.allows(text) for text in (*texts["validation"], *texts["test"]))
    assert {len(text.split()) for text in everything} == {5, 6, 7, 8, 9}


def test_silent_recordings_last_as_long_as_their_sentence() -> None:
    takes = [
        directing.direct(CONFIG, 1, population.plan_clip(CONFIG, f"silent-000_tongue_train-{i}_ultrasound"))
        for i in range(6)
    ]
    assert len({take.plan.n_frames for take in takes}) > 3
    for take in takes:
        assert take.utterance is not None
        assert take.performance is None
        assert 0 <= take.plan.n_frames / 60 - take.utterance.duration_s < 1 / 60
        assert take.utterance.phones[0].arpa == take.utterance.phones[-1].arpa == "SIL"
        with pytest.raises(ValueError, match="nobody is seen"):
            next(take.frames())


def test_the_probe_lies_the_same_within_a_block_and_differently_in_the_next() -> None:
    def rows(number: int) -> float:
        plan = population.plan_clip(CONFIG, f"silent-000_tongue_train-{number}_lips")
        pictures = [
            picture[:, :, 0].astype(float) for picture in directing.direct(CONFIG, 1, plan).articulation_pictures()
        ]
        darkness = 255 - sum(pictures) / len(pictures)
        profile = darkness.mean(axis=1) - darkness[0].mean()
        centre: float = (profile.clip(0) * range(len(profile))).sum() / profile.clip(0).sum()
        return centre

    blocks = [[rows(block * 20 + i) for i in (0, 7, 13)] for block in range(3)]
    within = max(max(block) - min(block) for block in blocks)
    middles = [sum(block) / 3 for block in blocks]
    assert max(middles) - min(middles) > within


def test_utterances_of_an_emotion_are_different_sentences_of_the_ten() -> None:
    spoken = {text.lower().rstrip(".") for text in UTTERANCE_SENTENCES}
    for emotion in ("anger", "neutral"):
        texts = [said(f"train-003_utterance_{emotion}-{take}") for take in range(8)]
        assert len(set(texts)) == 8
        assert set(texts) <= spoken


def test_utterance_speakers_have_voices_of_their_own() -> None:
    clip_ids = [f"train-{number:03d}_utterance_{DELIVERED_EMOTIONS[0]}-0" for number in range(10)]
    takes = [directing.direct(CONFIG, 1, population.plan_clip(CONFIG, clip_id)) for clip_id in clip_ids]
    voices = [take.utterance.request.voice for take in takes if take.utterance is not None]
    assert len(set(voices)) == 10
    assert Counter(voice[0] for voice in voices) == {"f": 5, "m": 5}
    with pytest.raises(ValueError, match="no ultrasound"):
        next(takes[0].articulation_pictures())
