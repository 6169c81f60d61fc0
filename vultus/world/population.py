"""Who lives in the embedded world, and which clips are recorded of them.

Every person is a pure function of (seed, subject id) and every clip of (seed, clip id): asking for more people or more
clips changes none of the others. Ids carry everything that is not drawn:

    train-003                       the third single person of the group "train"
    train-f02-daughter              a member of the second family of that group
    train-003_spontaneous_T1-0      SUBJECT_KIND_LABEL, label = task and take
    test-001_multiview_0_left       SUBJECT_KIND_LABEL_VIEW, the cameras of one recording
    train-004_posed_fear-1_sketch   a picture carries its rendering style in the place of the view
    silent-000_tongue_test-17_lips  the one speaker of silent speech; what precedes the number is the list of sentences

Groups are made of whole families, so that a judge never sees a relative of a person it scores.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from vultus.data.tables import GROUPS
from vultus.world import genes, performance
from vultus.world.delivery import DELIVERED_EMOTIONS
from vultus.world.genes import Genes, Sex
from vultus.world.performance import TASKS
from vultus.world.scene import STYLES, Style
from vultus.world.sentences import UTTERANCE_SENTENCES

Kind = Literal["spontaneous", "speech", "emotion", "utterance", "posed", "portrait", "multiview", "domain", "tongue"]

ROLES: dict[str, tuple[Sex, tuple[int, int], tuple[str, str] | None]] = {
    "grandfather": ("male", (60, 74), None),
    "grandmother": ("female", (58, 72), None),
    "father": ("male", (36, 46), ("grandfather", "grandmother")),
    "mother": ("female", (34, 44), None),
    "daughter": ("female", (18, 22), ("father", "mother")),
    "son": ("male", (18, 22), ("father", "mother")),
}
"""Member of a family -> sex, range of ages, parents. Three generations; the mother marries in."""

SPOKEN_EMOTIONS = ("happiness", "sadness", "anger", "surprise", "fear", "disgust", "neutral")
"""Emotions of the clip kinds ``emotion`` and ``posed``, in the order in which clips are given out."""

VIEWS: dict[str, float] = {"left": -0.5, "front": 0.0, "right": 0.5}
"""Cameras of a multi-view recording and their place on the circle around the head, rad."""

TONGUE_VIEWS = ("ultrasound", "lips")
TONGUE_FPS = 60.0
SILENT_SPEAKER = "silent-000"
"""The one speaker of silent speech, who belongs to no group: there sentences are divided, not people."""

SENTENCE_FRAMES = {"speech": 75, "emotion": 100}
"""Length of the clips in which a face says a sentence; GRID's is 75 frames."""

FACELESS: tuple[Kind, ...] = ("utterance", "tongue")
"""Kinds in which no face is seen; they last as long as their sentence."""

PICTURES: tuple[Kind, ...] = ("portrait", "posed")
"""Kinds that are single pictures."""

_CLIP_ID = re.compile(
    rf"(?P<subject>[a-z0-9-]+)_(?P<kind>{'|'.join(get_args(Kind))})"
    r"_(?P<label>(?P<what>[A-Za-z0-9]+)(-\d+)?)(_(?P<view>[a-z]+))?"
)


@dataclass(frozen=True)
class PerGroup:
    """A number for each group: of people, clips or sentences."""

    train: int = 0
    validation: int = 0
    test: int = 0
    judge: int = 0

    def __post_init__(self) -> None:
        if min(self.of(group) for group in GROUPS) < 0:
            raise ValueError(f"a group cannot have fewer than 0: {self}")

    def of(self, group: str) -> int:
        """The number for one of ``tables.GROUPS``."""
        return int(getattr(self, group))


@dataclass(frozen=True)
class WorldConfig:
    """The section ``world`` of params.yaml; the defaults are the embedded preset."""

    size_px: int = 128
    """Side of the square frames."""
    people: PerGroup = field(default_factory=lambda: PerGroup(train=32, validation=8, test=12, judge=24))
    """Single people; all of them record the kinds ``spontaneous`` and ``speech``."""
    extra_people: PerGroup = field(default_factory=lambda: PerGroup(train=4, validation=1, test=2, judge=1))
    """How many of them also record ``emotion``, ``multiview`` and ``domain``."""
    families: PerGroup = field(default_factory=lambda: PerGroup(train=4, validation=1, test=2, judge=1))
    """Families of six in three generations, who sit for portraits."""
    spontaneous_clips: PerGroup = field(default_factory=lambda: PerGroup(train=16, validation=16, test=16, judge=6))
    """Clips a person of spontaneous behaviour; the tasks T1..T8 in turn. Every clip has its own light, room and pose:
    many short clips teach more than few long ones."""
    spontaneous_frames: int = 16
    """Frames of each."""
    spontaneous_fps: float = 5.0
    """Their rate. Action units last one to seven seconds, so neighbours at 25 frames/s are near-duplicates; at 5 a clip
    of 16 frames shows three seconds at the price of 0.6. Systems that look at motion have the other kinds, at 25."""
    speech_clips: PerGroup = field(default_factory=lambda: PerGroup(train=2, validation=2, test=2, judge=8))
    """Sentences of the GRID grammar a person, 75 frames (3 s) each. No two groups share a sentence."""
    emotion_clips: int = 2
    """Emotional sentences of each of the extra people."""
    multiview_clips: int = 1
    """Recordings with three calibrated cameras, depth and masks, of each of the extra people."""
    multiview_frames: int = 20
    """Frames of each camera."""
    domain_clips: int = 1
    """Recordings in each rendering style, of each of the extra people."""
    domain_frames: int = 10
    """Frames of each."""
    utterance_people: PerGroup = field(default_factory=lambda: PerGroup(train=10))
    """How many of the single people also speak emotional utterances, sound alone; half of them women."""
    utterance_takes: int = 8
    """Utterances of each of them in each of seven emotions; the sentences are among ten."""
    tongue_sentences: PerGroup = field(default_factory=lambda: PerGroup(train=120, validation=20, test=60))
    """Silent sentences of one speaker in each list, with ultrasound of the tongue and a lip camera."""
    posed_takes: PerGroup = field(default_factory=lambda: PerGroup(train=6, judge=2))
    """Pictures a single person of each of seven acted emotions at its apex."""
    posed_styles: tuple[Style, ...] = ("photo", "sketch", "infrared")
    """Rendering styles in which the people of the group train sit in turn, so that no person is in two; the other
    groups are photographed."""
    portraits: int = 2
    """Pictures of each member of a family."""
    processes: int = 2
    """Clips that are rendered at the same time; the result does not depend on it."""

    def __post_init__(self) -> None:
        if self.size_px % 2 or self.size_px < 32:
            raise ValueError(f"size_px is {self.size_px}; it must be even and at least 32")
        if self.spontaneous_fps < 1:
            raise ValueError(f"spontaneous_fps is {self.spontaneous_fps}; it must be 1 or more")
        if self.utterance_takes > len(UTTERANCE_SENTENCES):
            raise ValueError(
                f"utterance_takes is {self.utterance_takes}; there are {len(UTTERANCE_SENTENCES)} sentences"
            )
        if not self.posed_styles or set(self.posed_styles) - set(STYLES):
            raise ValueError(f"posed_styles is {self.posed_styles}; choose among {', '.join(STYLES)}")
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        wrong = [name for name, value in counts.items() if value < (1 if name in _AT_LEAST_ONE else 0)]
        if wrong:
            raise ValueError(f"{wrong[0]} is {counts[wrong[0]]}; it must be {int(wrong[0] in _AT_LEAST_ONE)} or more")


_AT_LEAST_ONE = ("spontaneous_frames", "multiview_frames", "domain_frames", "processes")


@dataclass(frozen=True)
class Person:
    """One inhabitant.

    Attributes:
        subject: id.
        group: one of ``tables.GROUPS``; None for the speaker of silent speech.
        family: id of the family; a single person is a family of one.
        genes: shape, skin, hair, sex and age.
        habit: personal inclination to each AU, see ``performance.habits``.
        father, mother: subject ids, or None where they are not part of the world.
        generation: 0 grandparents, 1 parents and the mother who marries in, 2 children; 0 for a single person.
    """

    subject: str
    group: str | None
    family: str
    genes: Genes
    habit: tuple[float, ...]
    father: str | None = None
    mother: str | None = None
    generation: int = 0


@dataclass(frozen=True)
class ClipPlan:
    """What is recorded in a clip; everything else is drawn from (seed, session).

    Attributes:
        clip_id: id.
        subject: who.
        group: one of ``tables.GROUPS``: the person's, or the list that a silent sentence belongs to.
        kind: which sort of recording.
        session: the recording this clip belongs to; clips of one session differ by their camera alone.
        n_frames: length; 0 where the sentence decides it.
        fps: frames per second.
        task: one of ``TASKS`` or "speech".
        emotion: one of ``tables.EMOTIONS``.
        domain: rendering style.
        view: name of the camera, or None.
    """

    clip_id: str
    subject: str
    group: str
    kind: Kind
    session: str
    n_frames: int
    fps: float
    task: str
    emotion: str
    domain: Style
    view: str | None = None


def stream(seed: int, *name: str) -> np.random.Generator:
    """The generator that belongs to (seed, name). Unlike ``core.seeds`` this imports no torch: renderers need it."""
    digest = hashlib.sha256("\0".join((str(seed), *name)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def subjects(config: WorldConfig) -> Iterator[str]:
    """Ids of everybody: per group the single people, then the families."""
    for group in GROUPS:
        yield from (f"{group}-{number:03d}" for number in range(config.people.of(group)))
        for family in range(config.families.of(group)):
            yield from (f"{group}-f{family:02d}-{role}" for role in ROLES)
    if any(config.tongue_sentences.of(group) for group in GROUPS):
        yield SILENT_SPEAKER


@lru_cache(maxsize=256)
def person(seed: int, subject: str) -> Person:
    """The inhabitant with this id, the same in every world with this seed.

    Raises:
        ValueError: not an id of the form ``GROUP-NUMBER`` or ``GROUP-fNUMBER-ROLE``, nor `SILENT_SPEAKER`.
    """
    group, *rest = subject.split("-")
    if (
        (group not in GROUPS and subject != SILENT_SPEAKER)
        or len(rest) not in (1, 2)
        or (len(rest) == 2 and rest[1] not in ROLES)
    ):
        raise ValueError(f"{subject!r} is no subject id")
    rng = stream(seed, subject, "genes")
    habit = tuple(performance.habits(stream(seed, subject, "habits")).tolist())
    if len(rest) == 1:
        sex: Sex = "female" if int(rest[0]) % 2 == 0 else "male"
        age = float(rng.integers(18, 66))
        return Person(subject, group if group in GROUPS else None, subject, genes.founder(rng, sex, age), habit)
    family = f"{group}-{rest[0]}"
    sex, ages, parents = ROLES[rest[1]]
    age = float(rng.integers(ages[0], ages[1] + 1))
    if parents is None:
        generation = 1 if rest[1] == "mother" else 0
        return Person(subject, group, family, genes.founder(rng, sex, age), habit, generation=generation)
    father, mother = (f"{family}-{role}" for role in parents)
    inherited = genes.child_of(person(seed, father).genes, person(seed, mother).genes, rng, sex, age)
    return Person(subject, group, family, inherited, habit, father, mother, 1 if rest[1] == "father" else 2)


def clip_ids(config: WorldConfig) -> list[str]:
    """Ids of every clip of a world, in the order of its tables."""
    ids = []
    for subject in subjects(config):
        if subject == SILENT_SPEAKER:
            ids += [
                f"{subject}_tongue_{group}-{number}_{view}"
                for group in GROUPS
                for number in range(config.tongue_sentences.of(group))
                for view in TONGUE_VIEWS
            ]
            continue
        group, *rest = subject.split("-")
        if len(rest) == 2:
            ids += [f"{subject}_portrait_{take}" for take in range(config.portraits)]
            continue
        tasks = list(TASKS)
        ids += [f"{subject}_spontaneous_{tasks[i % 8]}-{i // 8}" for i in range(config.spontaneous_clips.of(group))]
        ids += [f"{subject}_speech_{take}" for take in range(config.speech_clips.of(group))]
        number = int(rest[0])
        style = config.posed_styles[number % len(config.posed_styles)] if group == "train" else "photo"
        ids += [
            f"{subject}_posed_{emotion}-{take}_{style}"
            for emotion in SPOKEN_EMOTIONS
            for take in range(config.posed_takes.of(group))
        ]
        if number < config.utterance_people.of(group):
            takes = range(config.utterance_takes)
            ids += [f"{subject}_utterance_{emotion}-{take}" for emotion in DELIVERED_EMOTIONS for take in takes]
        if number < config.extra_people.of(group):
            emotions = [SPOKEN_EMOTIONS[(2 * number + i) % len(SPOKEN_EMOTIONS)] for i in range(config.emotion_clips)]
            ids += [f"{subject}_emotion_{emotion}-{take}" for take, emotion in enumerate(emotions)]
            ids += [f"{subject}_multiview_{take}_{view}" for take in range(config.multiview_clips) for view in VIEWS]
            ids += [f"{subject}_domain_{style}-{take}" for take in range(config.domain_clips) for style in STYLES]
    return ids


def plan_clip(config: WorldConfig, clip_id: str) -> ClipPlan:
    """What the clip with this id is. Lengths come from the settings, all else from the id.

    Raises:
        ValueError: not an id of the form ``SUBJECT_KIND_LABEL`` or ``SUBJECT_KIND_LABEL_VIEW``.
    """
    match = _CLIP_ID.fullmatch(clip_id)
    if match is None:
        raise ValueError(f"{clip_id!r} is no clip id")
    subject, kind, what, view = match["subject"], match["kind"], match["what"], match["view"]
    plan = ClipPlan(
        clip_id,
        subject,
        group=what if kind == "tongue" else subject.split("-")[0],
        kind=kind,  # type: ignore[arg-type]
        session=f"{subject}_{kind}_{match['label']}",
        n_frames=0,
        fps=TONGUE_FPS if kind == "tongue" else 25.0,
        task="speech",
        emotion="neutral",
        domain="photo",
        view=view,
    )
    if kind in (*SENTENCE_FRAMES, *FACELESS):
        emotion = what if kind in ("emotion", "utterance") else "neutral"
        return replace(plan, emotion=emotion, n_frames=SENTENCE_FRAMES.get(kind, 0))
    if kind == "posed":
        # The style is a part of the session: one face in two styles makes two sittings.
        return replace(plan, session=clip_id, emotion=what, n_frames=1, domain=view, view=None)  # type: ignore[arg-type]
    if kind == "spontaneous":
        frames, fps = config.spontaneous_frames, config.spontaneous_fps
        return replace(plan, task=what, emotion=TASKS[what], n_frames=frames, fps=fps)
    # The other kinds show whatever the person happens to do: a task that the id decides.
    task = list(TASKS)[hashlib.sha256(plan.session.encode()).digest()[0] % len(TASKS)]
    frames = {"multiview": config.multiview_frames, "domain": config.domain_frames, "portrait": 1}[kind]
    domain: Style = what if kind == "domain" else "photo"  # type: ignore[assignment]
    return replace(plan, task=task, emotion=TASKS[task], n_frames=frames, domain=domain)
