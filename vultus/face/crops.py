"""The crop stage: aligned faces with landmarks, AU centres and labels, ready for training.

One row a frame whose landmarks are usable. The face is aligned as in `vultus.face.alignment`; landmarks and AU centres
are in pixels of the crop; labels are copied from the table of frames, with -1 and NaN for what was not coded. Frames
left out are listed with the reason in ``dropped.parquet`` and counted in ``meta.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vultus.data import media
from vultus.data.media import PICTURES_FPS, read_frames
from vultus.data.parquet import ClipTables
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash, table_hash
from vultus.data.tables import ACTION_UNITS
from vultus.face import alignment, labels, landmarks, regions
from vultus.face.alignment import BORDER_GREY, alignment_matrix, transform_points, warp_face
from vultus.face.labels import LABEL_COLUMNS, au_arrays, rows_of_frames
from vultus.face.landmarks import POINTS_49, biocular_distance
from vultus.face.regions import au_boxes, au_centres

NO_FACE = "no face found"
INCOMPLETE = "landmarks incomplete"
DEGENERATE = "landmarks fall together"

_COLUMNS = [*LABEL_COLUMNS, "occluded", "yaw_rad"]


@dataclass(frozen=True)
class CropConfig:
    """How faces are cut out (``crops.D``)."""

    size_px: int = 200
    """Side of the aligned face; the papers crop 176 of 200, so 88 % of this, for the network."""

    every_n_frames: int = 1
    """Take every n-th frame that has landmarks."""

    def __post_init__(self) -> None:
        if self.size_px < 16:
            raise ValueError(f"size_px must be at least 16, not {self.size_px}")
        if self.every_n_frames < 1:
            raise ValueError(f"every_n_frames must be at least 1, not {self.every_n_frames}")


def build_crops(
    folder: Path, tables: ClipTables, root: Path, located: Store, config: CropConfig, *, jobs: int | None = None
) -> Store:
    """Write the store ``crops`` of a data set.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media.
        located: its landmark store.
        config: ``crops.D``.
        jobs: processes.

    Raises:
        UserError: no clip is left, or all failed.
    """
    known = dict(zip(located.clips["clip_id"], located.clips["content_hash"], strict=True))
    clips = [clip for clip in tables.records() if clip["clip_id"] in known]
    meta = {
        **asdict(config),
        "channels": "RGB",
        "unit": "px of the crop, 0-based pixel centres",
        "aligner": f"five-point similarity, box factor {alignment.BOX_FACTOR}, border {BORDER_GREY}",
        "action_units": list(ACTION_UNITS),
        "detector": located.meta["detector"],
    }
    cut = CutFaces(tables, Path(root), located, config)
    store = build_store(
        folder,
        clips,
        cut,
        lambda clip: cut.key(clip, known[clip["clip_id"]]),
        meta=meta,
        code=[alignment, labels, landmarks, regions, media],
        jobs=jobs,
    )
    reasons = pq.read_table(folder / "dropped.parquet", columns=["reason"])["reason"].drop_null().value_counts()
    store.meta["dropped"] = {entry["values"]: entry["counts"] for entry in reasons.to_pylist()}
    (folder / "meta.json").write_text(json.dumps(store.meta, indent=2) + "\n")
    return store


@dataclass(frozen=True)
class CutFaces:
    """Computes the crops of one clip; see `build_crops` for the attributes."""

    tables: ClipTables
    root: Path
    located: Store
    config: CropConfig

    def key(self, clip: Clip, located_hash: str) -> str:
        """Content hash of all that the clip's crops depend on; ``located_hash`` is that of its landmarks."""
        coded = self.tables.frames(str(clip["clip_id"]), _COLUMNS)
        video = file_hash(self.root / str(clip["video"]))
        parts = [clip["subject"], clip["group"], clip["fps"], located_hash, table_hash(coded), video]
        return content_hash(self.config.size_px, self.config.every_n_frames, *parts)

    def __call__(self, clip: Clip) -> ClipArrays:
        """Rows and arrays of the clip, in order of the frames.

        Raises:
            MediaError: the media cannot be decoded.
        """
        span = self.located.clip(str(clip["clip_id"]))
        step, size = self.config.every_n_frames, self.config.size_px
        rows = self._located_rows(str(clip["clip_id"])).iloc[::step].reset_index(drop=True)
        points = np.asarray(self.located["landmarks_68"][span][::step], np.float64)
        matrix = alignment_matrix(points, size)
        reason = _unusable(points, matrix)
        usable: npt.NDArray[np.bool_] = np.array([not why for why in reason], np.bool_)
        dropped = pd.DataFrame({"frame": rows["frame"][~usable], "reason": reason[~usable]})
        rows, points, matrix = rows[usable].reset_index(drop=True), points[usable], matrix[usable]

        faces = np.empty((len(rows), size, size, 3), np.uint8)
        frames = rows["frame"].to_list()
        decoded = read_frames(self.root / str(clip["video"]), frames, fps=float(clip["fps"] or PICTURES_FPS))
        for k, (_, _, rgb) in enumerate(decoded if frames else ()):
            faces[k] = warp_face(rgb, matrix[k], size)
        aligned = transform_points(matrix, points).astype(np.float32)
        centres = au_centres(aligned, ACTION_UNITS, "jaa")
        coded = rows_of_frames(self.tables.frames(str(clip["clip_id"]), _COLUMNS), frames)
        return ClipArrays(
            pd.DataFrame(
                {
                    "frame": rows["frame"],
                    "time_s": rows["time_s"],
                    "subject": rows["subject"],
                    "group": pd.array([clip["group"]] * len(rows), dtype="str"),
                    "method": rows["method"],
                    "occluded": coded["occluded"].to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get),
                    "yaw_rad": coded["yaw_rad"].to_pandas(),
                }
            ),
            {
                "face": faces,
                "landmarks_68": aligned,
                "au_centres_jaa": centres,
                "au_centres_eac": au_centres(aligned, ACTION_UNITS, "eac"),
                "au_boxes": au_boxes(centres, size),
                **au_arrays(coded),
                "biocular_px": biocular_distance(aligned),
            },
            tables={"dropped": dropped},
        )

    def _located_rows(self, clip_id: str) -> pd.DataFrame:
        rows = pq.read_table(self.located.folder / "rows.parquet", filters=[("clip_id", "==", clip_id)])
        return pd.DataFrame(rows.to_pandas())


def _unusable(points: npt.NDArray[np.float64], matrix: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
    """Reason for leaving a frame out, empty for the good ones: (N,) of strings."""
    absent = np.isnan(points.sum(-1))
    cases = [absent.all(-1), absent[:, POINTS_49].any(-1), np.isnan(matrix).any(axis=(-2, -1))]
    return np.select(cases, [NO_FACE, INCOMPLETE, DEGENERATE], default="").astype(object)
