"""The tables that every data set is turned into; nothing below ``vultus.data.sources`` knows a data set's name.

Four Parquet tables. A value that was not coded is null, never 0. ``docs/data.md`` is generated from the schemas here
(unit, range and meaning are the fields' metadata).

* ``clips``: one row a clip (a video, a picture, or a folder of numbered pictures, with or without sound; or a row of a
  file of features).
* ``frames``: one row an annotated frame.
* ``units``: time-aligned words and phones.
* ``quarantine``: what validation left out, and why.
"""

from __future__ import annotations

import pyarrow as pa

ACTION_UNITS: tuple[int, ...] = (
    1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28,
)  # fmt: skip
"""FACS numbers that have columns in ``frames``, in column order."""

GROUPS = ("train", "validation", "test", "judge")
"""The four groups of people in the embedded data; null for data sets whose protocol makes folds."""

EMOTIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust", "embarrassment", "pain", "boredom",
    "contempt", "calm",
)  # fmt: skip


def occurrence_column(au: int) -> str:
    """Column of the binary label of an action unit: ``au01_occurrence``."""
    return f"au{au:02d}_occurrence"


def intensity_column(au: int) -> str:
    """Column of the intensity of an action unit: ``au01_intensity``."""
    return f"au{au:02d}_intensity"


def _field(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    values: tuple[str, ...] = (),
    length: int | None = None,
    required: bool = False,
) -> pa.Field:
    metadata = {"meaning": meaning, "unit": unit}
    if low is not None:
        metadata["min"] = repr(low)
    if high is not None:
        metadata["max"] = repr(high)
    if values:
        metadata["values"] = "|".join(values)
    if length is not None:  # not in the type: Parquet cannot read back a null among lists of fixed size
        metadata["length"] = repr(length)
    return pa.field(name, kind, nullable=not required, metadata=metadata)


_SOURCE = (
    _field("source_file", pa.string(), "the label file that the row was read from, from the data set's root"),
    _field("source_row", pa.int64(), "row or line in that file, from 1"),
)

CLIPS = pa.schema([
    _field("clip_id", pa.string(), "unique within the data set; letters, digits, '-', '_', '/'", required=True),
    _field("dataset", pa.string(), "key of the data set in params.yaml", required=True),
    _field("subject", pa.string(), "the person; splits never divide one"),
    _field("session", pa.string(), "recording session"),
    _field("group", pa.string(), "group of people in the embedded data", values=GROUPS),
    _field("kind", pa.string(), "what was recorded: the data set's task, or the embedded world's clip kind"),
    _field("video", pa.string(), "path from the data set's root: video file, picture, or folder of numbered pictures"),
    _field("audio", pa.string(), "path from the data set's root: sound file, or the video if it carries the sound"),
    _field("view", pa.string(), "name of the camera where there are several"),
    _field("fps", pa.float64(), "frame rate of the video", unit="1/s", low=1.0, high=1000.0),
    _field("n_frames", pa.int32(), "number of frames in the video", low=1),
    _field("width_px", pa.int32(), "frame width", unit="px", low=16, high=8192),
    _field("height_px", pa.int32(), "frame height", unit="px", low=16, high=8192),
    _field("sample_rate_hz", pa.int32(), "sample rate of the sound", unit="Hz", low=8000, high=192000),
    _field("duration_s", pa.float64(), "length of the clip", unit="s", low=0.0),
    _field("emotion", pa.string(), "acted or elicited emotion", values=EMOTIONS),
    _field("transcript", pa.string(), "words spoken, lower case, no punctuation"),
    _field("sex", pa.string(), "of the subject", values=("female", "male")),
    _field("age", pa.float32(), "of the subject", unit="years", low=0.0, high=120.0),
    _field("father", pa.string(), "subject id of the father"),
    _field("mother", pa.string(), "subject id of the mother"),
    _field("domain", pa.string(), "rendering style, camera or other domain"),
    _field("label", pa.string(), "class that the data set gives the clip, such as the object in the picture"),
    _field("feature_file", pa.string(), "path from the data set's root: file of features where there are no media"),
    _field("feature_row", pa.int64(), "row of the clip in that file, from 0", low=0),
    _field("licence", pa.string(), "licence of the recording"),
])  # fmt: skip

FRAMES = pa.schema([
    _field("clip_id", pa.string(), "clip of this frame", required=True),
    _field("frame", pa.int32(), "0-based position in the video; for a folder of pictures the number in the file name",
           low=0, required=True),
    _field("time_s", pa.float64(), "centre of the frame, (position + 0.5) / fps", unit="s", low=0.0),
    *(_field(occurrence_column(au), pa.int8(), f"AU{au} present", low=0, high=1) for au in ACTION_UNITS),
    *(_field(intensity_column(au), pa.float32(), f"AU{au} intensity, FACS A..E = 1..5", low=0.0, high=5.0)
      for au in ACTION_UNITS),
    _field("landmarks_68", pa.list_(pa.float32()),
           "x y of the 68 iBUG points, 0-based pixel centres of the full frame; an absent point is null", unit="px",
           length=136),
    _field("landmark_visible", pa.list_(pa.bool_()), "the point is not hidden by head, hand, hair or mask",
           length=68),
    _field("pitch_rad", pa.float32(), "head pitch, positive looks up", unit="rad", low=-3.1416, high=3.1416),
    _field("yaw_rad", pa.float32(), "head yaw, positive turns to image right", unit="rad", low=-3.1416, high=3.1416),
    _field("roll_rad", pa.float32(), "head roll, positive turns clockwise in the image", unit="rad",
           low=-3.1416, high=3.1416),
    _field("box", pa.list_(pa.float32()), "face box x0 y0 x1 y1", unit="px", length=4),
    _field("occluded", pa.bool_(), "a hand, mask, lock of hair or pair of glasses covers part of the face"),
    *_SOURCE,
])  # fmt: skip

UNITS = pa.schema([
    _field("clip_id", pa.string(), "clip of this unit", required=True),
    _field("tier", pa.string(), "what kind of unit", values=("word", "phone"), required=True),
    _field("start_s", pa.float64(), "from the start of the clip", unit="s", low=0.0, required=True),
    _field("end_s", pa.float64(), "from the start of the clip", unit="s", low=0.0, required=True),
    _field("label", pa.string(), "the word in lower case, or the phone in ARPAbet (SIL for silence)", required=True),
    *_SOURCE,
])  # fmt: skip

QUARANTINE = pa.schema([
    _field("table", pa.string(), "clips, frames or units", required=True),
    _field("file", pa.string(), "the file at fault, from the data set's root", required=True),
    _field("row", pa.int64(), "row or line in that file, from 1; null for a whole file"),
    _field("clip_id", pa.string(), "clip that was left out or cut"),
    _field("frame", pa.int32(), "frame that was left out"),
    _field("reason", pa.string(), "one sentence: what is wrong, and what cures it", required=True),
])  # fmt: skip

SCHEMAS: dict[str, pa.Schema] = {"clips": CLIPS, "frames": FRAMES, "units": UNITS, "quarantine": QUARANTINE}
"""Name of the table -> schema; the file is ``<name>.parquet``."""
