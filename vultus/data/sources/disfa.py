"""DISFA in its original layout: one long video a person, one label file an action unit, one mat file a frame.

    Video_LeftCamera/LeftVideoSN001_comp.avi
    ActionUnit_Labels/SN001/SN001_au1.txt         "frame,intensity", the frame counted from 1, intensity 0..5
    Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat   ``pts`` 66 x 2, the file number counted from 0

Only the left camera is read, as in the published protocol. Label line n and landmark file n-1 belong to frame n-1 of
the video. Only intensity is filled: what counts as present (intensity >= 2 in the protocol) is the family's decision.

Reconstructed: MATLAB counts pixels from 1 (``landmark_origin``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.data.media import MediaError, probe
from vultus.data.sources.rows import ClipRows, LabelLines, frame_table, quarantined, read_label_lines, relative
from vultus.data.tables import intensity_column

POINTS_66_IN_68 = (*range(60), 61, 62, 63, 65, 66, 67)
"""Index in the 68 iBUG points of each of the 66: no inner mouth corners (60 and 64)."""

_VIDEO_NAME = re.compile(r"^LeftVideo(SN\d{3})_comp$", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """Options of the source ``disfa``."""

    action_units: tuple[int, ...] = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
    """AUs whose label file every person must have."""
    landmark_origin: int = 1
    """Coordinate of the centre of the first pixel in Landmark_Points, px; the tables count from 0."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every person that has a left video or labels."""
    videos = {m[1]: p for p in root.glob("Video_LeftCamera/*.avi") if (m := _VIDEO_NAME.match(p.stem))}
    labels = {p.name: p for p in root.glob("ActionUnit_Labels/SN*") if p.is_dir()}
    for subject in sorted(videos.keys() | labels.keys()):
        yield _read_clip(root, subject, videos.get(subject), labels.get(subject), options)


def _read_clip(root: Path, subject: str, video: Path | None, labels: Path | None, options: Options) -> ClipRows:
    rows = ClipRows()
    if video is None:
        assert labels is not None
        reason = "has labels but there is no left video: restore it"
        rows.quarantine.append(quarantined("clips", relative(labels, root), reason, clip_id=subject))
        return rows
    try:
        info = probe(video)
    except MediaError as error:
        reason = f"{error.reason}: {error.cure}"
        rows.quarantine.append(quarantined("clips", relative(video, root), reason, clip_id=subject))
        return rows
    if labels is not None:
        absent = next((au for au in options.action_units if not _label_file(labels, au).is_file()), None)
        if absent is not None:
            file = relative(_label_file(labels, absent), root)
            rows.quarantine.append(quarantined("clips", file, "is missing: restore the file", clip_id=subject))
            return rows
        _add_frames(root, subject, labels, info.fps or 20.0, options, rows)
    rows.clip = {
        "clip_id": subject,
        "subject": subject,
        "kind": "spontaneous",
        "video": relative(video, root),
        "view": "left",
        "fps": info.fps,
        "n_frames": info.n_frames,
        "width_px": info.width,
        "height_px": info.height,
        "duration_s": info.duration,
        "licence": "DISFA agreement with the University of Denver",
    }
    return rows


def _label_file(labels: Path, au: int) -> Path:
    return labels / f"{labels.name}_au{au}.txt"


def _add_frames(root: Path, subject: str, labels: Path, fps: float, options: Options, rows: ClipRows) -> None:
    """Join the label files by frame; a frame whose line is at fault in any of them is left out."""
    table = pd.DataFrame({"number": pd.Series(dtype=np.int64), "source_file": pd.Series(dtype=str), "source_row": []})
    spoiled: set[int] = set()
    for au in options.action_units:
        path = _label_file(labels, au)
        file = relative(path, root)
        read = read_label_lines(path, 2)
        numbers, codes = read.values.T
        doubled = pd.Series(numbers).duplicated(keep=False).to_numpy()
        miscoded = (codes < 0) | (codes > 5)
        # Line n of these files holds frame n, so a line that cannot be read still has a frame.
        faults = [(line, line, reason) for line, reason in read.bad]
        faults += [(line, n, "repeats a frame") for line, n in _pairs(read, doubled)]
        faults += [(line, n, "holds an intensity other than 0..5") for line, n in _pairs(read, miscoded & ~doubled)]
        for line, number, reason in faults:
            spoiled.add(number)
            reason = f"line {reason}: correct it"
            rows.quarantine.append(quarantined("frames", file, reason, row=line, clip_id=subject, frame=number - 1))
        read = read.without(doubled | miscoded)
        column = {"number": read.values[:, 0], intensity_column(au): read.values[:, 1]}
        table = table.merge(pd.DataFrame(column | {"file": file, "line": read.lines}), on="number", how="outer")
        table["source_file"] = table["source_file"].fillna(table.pop("file"))
        table["source_row"] = table["source_row"].fillna(table.pop("line"))
    table = table[~table["number"].isin(spoiled)]
    points, faulty = _read_points(root, subject, table["number"].tolist(), options, rows)
    numbers = table.pop("number")
    table["frame"] = numbers - 1
    table["time_s"] = (numbers - 0.5) / fps
    rows.frames = frame_table(subject, table[~faulty], points[~faulty])


def _pairs(read: LabelLines, faulty: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(line, frame number from 1) of the faulty lines."""
    return list(zip(read.lines[faulty].tolist(), read.values[faulty, 0].tolist(), strict=True))


def _read_points(
    root: Path, subject: str, numbers: list[int], options: Options, rows: ClipRows
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Landmarks (N, 68, 2) of the label lines ``numbers``, NaN where there is no file; and whose file is at fault."""
    person = root / "Landmark_Points" / subject
    files = {int(m[1]): p for p in person.rglob("*.mat") if (m := re.search(r"_(\d+)_lm$", p.stem))}
    points = np.full((len(numbers), 68, 2), np.nan, np.float32)
    faulty = np.zeros(len(numbers), bool)
    for row, number in enumerate(numbers):
        path = files.get(number - 1)
        if path is None:
            continue
        try:
            points[row, POINTS_66_IN_68] = read_points_66(path) - options.landmark_origin
        except ValueError as error:
            faulty[row] = True
            reason = f"{error}: restore the file, or remove it to go on without points"
            rows.quarantine.append(
                quarantined("frames", relative(path, root), reason, clip_id=subject, frame=number - 1)
            )
    return points, faulty


def read_points_66(path: Path) -> npt.NDArray[np.float32]:
    """The variable ``pts`` of a MATLAB file: (66, 2) x y as stored.

    Raises:
        ValueError: the file is no MATLAB file, has no ``pts``, another shape, or NaN.
    """
    import scipy.io

    try:
        values = np.asarray(scipy.io.loadmat(str(path), variable_names=["pts"])["pts"], np.float32)
    except KeyError:
        raise ValueError("has no variable pts") from None
    except Exception as error:  # scipy raises many kinds on bytes that are no MATLAB file
        raise ValueError(f"is no MATLAB file ({type(error).__name__})") from None
    if values.shape != (66, 2):
        raise ValueError(f"pts is {' x '.join(map(str, values.shape))}, not 66 x 2")
    if not np.isfinite(values).all():
        raise ValueError("pts holds NaN")
    return values
