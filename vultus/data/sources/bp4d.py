"""BP4D (and BP4D+, FERA2015) in its original layout: folders of jpg, AU codes as csv, tracked points as mat.

    F001/T1/2440.jpg                      numbered pictures, the number zero-padded to 3 or 4 digits, with gaps
    AUCoding/AU_OCC/F001_T1.csv           header "0,1,2,4,..." (0 = frame number); 0 absent, 1 present, 9 unknown
    AUCoding/AU_INT/AU06/F001_T1_AU06.csv "frame,intensity" without header; 0..5, 9 unknown; AUs 6 10 12 14 17
    2DFeatures/F001_T1.mat                MATLAB v7.3 struct ``fit`` with field ``pred``: 2 x 49 a picture, empty = lost

The release of FERA2015 keeps the codes in ``AUCoding/`` and ``AU-Intensity-Codes3.0/``; both places are looked at.

Reconstructed, as the distribution does not say: the k-th tracker record belongs to the k-th picture, or to the k-th
number from the first where pictures are missing; MATLAB counts pixels from 1 (``landmark_origin``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.data.media import MediaError, numbered_pictures, read_picture
from vultus.data.sources.rows import ClipRows, frame_table, quarantined, read_label_lines, relative
from vultus.data.tables import ACTION_UNITS, intensity_column, occurrence_column

POINTS_49_IN_68 = (*range(17, 60), 61, 62, 63, 65, 66, 67)
"""Index in the 68 iBUG points of each of the 49: no jaw line, no inner mouth corners (60 and 64)."""

TASK_EMOTIONS = {
    "T1": "happiness", "T2": "sadness", "T3": "surprise", "T4": "embarrassment",
    "T5": "fear", "T6": "pain", "T7": "anger", "T8": "disgust",
}  # fmt: skip
"""What each of BP4D's eight tasks elicits; BP4D+ shares T1, T6, T7 and T8 with other contents, see `Options`."""

UNKNOWN = 9
"""Code of an action unit that was not coded, or hidden."""

_CLIP_NAME = re.compile(r"^([FM]\d{3})_(T\d+)$")


@dataclass(frozen=True)
class Options:
    """Options of the source ``bp4d``."""

    action_units: tuple[int, ...] = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    """AUs whose columns must be in every occurrence file; others are read where they are."""
    intensity_units: tuple[int, ...] = (6, 10, 12, 14, 17)
    """AUs whose intensity files are read where they are."""
    fps: float = 25.0
    """Frame rate of the recordings, 1/s."""
    landmark_origin: int = 1
    """Coordinate of the centre of the first pixel in 2DFeatures, px; the tables count from 0."""
    emotions: bool = True
    """Set the emotion that the task elicits; false for BP4D+, whose tasks differ."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every (subject, task) that has pictures or codes."""
    pictures = {(p.parent.name, p.name): p for p in root.glob("[FM][0-9][0-9][0-9]/T*") if p.is_dir()}
    codes: dict[tuple[str, ...], Path] = {}
    strangers = []
    for place in ("AUCoding", "AUCoding/AU_OCC"):
        for path in sorted(root.glob(f"{place}/*.csv")):
            match = _CLIP_NAME.match(path.stem)
            if match is None:
                reason = "is not named SUBJECT_TASK.csv: rename or remove it"
                strangers.append(quarantined("frames", relative(path, root), reason))
            else:
                codes[match.groups()] = path
    yield ClipRows(quarantine=strangers)
    for subject, task in sorted(pictures.keys() | codes.keys()):
        yield _read_clip(root, subject, task, pictures.get((subject, task)), codes.get((subject, task)), options)


def _read_clip(
    root: Path, subject: str, task: str, folder: Path | None, codes: Path | None, options: Options
) -> ClipRows:
    clip_id, rows = f"{subject}/{task}", ClipRows()
    if folder is None:
        assert codes is not None
        reason = f"has codes but there are no pictures in {clip_id}: restore that folder"
        rows.quarantine.append(quarantined("clips", relative(codes, root), reason, clip_id=clip_id))
        return rows
    try:
        numbers = numbered_pictures(folder)
        height, width = _size(numbers)
    except MediaError as error:
        rows.quarantine.append(
            quarantined("clips", relative(error.path, root), f"{error.reason}: {error.cure}", clip_id=clip_id)
        )
        return rows
    labels = None
    if codes is not None:
        labels = _read_codes(root, clip_id, codes, options, rows)
        if labels is None:
            return rows
        labels = _join_intensities(root, subject, task, labels, options, rows)
    rows.clip = {
        "clip_id": clip_id,
        "subject": subject,
        "session": task,
        "kind": "spontaneous",
        "video": relative(folder, root),
        "fps": options.fps,
        "n_frames": len(numbers),
        "width_px": width,
        "height_px": height,
        "duration_s": (max(numbers) - min(numbers) + 1) / options.fps,
        "emotion": TASK_EMOTIONS.get(task) if options.emotions else None,
        "sex": "female" if subject.startswith("F") else "male",
        "licence": "BP4D agreement with Binghamton University",
    }
    if labels is not None:
        _add_frames(root, clip_id, list(numbers), labels, options, rows)
    return rows


def _size(numbers: dict[int, Path]) -> tuple[int, int]:
    """Height and width of the first picture that can be read; validation finds those that cannot."""
    failure: MediaError | None = None
    for path in numbers.values():
        try:
            height, width = read_picture(path).shape[:2]
            return height, width
        except MediaError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _read_codes(root: Path, clip_id: str, path: Path, options: Options, rows: ClipRows) -> pd.DataFrame | None:
    """Columns of the occurrence file, or None if the clip must be left out for it."""
    file = relative(path, root)
    first = next(iter(path.read_text(errors="replace").splitlines()), "")
    header = [cell.strip() for cell in first.strip().rstrip(",").split(",")]
    absent = [f"AU{au}" for au in options.action_units if str(au) not in header]
    if "0" not in header or absent:
        reason = f"has no column for {', '.join(absent) or 'the frame number (0)'}: restore the file"
        rows.quarantine.append(quarantined("clips", file, reason, row=1, clip_id=clip_id))
        return None
    read = read_label_lines(path, len(header), header=True)
    units = {au: header.index(str(au)) for au in ACTION_UNITS if str(au) in header}
    miscoded = np.asarray(~np.isin(read.values[:, list(units.values())], (0, 1, UNKNOWN)).all(axis=1))
    for line in read.lines[miscoded].tolist():
        read.bad.append((line, "holds a code other than 0, 1 and 9"))
    for line, reason in read.bad:
        rows.quarantine.append(quarantined("frames", file, f"line {reason}: restore it", row=line, clip_id=clip_id))
    read = read.without(miscoded)
    columns = {"frame": read.values[:, header.index("0")], "source_file": file, "source_row": read.lines}
    codes = {occurrence_column(au): _coded(read.values[:, at]) for au, at in units.items()}
    return pd.DataFrame(columns | codes)


def _join_intensities(
    root: Path, subject: str, task: str, labels: pd.DataFrame, options: Options, rows: ClipRows
) -> pd.DataFrame:
    """Add intensity columns by frame number; frames that only an intensity file has become rows of their own."""
    clip_id = f"{subject}/{task}"
    for au in options.intensity_units:
        name = f"AU{au:02d}/{subject}_{task}_AU{au:02d}.csv"
        path = next((p for d in ("AUCoding/AU_INT", "AU-Intensity-Codes3.0") if (p := root / d / name).is_file()), None)
        if path is None:
            continue
        file = relative(path, root)
        read = read_label_lines(path, 2)
        frames, codes = read.values.T
        doubled = pd.Series(frames).duplicated(keep=False).to_numpy()
        miscoded = ~np.isin(codes, (0, 1, 2, 3, 4, 5, UNKNOWN))
        read.bad.extend(
            (line, "repeats a frame, so neither intensity is used") for line in read.lines[doubled].tolist()
        )
        read.bad.extend((line, "holds an intensity other than 0..5 and 9") for line in read.lines[miscoded].tolist())
        for line, reason in read.bad:
            rows.quarantine.append(quarantined("frames", file, f"line {reason}: correct it", row=line, clip_id=clip_id))
        read = read.without(doubled | miscoded)
        intensity = {"frame": read.values[:, 0], intensity_column(au): _coded(read.values[:, 1])}
        labels = labels.merge(pd.DataFrame(intensity | {"file": file, "line": read.lines}), on="frame", how="outer")
        labels["source_file"] = labels["source_file"].fillna(labels.pop("file"))
        labels["source_row"] = labels["source_row"].fillna(labels.pop("line"))
    return labels


def _coded(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(codes == UNKNOWN, np.nan, codes)


def _add_frames(
    root: Path, clip_id: str, numbers: list[int], labels: pd.DataFrame, options: Options, rows: ClipRows
) -> None:
    """Join labels and tracked points into the clip's frames."""
    labels["time_s"] = (labels["frame"] - min(numbers) + 0.5) / options.fps
    points = np.full((len(labels), 68, 2), np.nan, np.float32)
    keep = np.ones(len(labels), bool)
    path = root / "2DFeatures" / f"{clip_id.replace('/', '_')}.mat"
    file = relative(path, root)
    at: dict[int, int] = {}
    if path.is_file():
        try:
            records = read_tracked_points(path)
            at = _record_numbers(len(records), numbers)
        except (OSError, KeyError, ValueError) as error:
            reason = f"cannot be used ({error}), so the clip goes on without tracked points: restore the file"
            rows.quarantine.append(quarantined("frames", file, reason, clip_id=clip_id))
    for row, frame in enumerate(labels["frame"].tolist()):
        record = records[at[frame]] if frame in at else None
        if record is None:
            continue
        if np.isfinite(record).all():
            points[row, POINTS_49_IN_68] = record - options.landmark_origin
            continue
        reason = "the tracker record holds NaN: track the frame again, or empty the record"
        rows.quarantine.append(quarantined("frames", file, reason, row=at[frame] + 1, clip_id=clip_id, frame=frame))
        keep[row] = False
    rows.frames = frame_table(clip_id, labels[keep], points[keep])


def _record_numbers(n_records: int, numbers: list[int]) -> dict[int, int]:
    """Picture number -> index of its tracker record."""
    if n_records == len(numbers):
        return {number: index for index, number in enumerate(numbers)}
    if n_records == max(numbers) - min(numbers) + 1:
        return {number: number - min(numbers) for number in numbers}
    raise ValueError(f"{n_records} records for {len(numbers)} pictures")


def read_tracked_points(path: Path) -> list[npt.NDArray[np.float32] | None]:
    """The points of ``fit.pred`` in a MATLAB v7.3 file.

    Returns:
        One (49, 2) array a record, x y as stored; None where the tracker failed (an empty record).

    Raises:
        OSError: the file is no HDF5. KeyError: no ``fit.pred``. ValueError: a record of another shape.
    """
    import h5py

    with h5py.File(path, "r") as file:
        field = file["fit"]["pred"]
        # A struct array holds references to its elements; a struct of one element holds the array itself.
        of_references = field.dtype == h5py.ref_dtype
        records = [file[reference] for reference in field[()].ravel()] if of_references else [field]
        return [_points(record, index) for index, record in enumerate(records)]


def _points(record: Any, index: int) -> npt.NDArray[np.float32] | None:
    if record.attrs.get("MATLAB_empty", 0) or record.size == 0 or record.shape is None:
        return None
    values = np.asarray(record[()], np.float32)
    if values.shape == (49, 2):  # HDF5 turns MATLAB's 2 x 49 round
        return values
    if values.shape == (2, 49):
        return values.T
    raise ValueError(f"record {index + 1} is {values.shape[0]} x {values.shape[-1]}, not 49 x 2")
