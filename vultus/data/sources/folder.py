"""A user's own recordings: videos, pictures and sound in any nesting, without labels.

Every video, picture and sound becomes a clip named by its path; a sound beside a video or picture of the same name is
that clip's sound; a folder whose pictures have nothing but numbers for names (``0001.jpg``) is one clip. Side files of
the same name are read where they lie, or under ``alignments`` as GRID unpacks them: ``.align`` (GRID's word times, in
1/25000 s) and ``.pts`` (68 landmarks, counted from 1). Other files are no media and are passed over.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.data.media import PICTURE_SUFFIXES, MediaError, MediaInfo, kind_of, probe
from vultus.data.sources.rows import ClipRows, frame_table, quarantined, relative

ALIGN_UNITS_PER_S = 25_000
"""GRID's word times; 1000 units are one video frame."""

_SILENCE = ("sil", "sp")
_SIDE_SUFFIXES = (".align", ".pts")


@dataclass(frozen=True)
class Options:
    """Options of the source ``folder``."""

    subject_from: Literal["none", "folder"] = "none"
    """``folder``: the name of the folder that holds the file is the person."""
    licence: str | None = None
    """Licence of the recordings, noted with every clip."""


@dataclass
class _Recording:
    """The files of one clip; ``visual`` is a video, a picture or a folder of numbered pictures."""

    visual: Path | None = None
    sound: Path | None = None
    sides: dict[str, Path] = field(default_factory=dict)

    @property
    def main(self) -> Path:
        path = self.visual or self.sound
        assert path is not None
        return path


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every recording below ``root``, by name."""
    recordings, sides = _find(root)
    orphans = _attach(sides, recordings)
    reason = "belongs to no recording: restore the recording of that name"
    yield ClipRows(quarantine=[quarantined("clips", relative(path, root), reason) for path in orphans])
    for clip_id, recording in sorted(_named(root, recordings).items()):
        yield _read_clip(root, clip_id, recording, options)


def _find(root: Path) -> tuple[list[_Recording], list[Path]]:
    """Recordings and side files below ``root``; hidden files are passed over."""
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            folders[path.parent].append(path)
    recordings: list[_Recording] = []
    for folder, paths in folders.items():
        pictures = [p for p in paths if p.suffix.lower() in PICTURE_SUFFIXES]
        numbered = len(pictures) > 1 and all(p.stem.isdecimal() for p in pictures)
        visual = [p for p in paths if kind_of(p) == "video" or (kind_of(p) == "picture" and not numbered)]
        sounds = [p for p in paths if kind_of(p) == "sound"]
        namesakes = Counter(p.stem for p in (*visual, *sounds))
        sound_of = {p.stem: p for p in sounds}
        for path in visual:
            # A name that more than one video and one sound share says nothing of what belongs together.
            sound = sound_of.get(path.stem) if namesakes[path.stem] == 2 else None
            recordings.append(_Recording(path, sound))
        paired = {r.sound for r in recordings}
        recordings += [_Recording(sound=p) for p in sounds if p not in paired]
        recordings += [_Recording(folder)] if numbered else []
    sides = [p for paths in folders.values() for p in paths if p.suffix.lower() in _SIDE_SUFFIXES]
    return recordings, sides


def _attach(sides: list[Path], recordings: list[_Recording]) -> list[Path]:
    """Give each side file to the recording of its name, and return those that find none.

    The recording lies beside it, or in a folder of the same name (GRID spells one sentence for several talkers, and
    ``alignments/s1`` goes with ``video/s1``), or is the only one of that name.
    """
    by_stem: defaultdict[str, list[_Recording]] = defaultdict(list)
    for recording in recordings:
        by_stem[recording.main.stem].append(recording)
    orphans = []
    for side in sides:
        namesakes = by_stem[side.stem]
        beside = [r for r in namesakes if r.main.parent == side.parent]
        same_folder_name = [r for r in namesakes if r.main.parent.name == side.parent.name]
        owners = beside or same_folder_name or (namesakes if len(namesakes) == 1 else [])
        for recording in owners:
            recording.sides[side.suffix.lower()] = side
        if not owners:
            orphans.append(side)
    return orphans


def _named(root: Path, recordings: list[_Recording]) -> dict[str, _Recording]:
    """Clip ids: the path without suffix in the letters that ids allow; with suffix, then number, where two agree."""
    ids = Counter(_clip_id(root, recording, with_suffix=False) for recording in recordings)
    clips: dict[str, _Recording] = {}
    for recording in recordings:
        base = _clip_id(root, recording, with_suffix=False)
        if ids[base] > 1:
            base = _clip_id(root, recording, with_suffix=True)
        clip_id, number = base, 2
        while clip_id in clips:
            clip_id, number = f"{base}_{number}", number + 1
        clips[clip_id] = recording
    return clips


def _clip_id(root: Path, recording: _Recording, *, with_suffix: bool) -> str:
    path = recording.main
    name = relative(path if with_suffix or path.is_dir() else path.with_suffix(""), root)
    return re.sub(r"[^A-Za-z0-9_/-]", "_", path.resolve().name if name == "." else name)


def _read_clip(root: Path, clip_id: str, recording: _Recording, options: Options) -> ClipRows:
    rows = ClipRows()
    clip: dict[str, Any] = {"clip_id": clip_id, "kind": kind_of(recording.main), "licence": options.licence}
    try:
        if recording.visual is not None:
            clip |= _visual_columns(relative(recording.visual, root), probe(recording.visual))
        if recording.sound is not None:
            info = probe(recording.sound)
            clip |= {"audio": relative(recording.sound, root), "sample_rate_hz": info.sample_rate}
            clip.setdefault("duration_s", info.duration)
    except MediaError as error:
        reason = f"{error.reason}: {error.cure}"
        rows.quarantine.append(quarantined("clips", relative(error.path, root), reason, clip_id=clip_id))
        return rows
    rows.clip = clip
    if options.subject_from == "folder" and recording.main.parent != root:
        clip["subject"] = recording.main.parent.name
    if ".align" in recording.sides:
        _add_words(root, clip_id, recording.sides[".align"], rows)
    if ".pts" in recording.sides:
        _add_landmarks(root, clip_id, recording.sides[".pts"], rows)
    return rows


def _visual_columns(file: str, info: MediaInfo) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "video": file,
        "fps": info.fps,
        "n_frames": info.n_frames,
        "width_px": info.width,
        "height_px": info.height,
    }
    if info.duration is not None:
        columns["duration_s"] = info.duration
    if info.sample_rate is not None:
        columns |= {"audio": file, "sample_rate_hz": info.sample_rate}
    return columns


def _add_words(root: Path, clip_id: str, path: Path, rows: ClipRows) -> None:
    """Words of a GRID ``.align`` file; one bad line leaves out the file's words, as the sentence would be wrong."""
    assert rows.clip is not None
    words = []
    for line, text in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\S+)\s*", text)
        if match is None or int(match[2]) < int(match[1]):
            reason = f"line is {text.strip()[:40]!r}, not 'start end word', so its words are left out: correct the line"
            rows.quarantine.append(quarantined("units", relative(path, root), reason, row=line, clip_id=clip_id))
            return
        if match[3].lower() not in _SILENCE:
            words.append((int(match[1]), int(match[2]), match[3].lower(), line))
    rows.clip["transcript"] = " ".join(word for _, _, word, _ in words) or None
    rows.units = [
        {
            "clip_id": clip_id,
            "tier": "word",
            "start_s": start / ALIGN_UNITS_PER_S,
            "end_s": end / ALIGN_UNITS_PER_S,
            "label": word,
            "source_file": relative(path, root),
            "source_row": line,
        }
        for start, end, word, line in words
    ]


def _add_landmarks(root: Path, clip_id: str, path: Path, rows: ClipRows) -> None:
    """Landmarks of a ``.pts`` file, which belong to frame 0."""
    file = relative(path, root)
    try:
        points = read_pts(path)
    except ValueError as error:
        rows.quarantine.append(quarantined("frames", file, f"{error}: correct the file", clip_id=clip_id, frame=0))
        return
    columns = pd.DataFrame({"frame": [0], "source_file": [file], "source_row": [1]})
    rows.frames = frame_table(clip_id, columns, points[None])


def read_pts(path: Path) -> npt.NDArray[np.float32]:
    """The points of a ``.pts`` file, brought from the file's count from 1 to 0-based pixel centres.

    Returns:
        (68, 2) float32, x y in px.

    Raises:
        ValueError: there are not 68 points, or one is not a number.
    """
    body = re.search(r"\{([^}]*)\}", path.read_text(errors="replace"))
    try:
        points = np.array([line.split() for line in (body[1] if body else "").strip().splitlines()], np.float32)
    except ValueError:
        raise ValueError("holds points that are not two numbers") from None
    if points.shape != (68, 2):
        raise ValueError(f"holds {len(points)} points, not 68")
    if not np.isfinite(points).all():
        raise ValueError("holds points that are not numbers (NaN)")
    return points - 1.0
