"""Writes the embedded world as a data set on disk: video, sound, pictures and tables, as a real one would come.

    video/CLIP.mp4          H.264, 25 fps (spontaneous 5, tongue 60); with AAC sound where a face talks
    audio/CLIP.wav          16 kHz, 16 bit, mono
    pictures/CLIP.png       portraits and acted expressions
    text/domain_[ab].txt    sentences for language models, in the two domains of silent speech
    geometry/CLIP.npz       depth_cm (T, H, W) float16 and part (T, H, W) uint8 of the multi-view clips
    clips.parquet frames.parquet units.parquet   the tables of ``vultus.data.tables``
    parameters.parquet      exact pose, camera, action units and identity of every frame
    people.parquet          everybody: group, family, parents, generation, sex, age, identity vector
    README.txt              says that all of it is synthetic

A clip is recorded once: its files lie in a cache under a key made of its plan, the seed and the source of
``vultus.world``, and the data set is put together from there. Adding a clip records one clip.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vultus.core.console import track
from vultus.core.processes import one_thread_a_process
from vultus.data import tables
from vultus.data.clips import write_clip
from vultus.world import population, recording
from vultus.world.directing import Take, direct, write_texts
from vultus.world.genes import GENES
from vultus.world.muscles import AUS
from vultus.world.performance import occurrence
from vultus.world.population import ClipPlan, WorldConfig
from vultus.world.render import Frame
from vultus.world.speech import SAMPLE_RATE_HZ, synthesiser
from vultus.world.tongue import TONGUE_PARAMETERS

CACHE = Path(".cache/vultus/world")

_FLOATS = pa.list_(pa.float32())

PARAMETERS = pa.schema([
    pa.field("clip_id", pa.string(), nullable=False, metadata={"meaning": "clip of this frame"}),
    pa.field("frame", pa.int32(), nullable=False, metadata={"meaning": "0-based position in the clip"}),
    # null where no face is seen: au to light
    pa.field("au", _FLOATS, metadata={"meaning": f"intensity 0..5, in the order {', '.join(map(str, AUS))}"}),
    pa.field("gaze_rad", _FLOATS, metadata={"meaning": "yaw and pitch of the eyes in the head"}),
    pa.field("pose", _FLOATS, metadata={"meaning": "pitch, yaw, roll in rad; x, y, z of the head in cm"}),
    pa.field("intrinsics", _FLOATS, metadata={"meaning": "focal length, principal point x and y, in px"}),
    pa.field("camera_to_world", _FLOATS, metadata={"meaning": "4 x 4, row by row; OpenGL axes, cm"}),
    pa.field("light", _FLOATS, metadata={"meaning": "unit direction to the key light, then its linear RGB colour"}),
    pa.field("identity", _FLOATS, metadata={"meaning": f"the person's traits: {', '.join(GENES)}"}),
    pa.field("tongue", _FLOATS, metadata={"meaning": f"articulation 0..1: {', '.join(TONGUE_PARAMETERS)}"}),
])  # fmt: skip

PEOPLE = pa.schema([
    pa.field("subject", pa.string(), nullable=False),
    pa.field("group", pa.string()),
    pa.field("family", pa.string(), metadata={"meaning": "a single person is a family of one"}),
    pa.field("generation", pa.int32(), metadata={"meaning": "0 grandparents, 1 parents, 2 children"}),
    pa.field("father", pa.string()),
    pa.field("mother", pa.string()),
    pa.field("sex", pa.string()),
    pa.field("age", pa.float32(), metadata={"unit": "years"}),
    pa.field("traits", _FLOATS, metadata={"meaning": f"identity vector: {', '.join(GENES)}"}),
    pa.field("alleles", _FLOATS, metadata={"meaning": "the same genes, the father's alleles, then the mother's"}),
])  # fmt: skip

_TABLES = {"clips": tables.CLIPS, "frames": tables.FRAMES, "units": tables.UNITS, "parameters": PARAMETERS}

_README = """SYNTHETIC DATA

Everything in this folder was drawn by a program (vultus.world): the people do not exist, the voices are a speech
synthesiser's, the labels are the numbers that the pictures were drawn from. The column `licence` of clips.parquet says
"synthetic" for every clip. Results on these data say nothing of how a system does on real people.

seed {seed}; {people} people, {clips} clips, {frames} frames of {size} x {size} pixels, {speech} sentences
spoken by {voice}.

video/ audio/ pictures/   media, named by clip id
geometry/                 depth and part masks of the multi-view clips
text/                     sentences for language models, in the two domains of silent speech
clips frames units        tables (parquet), schemas in vultus/data/tables.py
parameters people         exact 3D parameters of every frame; people, families and identity vectors
sheets/                   pictures to look at
"""


@dataclass(frozen=True)
class Written:
    """What `write_world` wrote.

    Attributes:
        clips: clips in the data set.
        frames: rows of ``frames.parquet``.
        people: rows of ``people.parquet``.
        recorded: clips that had to be rendered; the others came from the cache.
    """

    clips: int
    frames: int
    people: int
    recorded: int


def write_world(config: WorldConfig, seed: int, root: Path | str, cache: Path | str = CACHE) -> Written:
    """Write the whole data set into ``root``, replacing what is there.

    Args:
        config: what to record.
        seed: of the world.
        root: folder of the data set.
        cache: folder of finished clips, outside ``root``.
    """
    root, cache = Path(root), Path(cache)
    plans = [population.plan_clip(config, clip_id) for clip_id in population.clip_ids(config)]
    entries = {plan.clip_id: cache / content_key(config, seed, plan) for plan in plans}
    missing = {clip_id: entry for clip_id, entry in entries.items() if not entry.is_dir()}
    _record_missing(config, seed, cache, missing)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as partial:
        folder = Path(partial) / "world"
        folder.mkdir()
        n_frames = _assemble(folder, [entries[plan.clip_id] for plan in plans])
        people = [population.person(seed, subject) for subject in population.subjects(config)]
        pq.write_table(_people_table(people), folder / "people.parquet", compression="zstd")
        spoken = sum(_is_spoken(plan) and plan.view != "ultrasound" for plan in plans)
        if any(plan.kind == "tongue" for plan in plans):
            write_texts(folder / "text", seed)
        (folder / "README.txt").write_text(
            _README.format(
                seed=seed,
                people=len(people),
                clips=len(plans),
                frames=n_frames,
                size=config.size_px,
                speech=spoken,
                voice=synthesiser(),
            )
        )
        if root.exists():
            shutil.rmtree(root)
        folder.rename(root)
    return Written(len(plans), n_frames, len(people), len(missing))


@lru_cache(maxsize=1)
def source_hash() -> str:
    """Hash of everything that decides what a clip looks like: the sources of ``vultus.world``, the writer of films, the
    tables' columns.
    """
    here = Path(__file__).parent
    sources = sorted(path for path in here.glob("*.py") if path.name != "sheets.py") + [here.parent / "data/clips.py"]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for schema in _TABLES.values():  # what a column means may be said better without recording anew
        digest.update(schema.to_string(show_field_metadata=False).encode())
    return digest.hexdigest()


def content_key(config: WorldConfig, seed: int, plan: ClipPlan) -> str:
    """Name of a clip's entry in the cache."""
    voice = synthesiser() if _is_spoken(plan) else None
    facts = [asdict(plan), config.size_px, seed, voice, source_hash()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _is_spoken(plan: ClipPlan) -> bool:
    return plan.kind in (*population.SENTENCE_FRAMES, *population.FACELESS)


def _record_missing(config: WorldConfig, seed: int, cache: Path, missing: Mapping[str, Path]) -> None:
    """Record clips in parallel processes, one person at a time in each; ``missing``: clip id -> entry to make."""
    cache.mkdir(parents=True, exist_ok=True)
    people: dict[str, dict[str, Path]] = {}
    for clip_id, entry in missing.items():
        people.setdefault(clip_id.split("_")[0], {})[clip_id] = entry
    # What takes long goes first and the silent speaker, whom nothing needs to be prepared for, in parts: nobody waits.
    jobs = [clips for subject, clips in people.items() if subject != population.SILENT_SPEAKER]
    silent = list(people.get(population.SILENT_SPEAKER, {}).items())
    jobs += [dict(silent[start : start + _CLIPS_A_JOB]) for start in range(0, len(silent), _CLIPS_A_JOB)]
    description = f"world: recording {len(missing)} clips of {len(people)} people"
    if config.processes == 1 or len(jobs) <= 1:
        for clips in track(jobs, description) if missing else ():
            _record_clips(config, seed, cache, clips)
        return
    with (
        one_thread_a_process(),
        ProcessPoolExecutor(config.processes, get_context("spawn"), cv2.setNumThreads, (1,)) as pool,
    ):
        futures = [pool.submit(_record_clips, config, seed, cache, clips) for clips in jobs]
        try:
            for future in track(as_completed(futures), description, total=len(futures)):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_CLIPS_A_JOB = 32


def _record_clips(config: WorldConfig, seed: int, cache: Path, entries: Mapping[str, Path]) -> None:
    for clip_id, entry in entries.items():
        with tempfile.TemporaryDirectory(prefix="recording-", dir=cache) as partial:
            folder = Path(partial) / "clip"
            folder.mkdir()
            record(direct(config, seed, population.plan_clip(config, clip_id)), folder)
            if not entry.exists():
                folder.rename(entry)


def record(take: Take, folder: Path) -> None:
    """Render one clip into a folder: its media and its rows of each table.

    Args:
        take: from `directing.direct`.
        folder: an empty folder; gets ``picture.png`` or ``video.mp4``, ``audio.wav`` where somebody talks aloud,
            ``geometry.npz`` for multi-view clips, and one parquet file a table.
    """
    plan = take.plan
    is_heard = take.utterance is not None and plan.kind != "tongue"
    sound = take.utterance.wav if take.utterance is not None and is_heard else None
    frames: list[Frame] = []
    size: tuple[int, int] | None = None
    if plan.kind in population.PICTURES:
        frames = list(take.frames())
        size = recording.write_picture(folder / "picture.png", frames[0].rgb)
    elif plan.kind != "utterance":
        pictures = take.articulation_pictures() if plan.kind == "tongue" else _kept(take.frames(), frames)
        size = write_clip(folder / "video.mp4", pictures, plan.fps, sound)
    if sound is not None:
        recording.write_wav(folder / "audio.wav", sound)
    if plan.kind == "multiview":
        np.savez_compressed(
            folder / "geometry.npz",
            depth_cm=np.stack([frame.depth for frame in frames]).astype(np.float16),
            part=np.stack([frame.mask for frame in frames]).astype(np.uint8),
        )
    rows = {
        "clips": [_clip_row(take, size, is_heard)],
        "frames": _frame_rows(take, frames),
        "units": [] if take.utterance is None else [{"clip_id": plan.clip_id, **u} for u in take.utterance.units()],
        "parameters": _parameter_rows(take),
    }
    for name, schema in _TABLES.items():
        pq.write_table(pa.Table.from_pylist(rows[name], schema=schema), folder / f"{name}.parquet")


def _kept(frames: Iterable[Frame], kept: list[Frame]) -> Iterator[Any]:
    for frame in frames:
        kept.append(frame)
        yield frame.rgb


def _clip_row(take: Take, size: tuple[int, int] | None, is_heard: bool) -> dict[str, Any]:
    """Row of ``clips``; ``size``: height and width of the video or picture, None where there is neither."""
    plan, person, said = take.plan, take.person, take.utterance
    is_picture, is_video = plan.kind in population.PICTURES, size is not None and plan.kind not in population.PICTURES
    video = f"pictures/{plan.clip_id}.png" if is_picture else f"video/{plan.clip_id}.mp4" if is_video else None
    seconds = said.duration_s if said is not None and not is_video else plan.n_frames / plan.fps
    return {
        "clip_id": plan.clip_id,
        "dataset": "world",
        "subject": person.subject,
        "session": plan.session,
        "group": plan.group,
        "kind": plan.kind,
        "video": video,
        "audio": f"audio/{plan.clip_id}.wav" if is_heard else None,
        "view": plan.view,
        "fps": plan.fps if is_video else None,
        "n_frames": None if size is None else plan.n_frames,
        "width_px": None if size is None else size[1],
        "height_px": None if size is None else size[0],
        "sample_rate_hz": SAMPLE_RATE_HZ if is_heard else None,
        "duration_s": None if is_picture else seconds,
        "emotion": plan.emotion,
        "transcript": None if said is None else said.transcript,
        "sex": person.genes.sex,
        "age": person.genes.age,
        "father": person.father,
        "mother": person.mother,
        "domain": None if plan.kind in population.FACELESS else plan.domain,
        "licence": "synthetic",
    }


def _frame_rows(take: Take, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Rows of ``frames``; none where no face is seen."""
    if take.performance is None:
        return []
    intensity = take.performance.au_intensity
    present = occurrence(intensity, speaking=take.utterance is not None)
    columns = [(AUS.index(au), tables.occurrence_column(au), tables.intensity_column(au)) for au in tables.ACTION_UNITS]
    rows = []
    for t, frame in enumerate(frames):
        row: dict[str, Any] = {"clip_id": take.plan.clip_id, "frame": t, "time_s": (t + 0.5) / take.plan.fps}
        for index, occurrence_name, intensity_name in columns:
            row[occurrence_name] = int(present[t, index])
            row[intensity_name] = float(intensity[t, index])
        pitch, yaw, roll = map(float, frame.pose[:3])
        row |= {
            "landmarks_68": frame.landmarks_68.astype(np.float32).ravel().tolist(),
            "landmark_visible": frame.visible.tolist(),
            "pitch_rad": pitch,
            "yaw_rad": yaw,
            "roll_rad": roll,
            "box": np.asarray(frame.box, np.float32).tolist(),
            "occluded": bool(frame.occluded),
        }
        rows.append(row)
    return rows


def _parameter_rows(take: Take) -> list[dict[str, Any]]:
    constant: dict[str, Any] = {"clip_id": take.plan.clip_id, "identity": take.person.genes.traits().tolist()}
    if take.scene is not None:
        camera, light = take.scene.camera, take.scene.light
        constant |= {
            "intrinsics": [camera.focal_px, *camera.centre_px],
            "camera_to_world": camera.matrix.ravel().tolist(),
            "light": [*light.key_direction, *light.key_colour],
        }
    rows: list[dict[str, Any]] = [{**constant, "frame": t} for t in range(take.plan.n_frames)]
    acted, motion = take.performance, take.motion
    for t, row in enumerate(rows):
        if acted is not None:
            row |= {"au": acted.au_intensity[t].tolist(), "gaze_rad": acted.gaze[t].tolist()}
            row["pose"] = acted.pose[t].tolist()
        if motion is not None:
            row["tongue"] = motion.tongue[t].tolist()
    return rows


def _people_table(people: Sequence[population.Person]) -> pa.Table:
    rows = [
        {
            "subject": person.subject,
            "group": person.group,
            "family": person.family,
            "generation": person.generation,
            "father": person.father,
            "mother": person.mother,
            "sex": person.genes.sex,
            "age": person.genes.age,
            "traits": person.genes.traits().tolist(),
            "alleles": person.genes.alleles.ravel().tolist(),
        }
        for person in people
    ]
    return pa.Table.from_pylist(rows, schema=PEOPLE)


def _assemble(folder: Path, entries: Sequence[Path]) -> int:
    """Copy the media and join the tables of the clips, in order; returns the number of annotated frames."""
    for name in ("video", "audio", "pictures", "geometry"):
        (folder / name).mkdir()
    writers = {
        name: pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd")
        for name, schema in _TABLES.items()
    }
    n_frames = 0
    try:
        for start in range(0, len(entries), _CLIPS_A_ROW_GROUP):
            batch = entries[start : start + _CLIPS_A_ROW_GROUP]
            for name, schema in _TABLES.items():
                parts = [pq.read_table(entry / f"{name}.parquet", schema=schema) for entry in batch]
                joined = pa.concat_tables(parts)
                writers[name].write_table(joined)
                if name == "frames":
                    n_frames += joined.num_rows
            for entry in batch:
                _copy_media(entry, folder)
    finally:
        for writer in writers.values():
            writer.close()
    return n_frames


_CLIPS_A_ROW_GROUP = 64


def _copy_media(entry: Path, folder: Path) -> None:
    clip_id = pq.read_table(entry / "clips.parquet", columns=["clip_id"])["clip_id"][0].as_py()
    for name, place in (
        ("video.mp4", "video"),
        ("audio.wav", "audio"),
        ("picture.png", "pictures"),
        ("geometry.npz", "geometry"),
    ):
        if (entry / name).exists():
            shutil.copyfile(entry / name, folder / place / f"{clip_id}{Path(name).suffix}")
