"""Contact sheets of the embedded world: what a person looks at before trusting the numbers made with it.

Every sheet is rendered anew from the generator, larger than the data set, and says that it is synthetic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.data.clips import write_clip
from vultus.data.tables import GROUPS
from vultus.world import directing, performance, population, recording
from vultus.world.camera import portrait_camera
from vultus.world.muscles import AUS
from vultus.world.population import ROLES, ClipPlan, WorldConfig
from vultus.world.render import Frame, FrameState, render_clip
from vultus.world.scene import STYLES, Scene, random_scene
from vultus.world.speech import SAMPLE_RATE_HZ

RGB = NDArray[np.uint8]

AU_NAMES: dict[int, str] = {
    1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser",
    7: "lid tightener", 9: "nose wrinkler", 10: "upper lip raiser", 11: "nasolabial deepener",
    12: "lip corner puller", 14: "dimpler", 15: "lip corner depressor", 16: "lower lip depressor", 17: "chin raiser",
    18: "lip pucker", 19: "tongue show", 20: "lip stretcher", 22: "lip funneler", 23: "lip tightener",
    24: "lip pressor", 25: "lips part", 26: "jaw drop", 27: "mouth stretch", 28: "lip suck", 43: "eyes closed",
}  # fmt: skip

_PAPER, _INK, _GREY = 250, (30, 30, 30), (150, 150, 150)
_NOTE = "SYNTHETIC - vultus embedded world"


def write_sheets(folder: Path, config: WorldConfig, seed: int) -> list[Path]:
    """Draw all sheets into ``folder``, with their captions in ``captions.json``.

    Args:
        folder: is made.
        config: says who lives in the world.
        seed: of the world.

    Returns:
        the files, in the order of a report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    everybody = list(population.subjects(config))
    singles = [subject for subject in everybody if subject.count("-") == 1 and subject.startswith(GROUPS)]
    model = singles[min(3, len(singles) - 1)] if singles else everybody[0]
    made: dict[str, tuple[RGB, str]] = {
        "action_units.jpg": (
            action_units(seed, model),
            "Every action unit of one person at intensities 0 to 5 (FACS A to E = 1 to 5).",
        ),
        "people.jpg": (
            people(seed, [subject for group in GROUPS for subject in _of_group(singles or everybody, group)[:8]]),
            "People of the four groups (up to eight of each), in the light and clothes of a clip.",
        ),
        "domains.jpg": (
            domains(seed, (singles or everybody)[:3]),
            "The same moment of a clip in every rendering style (domain).",
        ),
        "occluders_and_light.jpg": (
            nuisances(seed, (singles or everybody)[:16]),
            "Pose, light, glasses, hands, masks and hair, as they are drawn for spontaneous clips.",
        ),
    }
    plans = [population.plan_clip(config, clip_id) for clip_id in population.clip_ids(config)]
    posed, silent = ([plan for plan in plans if plan.kind == kind] for kind in ("posed", "tongue"))
    if posed:
        made["expressions.jpg"] = (
            expressions(seed, config, posed),
            "Acted expressions at their apex, a row a person; no person is in two styles (domain).",
        )
    if silent:
        made["silent_speech.jpg"] = (
            silent_speech(seed, config, silent[:2]),
            "Silent speech: the tongue in the ultrasound, the lips below it, and the phones that move them.",
        )
    family = next((subject.rsplit("-", 1)[0] for subject in everybody if subject.count("-") == 2), None)
    if family is not None:
        made["family.jpg"] = (
            family_tree(seed, family),
            "A family in three generations: children draw their genes from both parents.",
        )
    captions = {}
    for name, (sheet, caption) in made.items():
        recording.write_picture(folder / name, sheet)
        captions[name] = f"Synthetic. {caption}"
    strip, words = talking(seed, config, model, folder / "talking.mp4")
    recording.write_picture(folder / "talking.jpg", strip)
    captions["talking.jpg"] = f'Synthetic. Frames of the clip beside it and the phones that drive them: "{words}".'
    captions["talking.mp4"] = f'Synthetic. A sentence of the GRID grammar, with sound: "{words}".'
    (folder / "captions.json").write_text(json.dumps(captions, indent=1))
    return [folder / name for name in captions]


def _of_group(subjects: Sequence[str], group: str) -> list[str]:
    return [subject for subject in subjects if subject.startswith(f"{group}-")]


def _shot(
    seed: int, subject: str, scene: Scene, shown: Mapping[int, float] = MappingProxyType({}), yaw: float = 0.0
) -> Frame:
    """One frame of a person; ``shown``: AU -> intensity; ``yaw`` of the head in rad."""
    intensity = np.zeros(len(AUS), np.float32)
    for au, level in shown.items():
        intensity[performance.column(au)] = level
    held = np.array([0, yaw, 0, 0, 0, 0], np.float32)
    state = FrameState(au_intensity=intensity, gaze=np.zeros(2, np.float32), pose=held)
    return next(iter(render_clip(population.person(seed, subject).genes, scene, [state])))


def _studio(size_px: int, view_cm: float = 27.0) -> Scene:
    return Scene(camera=portrait_camera(size_px, view_cm=view_cm, aim_cm=(0.0, -2.5)))


def action_units(seed: int, subject: str, size_px: int = 144) -> RGB:
    """A row an action unit, a column an intensity, in two blocks side by side."""
    blocks = []
    half = (len(AUS) + 1) // 2
    ordered = sorted(AUS)
    for block in (ordered[:half], ordered[half:]):
        rows = []
        for au in block:
            shots = [_shot(seed, subject, _studio(size_px, 19.0), {au: float(level)}).rgb for level in range(6)]
            rows.append(_labelled(np.concatenate(shots, axis=1), f"AU{au} {AU_NAMES[au]}"))
        rows += [np.full_like(rows[0], _PAPER)] * (half - len(rows))
        blocks.append(np.concatenate(rows, axis=0))
    gap = np.full((blocks[0].shape[0], 24, 3), _PAPER, np.uint8)
    return _noted(np.concatenate([blocks[0], gap, blocks[1]], axis=1))


def people(seed: int, subjects: Sequence[str], size_px: int = 176, columns: int = 8) -> RGB:
    """One picture a person, in the scene of a clip without occluders."""
    tiles = []
    for subject in subjects:
        rng = population.stream(seed, subject, "sheet")
        scene = random_scene(rng, size_px=size_px, occluder_rate=0.0, glasses_rate=0.1)
        who = population.person(seed, subject)
        shot = _shot(seed, subject, scene, yaw=float(rng.normal(0, 0.15)))
        tiles.append(_labelled(shot.rgb, f"{subject}, {who.genes.sex} {who.genes.age:.0f}"))
    return _noted(_grid(tiles, columns))


def domains(seed: int, subjects: Sequence[str], size_px: int = 176) -> RGB:
    """A row a person, a column a style; everything but the style is the same."""
    rows = []
    for subject in subjects:
        scene = random_scene(
            population.stream(seed, subject, "sheet"), size_px=size_px, occluder_rate=0, glasses_rate=0
        )
        smile = {6: 2.5, 12: 3.0, 25: 2.0}
        shots = [_labelled(_shot(seed, subject, replace(scene, style=style), smile).rgb, style) for style in STYLES]
        rows.append(np.concatenate(shots, axis=1))
    return _noted(np.concatenate(rows, axis=0))


def nuisances(seed: int, subjects: Sequence[str], size_px: int = 176, columns: int = 8) -> RGB:
    """A frame each of a spontaneous clip with an occluder, and of one without."""
    tiles = []
    for number, subject in enumerate(subjects):
        rng = population.stream(seed, subject, "nuisance")
        scene = random_scene(rng, size_px=size_px, occluder_rate=float(number % 2), glasses_rate=0.3)
        habit = np.array(population.person(seed, subject).habit)
        shown = performance.expression("T4", habit, 12, rng)
        head, eyes = performance.head_pose(12, rng, turned_rad=0.3), performance.gaze(12, rng)
        states = [FrameState(shown[t], eyes[t], head[t]) for t in range(12)]
        shot = list(render_clip(population.person(seed, subject).genes, scene, states))[6]
        tiles.append(_labelled(shot.rgb, ", ".join(thing.kind for thing in scene.occluders) or "no occluder"))
    return _noted(_grid(tiles, columns))


def expressions(seed: int, config: WorldConfig, plans: Sequence[ClipPlan], rows: int = 6) -> RGB:
    """A row a person, the same number of people in each style, a column an emotion, the first take."""
    in_style: dict[str, list[str]] = {}
    for plan in plans:
        people_of_style = in_style.setdefault(plan.domain, [])
        if plan.subject not in people_of_style:
            people_of_style.append(plan.subject)
    chosen = [who for people_of_style in in_style.values() for who in people_of_style[: max(1, rows // len(in_style))]]
    sheet = []
    for subject in chosen:
        takes = {plan.emotion: plan for plan in reversed(plans) if plan.subject == subject}
        shots = []
        for emotion in population.SPOKEN_EMOTIONS:
            shot = next(directing.direct(config, seed, takes[emotion]).frames())
            shots.append(_labelled(shot.rgb, f"{emotion}, {subject}"))
        sheet.append(np.concatenate(shots, axis=1))
    return _noted(np.concatenate(sheet, axis=0))


def silent_speech(seed: int, config: WorldConfig, views: Sequence[ClipPlan], columns: int = 10) -> RGB:
    """Both cameras of a silent sentence at moments spread over it, with the phone of the moment."""
    takes = [directing.direct(config, seed, plan) for plan in views]
    said, n_frames = takes[0].utterance, takes[0].plan.n_frames
    assert said is not None
    moments = np.linspace(0, n_frames - 1, 2 * columns).astype(int)
    clips = [list(take.articulation_pictures()) for take in takes]
    tiles = []
    for t in moments:
        sample = (t + 0.5) / population.TONGUE_FPS * SAMPLE_RATE_HZ
        phone = next((phone.arpa for phone in said.phones if phone.end > sample), "")
        both = [cv2.resize(clip[t], (120, 96), interpolation=cv2.INTER_NEAREST) for clip in clips]
        tiles.append(_labelled(np.concatenate(both, axis=0), phone))
    return _noted(_grid(tiles, columns))


def family_tree(seed: int, family: str, size_px: int = 208) -> RGB:
    """Three generations of a family, with lines from parents to children."""
    label = 22
    places = {
        "grandfather": (0, 0.5), "grandmother": (0, 1.5), "father": (1, 1.0), "mother": (1, 2.0), "daughter": (2, 1.0),
        "son": (2, 2.0),
    }  # fmt: skip
    pitch = size_px + label + 40
    sheet = np.full((3 * pitch, int(3.5 * (size_px + 30)), 3), _PAPER, np.uint8)

    def corner(role: str) -> tuple[int, int]:
        generation, across = places[role]
        return generation * pitch + 10, int(across * (size_px + 30)) + 10

    for role, (_, _, parents) in ROLES.items():
        if parents is None:
            continue
        y, x = corner(role)
        child = (x + size_px // 2, y)
        (y0, x0), (_, x1) = corner(parents[0]), corner(parents[1])
        joint = ((x0 + x1 + size_px) // 2, y0 + size_px // 2)
        bend = y - 16
        cv2.line(sheet, (x0 + size_px // 2, joint[1]), (x1, joint[1]), _GREY, 2, cv2.LINE_AA)
        for start, stop in ((joint, (joint[0], bend)), ((joint[0], bend), (child[0], bend)), ((child[0], bend), child)):
            cv2.line(sheet, start, stop, _GREY, 2, cv2.LINE_AA)
    scene = _studio(size_px)
    for role in ROLES:
        who = population.person(seed, f"{family}-{role}")
        tile = _labelled(_shot(seed, who.subject, scene).rgb, f"{role}, {who.genes.age:.0f}")
        y, x = corner(role)
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return _noted(sheet)


def talking(seed: int, config: WorldConfig, subject: str, video: Path, size_px: int = 256) -> tuple[RGB, str]:
    """Write a talking clip with sound; returns a strip of its frames with the phones, and the words.

    The camera, light and room are the studio's; voice, sentence and movements are those of the person's first clip.
    """
    plan = population.plan_clip(config, f"{subject}_speech_0")
    take = directing.direct(config, seed, plan)
    scene = random_scene(population.stream(seed, subject, "sheet"), size_px=size_px, occluder_rate=0, glasses_rate=0)
    frames = [frame.rgb for frame in replace(take, scene=scene).frames()]
    assert take.utterance is not None
    write_clip(video, frames, plan.fps, take.utterance.wav)
    first, last = take.utterance.words[0].start, take.utterance.words[-1].end
    tiles = []
    for t in np.linspace(first, last, 24, endpoint=False) / SAMPLE_RATE_HZ * plan.fps:
        index = min(int(t), len(frames) - 1)
        sample = (index + 0.5) / plan.fps * SAMPLE_RATE_HZ
        said = next(phone.arpa for phone in take.utterance.phones if phone.end > sample)
        mouth = frames[index][size_px // 2 : size_px - size_px // 8, size_px // 4 : 3 * size_px // 4]
        tiles.append(_labelled(mouth, said))
    return _noted(_grid(tiles, 8)), take.utterance.transcript


def _labelled(tile: RGB, text: str) -> RGB:
    strip = np.full((22, tile.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(
        strip, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, min(0.42, tile.shape[1] / len(text) / 20), _INK, 1, cv2.LINE_AA
    )
    return np.concatenate([strip, tile], axis=0)


def _grid(tiles: Sequence[RGB], columns: int) -> RGB:
    columns = min(columns, len(tiles))
    empty = np.full_like(tiles[0], _PAPER)
    filled = [*tiles, *[empty] * (-len(tiles) % columns)]
    rows = [np.concatenate(filled[i : i + columns], axis=1) for i in range(0, len(filled), columns)]
    return np.concatenate(rows, axis=0)


def _noted(sheet: RGB) -> RGB:
    strip = np.full((24, sheet.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(strip, _NOTE, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _GREY, 1, cv2.LINE_AA)
    return np.concatenate([sheet, strip], axis=0)
