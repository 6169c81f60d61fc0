"""A trained action unit system on anybody's videos and pictures: what ``vultus detect`` runs.

Frames are decoded one by one; each is searched for faces anew, so that a frame gives the same numbers in a film, alone
or in any batch. Faces are aligned as the crops of the training were, read by the system in batches, and written at
once: memory does not grow with the length of a film.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.data.media import PICTURES_FPS, kind_of, probe, read_frames
from vultus.detect.film import Film
from vultus.detect.head_pose import camera_matrix, head_pose
from vultus.detect.reader import AuReader
from vultus.detect.seen import SeenFace, SeenFrame
from vultus.detect.table import AuTable
from vultus.detect.tracks import FaceTracks
from vultus.face.alignment import alignment_matrix, warp_face
from vultus.face.detection import FaceDetector

SINGLE_PICTURES_FPS = 1.0
"""Rate of the annotated film of single pictures."""


@dataclass
class Totals:
    """What was done."""

    frames: int = 0
    faces: int = 0
    without_face: int = 0


def detect(
    inputs: Sequence[Path],
    reader: AuReader,
    detector: FaceDetector,
    out: Path,
    *,
    film: Path | None = None,
    focal_px: float | None = None,
    batch_size: int = 16,
) -> Totals:
    """Find faces, read their action units, write the table and, if asked for, the film.

    When a file breaks off, the rows up to there stay in the table.

    Args:
        inputs: videos, pictures, folders of numbered pictures.
        reader: the trained system.
        detector: finds faces in single pictures.
        out: the table, ``.csv``.
        film: annotated film, ``.mp4``; its size and rate are those of the first input.
        focal_px: of the camera; None for the assumption of `vultus.detect.head_pose`.
        batch_size: faces that the system reads at once.

    Raises:
        UserError: an input is missing, is no picture or video, or cannot be decoded.
    """
    check_inputs(inputs)
    for path in (out, film):
        if path is not None and any(path.resolve() == given.resolve() for given in inputs):
            raise UserError(f"{path} is an input: name another file for the result")
    totals = Totals()
    with ExitStack() as opened:
        table = opened.enter_context(AuTable(out, reader.aus, reader.has_intensity))
        drawn = opened.enter_context(Film(film, _film_fps(inputs[0]))) if film else None
        frames = (frame for path in inputs for frame in find_faces(path, reader.aligned_px, detector, focal_px))
        for frame in read_in_batches(frames, reader, batch_size):
            table.write(frame)
            if drawn is not None:
                drawn.write(frame, reader.aus)
            totals.frames += 1
            totals.faces += len(frame.faces)
            totals.without_face += not frame.faces
    return totals


def check_inputs(inputs: Sequence[Path]) -> None:
    """Refuse what is missing or of no known kind before anything is loaded.

    Raises:
        UserError: names the first such input.
    """
    if not inputs:
        raise UserError("no input: name videos, pictures or folders of numbered pictures")
    for path in inputs:
        if not path.exists():
            raise UserError(f"{path} is missing: correct its path")
        if kind_of(path) in (None, "sound"):
            raise UserError(f"{path} is no video and no picture: give one, or a folder of numbered pictures")


def _film_fps(path: Path) -> float:
    info = probe(path)
    return SINGLE_PICTURES_FPS if info.kind == "picture" else info.fps or PICTURES_FPS


def find_faces(path: Path, aligned_px: int, detector: FaceDetector, focal_px: float | None) -> Iterator[SeenFrame]:
    """The frames of an input with their faces, not yet read."""
    tracks, start_s = FaceTracks(), 0.0
    decoded = track(read_frames(path), path.name, total=probe(path).n_frames)
    for number, (_, time_s, rgb) in enumerate(decoded, start=1):
        start_s = time_s if number == 1 else start_s
        camera = camera_matrix(rgb.shape[1], rgb.shape[0], focal_px)
        aligned = [(found, alignment_matrix(found.landmarks_68, aligned_px)) for found in detector.detect(rgb)]
        usable = [(found, matrix) for found, matrix in aligned if np.isfinite(matrix).all()]
        numbers = tracks.assign([found.landmarks_68 for found, _ in usable])
        faces = [
            SeenFace(
                face_id,
                found.landmarks_68,
                found.score,
                head_pose(found.landmarks_68, camera),
                warp_face(rgb, matrix, aligned_px),
                matrix,
            )
            for face_id, (found, matrix) in zip(numbers, usable, strict=True)
        ]
        yield SeenFrame(path, number, time_s - start_s, rgb, camera, faces)


def read_in_batches(frames: Iterator[SeenFrame], reader: AuReader, batch_size: int) -> Iterator[SeenFrame]:
    """The frames in their order, with their faces read; never more than a batch of them is held."""
    waiting: deque[SeenFrame] = deque()
    try:
        for frame in frames:
            waiting.append(frame)
            if sum(len(held.faces) for held in waiting) >= batch_size or len(waiting) >= batch_size:
                yield from _read(waiting, reader, batch_size)
    except UserError:  # a file that breaks off: what came before it counts
        yield from _read(waiting, reader, batch_size)
        raise
    yield from _read(waiting, reader, batch_size)


def _read(waiting: deque[SeenFrame], reader: AuReader, batch_size: int) -> Iterator[SeenFrame]:
    faces = [face for frame in waiting for face in frame.faces]
    for start in range(0, len(faces), batch_size):
        batch = faces[start : start + batch_size]
        readings = reader.read(
            np.stack([face.aligned for face in batch]),
            np.stack([face.landmarks_68 for face in batch]),
            np.stack([face.matrix for face in batch]),
        )
        for face, reading in zip(batch, readings, strict=True):
            face.reading = reading
    while waiting:
        yield waiting.popleft()
