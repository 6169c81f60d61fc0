"""From a clip's plan to everything that the camera and the microphone get: who acts, what they do and say, and where.

A `Take` is a pure function of (seed, session); clips of one session share it but for the camera. Silent speech and
emotional utterances have neither a performance nor a scene: nobody is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.world import performance, population, sentences
from vultus.world.camera import Camera, portrait_camera, rig
from vultus.world.delivery import draw_delivery
from vultus.world.muscles import AUS
from vultus.world.performance import Performance
from vultus.world.population import ClipPlan, Kind, Person, WorldConfig, stream
from vultus.world.render import Frame, FrameState, render_clip
from vultus.world.scene import Scene, random_scene
from vultus.world.speech import NEUTRAL_RATE_WPM, Utterance, synthesise, voices_of
from vultus.world.tongue import TONGUE_PARAMETERS, lip_pictures, ultrasound_pictures, uneven
from vultus.world.visemes import SPEECH_AUS, SpeechMotion, speech_aus
from vultus.world.word_chains import WordChain, draw_word_chain

TURNED_RAD: dict[Kind, float] = {
    "spontaneous": 0.16, "speech": 0.09, "emotion": 0.09, "portrait": 0.05, "multiview": 0.06, "domain": 0.22,
    "posed": 0.08,
}  # fmt: skip
"""Standard deviation of a clip's mean yaw: how far people turn away from the camera in each kind of recording."""

OCCLUDER_RATE: dict[Kind, float] = {"spontaneous": 0.12, "speech": 0.04, "domain": 0.12}
"""Share of clips with a hand, a mask or a lock of hair in front of the face; 0 in the other kinds."""

GLASSES_RATE = 0.12

DRAWN_YAW_RAD = float(np.radians(30.0))
"""Acted expressions that are not photographs are seen from up to this far aside, evenly, and in less light."""
DRAWN_EXPOSURE = (0.45, 0.9)

PROBE_BLOCK = 20
"""Silent sentences between two placements of the ultrasound probe and the lip camera."""
PROBE_SHIFT_PX = 1.0
"""Spread of a placement in each direction, in pixels of the ultrasound picture."""
UTTERANCE_DB = -6.0
"""Level of the emotional utterances, so that the loud ones do not clip."""

SILENT_DOMAINS = {"train": "a", "validation": "b", "test": "b", "judge": "b"}
"""List of silent sentences -> domain of its text."""
TEXT_SENTENCES = 3000
"""Sentences of each domain's text, for language models."""

SPECKLE = (0.8, 1.2)
"""Strength of the ultrasound's speckle in a sentence; the lip camera's noise is `LIP_NOISE_SHARE` of it."""
LIP_NOISE_SHARE = 0.3

_TONGUE_PICTURE_SCALE = 2


@dataclass(frozen=True)
class Take:
    """One clip before the camera runs.

    Attributes:
        plan: what is recorded.
        person: who.
        performance: what the face does, (T, ...); None where no face is seen.
        scene: camera, light, room, occluders, style; None where no face is seen.
        utterance: what is said, as long as the clip; None where nobody talks.
        motion: the articulation of the utterance.
        seed: of the world.
    """

    plan: ClipPlan
    person: Person
    performance: Performance | None
    scene: Scene | None
    utterance: Utterance | None
    motion: SpeechMotion | None
    seed: int

    def frames(self) -> Iterator[Frame]:
        """Render the clip, frame by frame.

        Raises:
            ValueError: no face is seen in this clip.
        """
        acted, motion = self.performance, self.motion
        if acted is None or self.scene is None:
            raise ValueError(f"{self.plan.clip_id}: nobody is seen")
        states = [
            FrameState(
                acted.au_intensity[t],
                acted.gaze[t],
                acted.pose[t],
                None if motion is None else dict(zip(TONGUE_PARAMETERS, motion.tongue[t].tolist(), strict=True)),
            )
            for t in range(self.plan.n_frames)
        ]
        return render_clip(self.person.genes, self.scene, states)

    def articulation_pictures(self) -> Iterator[NDArray[np.uint8]]:
        """The ultrasound or lip camera of a silent-speech recording: (H, W, 3) uint8, grey.

        Raises:
            ValueError: this is not such a recording.
        """
        plan = self.plan
        if plan.kind != "tongue" or self.motion is None:
            raise ValueError(f"{plan.clip_id}: no ultrasound of the tongue")
        # Both cameras see the same movements; how the probe lies is the same for a block of sentences.
        seen = uneven(self.motion.tongue, stream(self.seed, plan.session, "utterance"))
        block = str(int(plan.session.rsplit("-", 1)[1]) // PROBE_BLOCK)
        placed = stream(self.seed, plan.subject, plan.group, block, str(plan.view)).normal(0.0, PROBE_SHIFT_PX, 2)
        rng = stream(self.seed, plan.clip_id, "speckle")
        speckle = float(rng.uniform(*SPECKLE))
        if plan.view == "ultrasound":
            pictures = ultrasound_pictures(seen, rng, speckle, placed)
        else:
            pictures = lip_pictures(seen, rng, LIP_NOISE_SHARE * speckle, placed)
        for picture in pictures:
            grey = np.round(255 * picture).astype(np.uint8)
            large = grey.repeat(_TONGUE_PICTURE_SCALE, axis=0).repeat(_TONGUE_PICTURE_SCALE, axis=1)
            yield np.repeat(large[:, :, None], 3, axis=2)


def direct(config: WorldConfig, seed: int, plan: ClipPlan) -> Take:
    """Draw everything about a clip that its plan leaves open."""
    person = population.person(seed, plan.subject)
    if plan.kind == "utterance":
        return Take(plan, person, None, None, _speak_with_emotion(seed, plan, person), None, seed)
    if plan.kind == "tongue":
        utterance = _speak_silently(seed, plan, person)
        plan = replace(plan, n_frames=math.ceil(utterance.duration_s * plan.fps))
        return Take(plan, person, None, None, utterance, speech_aus(utterance, plan.fps, plan.n_frames), seed)
    said = _speak(seed, plan, person) if plan.kind in population.SENTENCE_FRAMES else None
    motion = None if said is None else speech_aus(said, plan.fps, plan.n_frames)
    return Take(plan, person, _act(seed, plan, person, motion), _set(config, seed, plan), said, motion, seed)


def _act(seed: int, plan: ClipPlan, person: Person, motion: SpeechMotion | None) -> Performance:
    rng = stream(seed, plan.session, "expression")
    habit = np.array(person.habit)
    acted = plan.kind == "emotion" or plan.session.endswith("_portrait_0")
    if plan.kind == "posed":
        shown = performance.posed_expression(plan.emotion, rng)
    elif acted:
        shown = performance.emotional_expression(plan.emotion, plan.n_frames, rng, plan.fps)
    else:
        shown = performance.expression(plan.task, habit, plan.n_frames, rng, plan.fps)
    if motion is not None:
        shown = performance.add_speech(shown, _in_order(motion.au_intensity))
    movement = stream(seed, plan.session, "movement")
    lids, eyes, head = movement.spawn(3)
    pose = performance.head_pose(plan.n_frames, head, plan.fps, TURNED_RAD.get(plan.kind, 0.1))
    if plan.kind != "posed":  # nobody is pictured in the middle of a blink
        shown[:, performance.column(43)] = performance.blinks(plan.n_frames, lids, plan.fps)
    elif plan.domain != "photo":
        pose[:, 1] = movement.uniform(-DRAWN_YAW_RAD, DRAWN_YAW_RAD)
    return Performance(au_intensity=shown, gaze=performance.gaze(plan.n_frames, eyes, plan.fps), pose=pose)


def _in_order(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns of `SPEECH_AUS` -> columns of ``muscles.AUS``."""
    ordered = np.zeros((len(speech), len(AUS)), np.float32)
    ordered[:, [AUS.index(au) for au in SPEECH_AUS]] = speech
    return ordered


def _set(config: WorldConfig, seed: int, plan: ClipPlan) -> Scene:
    scene = random_scene(
        stream(seed, plan.session, "scene"),
        camera=_close_up(config.size_px, stream(seed, plan.session, "camera")),
        style=plan.domain,
        occluder_rate=OCCLUDER_RATE.get(plan.kind, 0.0),
        glasses_rate=GLASSES_RATE if plan.kind not in population.PICTURES else 0.0,
    )
    if plan.kind == "posed" and plan.domain != "photo":
        dim = float(stream(seed, plan.session, "exposure").uniform(*DRAWN_EXPOSURE))
        scene = replace(scene, sensor=replace(scene.sensor, exposure=dim * scene.sensor.exposure))
    if plan.kind != "multiview" or plan.view is None:
        return scene
    cameras = rig(scene.camera, tuple(population.VIEWS.values()))
    return replace(scene, camera=cameras[list(population.VIEWS).index(plan.view)])


def _close_up(size_px: int, rng: np.random.Generator) -> Camera:
    """A camera as face corpora use it: from the chin to the hair, at 60 to 110 cm."""
    return portrait_camera(
        size_px,
        distance_cm=float(rng.uniform(60, 110)),
        view_cm=float(rng.uniform(23, 28)),
        aim_cm=(float(rng.normal(0, 0.6)), float(rng.normal(-2.2, 0.5))),
    )


def _voice(seed: int, person: Person) -> tuple[str, float, float]:
    """Name of the person's voice, its pitch in semitones and its rate in words per minute.

    Voices are given out in turn, so that the first twenty single people of a group have different ones.
    """
    voices = voices_of(person.genes.sex)
    own = stream(seed, person.subject, "voice")
    number = int(person.subject.split("-")[1])
    return voices[number // 2 % len(voices)], float(own.uniform(-1.0, 1.0)), float(own.uniform(125, 160))


def _speak(seed: int, plan: ClipPlan, person: Person) -> Utterance:
    """The clip's sentence in the person's voice, with silence before and after.

    A sentence that would not fit is said faster, as a speaker before a running camera would.
    """
    voice, pitch_st, rate_wpm = _voice(seed, person)
    rng = stream(seed, plan.session, "sentence")
    if plan.kind == "speech":
        text = sentences.draw_grid_sentence(plan.group, rng).spoken
    else:
        text = str(rng.choice(sentences.CARRIER_SENTENCES))
    seconds = plan.n_frames / plan.fps
    for _ in range(4):
        said = synthesise(text, voice, rate_wpm=rate_wpm, pitch_st=pitch_st, emotion=plan.emotion)
        room = seconds - said.duration_s
        if room >= 0.3:
            break
        rate_wpm *= said.duration_s / (seconds - 0.4)
    return said.padded(float(rng.uniform(0.12, max(0.13, room - 0.12))), seconds)


def _speak_with_emotion(seed: int, plan: ClipPlan, person: Person) -> Utterance:
    """One of ten sentences in one of seven emotions, with the melody and the confounders of ``delivery``."""
    voice, pitch_st, _ = _voice(seed, person)
    # The takes of a person's emotion have different sentences: the permutation is theirs together.
    order = stream(seed, plan.subject, "utterances", plan.emotion).permutation(len(sentences.UTTERANCE_SENTENCES))
    text = sentences.UTTERANCE_SENTENCES[order[int(plan.session.rsplit("-", 1)[1])]]
    rng = stream(seed, plan.session, "delivery")
    how = draw_delivery(plan.emotion, len(text.split()), rng)
    said = synthesise(
        text,
        voice,
        rate_wpm=float(np.clip(NEUTRAL_RATE_WPM * how.rate_scale, 80, 450)),
        pitch_st=pitch_st + how.level_st,
        range_scale=how.range_scale,
        melody_st=how.word_pitch_st,
        gain_db=UTTERANCE_DB + how.gain_db,
    )
    return _between_silences(said, rng)


def _speak_silently(seed: int, plan: ClipPlan, person: Person) -> Utterance:
    """A sentence of the list's domain, at a pace of its own; of the sound only the times are used."""
    voice, pitch_st, _ = _voice(seed, person)
    rng = stream(seed, plan.session, "sentence")
    text = word_chain(seed, SILENT_DOMAINS[plan.group]).sentence(rng, spoken=True)
    said = synthesise(text, voice, rate_wpm=float(rng.uniform(150, 200)), pitch_st=pitch_st)
    return _between_silences(said, rng)


def _between_silences(said: Utterance, rng: np.random.Generator) -> Utterance:
    """With 0.2 to 0.4 s of silence before and after."""
    before, after = rng.uniform(0.2, 0.4, 2)
    return said.padded(float(before), float(before) + said.duration_s + float(after))


def write_texts(folder: Path, seed: int) -> None:
    """Write the text of both domains of silent speech, ``domain_a.txt`` and ``domain_b.txt``, a sentence a line.

    No spoken sentence is among them: see ``word_chains``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(set(SILENT_DOMAINS.values())):
        chain, rng = word_chain(seed, name), stream(seed, "text", name)
        lines = [chain.sentence(rng, spoken=False) for _ in range(TEXT_SENTENCES)]
        (folder / f"domain_{name}.txt").write_text("".join(line + "\n" for line in lines))


@lru_cache(maxsize=8)
def word_chain(seed: int, domain: str) -> WordChain:
    """The domain ``a`` or ``b`` of a world."""
    return draw_word_chain(stream(seed, "words", domain))
