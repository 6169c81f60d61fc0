"""From a clip's plan to everything that the camera and the microphone get: who acts, what they do and say, and where.

A `Take` is a pure function of (seed, session); clips of one session share it but for the camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vultus.world import performance, population, sentences
from vultus.world.camera import Camera, portrait_camera, rig
from vultus.world.muscles import AUS
from vultus.world.performance import Performance
from vultus.world.population import ClipPlan, Kind, Person, WorldConfig, stream
from vultus.world.render import Frame, FrameState, render_clip
from vultus.world.scene import Scene, random_scene
from vultus.world.speech import Utterance, synthesise, voices_of
from vultus.world.tongue import TONGUE_PARAMETERS, lip_pictures, ultrasound_pictures
from vultus.world.visemes import SPEECH_AUS, SpeechMotion, speech_aus

TURNED_RAD: dict[Kind, float] = {
    "spontaneous": 0.16, "speech": 0.09, "emotion": 0.09, "portrait": 0.05, "multiview": 0.06, "domain": 0.22,
}  # fmt: skip
"""Standard deviation of a clip's mean yaw: how far people turn away from the camera in each kind of recording."""

OCCLUDER_RATE: dict[Kind, float] = {"spontaneous": 0.12, "speech": 0.04, "domain": 0.12}
"""Share of clips with a hand, a mask or a lock of hair in front of the face; 0 in the other kinds."""

GLASSES_RATE = 0.12
_TONGUE_PICTURE_SCALE = 4


@dataclass(frozen=True)
class Take:
    """One clip before the camera runs.

    Attributes:
        plan: what is recorded.
        person: who.
        performance: what the face does, (T, ...).
        scene: camera, light, room, occluders, style.
        utterance: what is said, as long as the clip; None where nobody talks.
        motion: the articulation of the utterance.
        seed: of the world.
    """

    plan: ClipPlan
    person: Person
    performance: Performance
    scene: Scene
    utterance: Utterance | None
    motion: SpeechMotion | None
    seed: int

    def frames(self) -> Iterator[Frame]:
        """Render the clip, frame by frame."""
        acted, motion = self.performance, self.motion
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
            ValueError: nobody talks in this clip.
        """
        if self.motion is None:
            raise ValueError(f"{self.plan.clip_id}: nobody talks")
        rng = stream(self.seed, self.plan.clip_id, "probe")
        draw = ultrasound_pictures if self.plan.view == "ultrasound" else lip_pictures
        for picture in draw(self.motion.tongue, rng):
            grey = np.round(255 * picture).astype(np.uint8)
            large = grey.repeat(_TONGUE_PICTURE_SCALE, axis=0).repeat(_TONGUE_PICTURE_SCALE, axis=1)
            yield np.repeat(large[:, :, None], 3, axis=2)


def direct(config: WorldConfig, seed: int, plan: ClipPlan) -> Take:
    """Draw everything about a clip that its plan leaves open."""
    person = population.person(seed, plan.subject)
    utterance = _speak(seed, plan, person) if plan.kind in population.SENTENCE_FRAMES else None
    motion = None if utterance is None else speech_aus(utterance, plan.fps, plan.n_frames)
    return Take(plan, person, _act(seed, plan, person, motion), _set(config, seed, plan), utterance, motion, seed)


def _act(seed: int, plan: ClipPlan, person: Person, motion: SpeechMotion | None) -> Performance:
    rng = stream(seed, plan.session, "expression")
    habit = np.array(person.habit)
    acted = plan.kind == "emotion" or plan.session.endswith("_portrait_0")
    if acted:
        shown = performance.emotional_expression(plan.emotion, plan.n_frames, rng, plan.fps)
    else:
        shown = performance.expression(plan.task, habit, plan.n_frames, rng, plan.fps)
    if motion is not None:
        shown = performance.add_speech(shown, _in_order(motion.au_intensity))
    movement = stream(seed, plan.session, "movement")
    lids, eyes, head = movement.spawn(3)
    shown[:, performance.column(43)] = performance.blinks(plan.n_frames, lids, plan.fps)
    return Performance(
        au_intensity=shown,
        gaze=performance.gaze(plan.n_frames, eyes, plan.fps),
        pose=performance.head_pose(plan.n_frames, head, plan.fps, TURNED_RAD.get(plan.kind, 0.1)),
    )


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
        glasses_rate=GLASSES_RATE if plan.kind != "portrait" else 0.0,
    )
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


def _speak(seed: int, plan: ClipPlan, person: Person) -> Utterance:
    """The clip's sentence in the person's voice, with silence before and after.

    A sentence that would not fit is said faster, as a speaker before a running camera would.
    """
    voices = voices_of(person.genes.sex)
    own = stream(seed, person.subject, "voice")
    voice, pitch_st, rate_wpm = str(own.choice(voices)), float(own.uniform(-2.0, 2.0)), float(own.uniform(125, 160))
    rng = stream(seed, plan.session, "sentence")
    text = _sentence(plan.kind, rng)
    seconds = plan.n_frames / plan.fps
    for _ in range(4):
        said = synthesise(text, voice, rate_wpm=rate_wpm, pitch_st=pitch_st, emotion=plan.emotion)
        room = seconds - said.duration_s
        if room >= 0.3:
            break
        rate_wpm *= said.duration_s / (seconds - 0.4)
    return said.padded(float(rng.uniform(0.12, max(0.13, room - 0.12))), seconds)


def _sentence(kind: Kind, rng: np.random.Generator) -> str:
    if kind == "speech":
        return sentences.grid_sentence(int(rng.integers(sentences.N_GRID_SENTENCES))).spoken
    return str(rng.choice(sentences.CARRIER_SENTENCES if kind == "emotion" else sentences.VARIED_SENTENCES))
