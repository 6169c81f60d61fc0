"""The articulation stage: small pictures of tongue and lips on one clock, for silent speech.

A session was seen by two cameras, which are two clips of the tables: an ultrasound probe under the chin and a camera
before the lips (column ``view``). Their frames, or the rows of a file of features where a data set brings no pictures,
become one clip of the store, whose id is the session's. Texts that belong to the data set (a pronunciation dictionary,
sentences for language models) are copied to ``text/`` beside the arrays, so that a system finds all of its input in one
place.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.core.errors import UserError
from vultus.data import kaldi, media
from vultus.data.kaldi import read_matrix
from vultus.data.media import read_frames
from vultus.data.parquet import ClipTables
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ArticulationConfig:
    """Section ``articulation.D`` of params.yaml, without its ``root``."""

    tongue_px: tuple[int, int] = (32, 40)
    """Height and width of a tongue picture."""
    lips_px: tuple[int, int] = (24, 32)
    """Height and width of a lip picture."""
    tongue_view: str = "ultrasound"
    """Column ``view`` of the clips that show the tongue."""
    lips_view: str = "lips"
    texts: str = "text"
    """Folder below the root whose ``.txt`` files are copied into the store; a root without it has no texts."""
    frame_rate_hz: float = 60.0
    """Of features that come without pictures; pictures bring their own."""


def build_articulation(
    folder: Path, tables: ClipTables, root: Path, config: ArticulationConfig, *, jobs: int | None = None
) -> Store:
    """Write the store ``articulation`` of a data set: ``tongue`` (N, 32, 40) and ``lips`` (N, 24, 32) uint8.

    A data set of features gives ``feature`` (N, D) float32 in their place.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media.
        config: ``articulation.D``.
        jobs: processes.

    Raises:
        UserError: no clip belongs to a session, or all sessions failed.
    """
    sessions = _sessions(tables)
    seen = SeeSession(Path(root), config)
    meta = {**asdict(config), "unit": "grey 0..255", "clock": "rows.time_s is the centre of a frame"}
    store = build_store(folder, sessions, seen, seen.key, meta=meta, code=[media, kaldi], jobs=jobs)
    texts = sorted((Path(root) / config.texts).glob("*.txt"))
    if texts:
        (folder / "text").mkdir()
    for text in texts:
        shutil.copyfile(text, folder / "text" / text.name)
    return store


def _sessions(tables: ClipTables) -> list[dict[str, Any]]:
    """One record a session, its clips under ``views``; in the order in which sessions first appear."""
    sessions: dict[str, dict[str, Any]] = {}
    for clip in tables.records():
        session = clip["session"]
        if session is None:
            continue
        record = sessions.setdefault(
            session, {"clip_id": session, "subject": clip["subject"], "group": clip["group"], "views": {}}
        )
        record["views"][clip["view"]] = clip
    if not sessions:
        raise UserError(f"{tables.folder}: no clip names its session, so no two views can be put together")
    return list(sessions.values())


@dataclass(frozen=True)
class SeeSession:
    """Computes the pictures of one session; see `build_articulation` for the attributes."""

    root: Path
    config: ArticulationConfig

    def key(self, session: Clip) -> str:
        """Content hash of all that the session's rows depend on."""
        views = {
            view: [clip["fps"], clip["feature_row"], file_hash(self.root / str(clip["video"] or clip["feature_file"]))]
            for view, clip in sorted(session["views"].items(), key=lambda entry: str(entry[0]))
        }
        settings = {name: value for name, value in asdict(self.config).items() if name != "texts"}
        return content_hash(settings, session["subject"], session["group"], views)

    def __call__(self, session: Clip) -> ClipArrays:
        """Rows and arrays of a session, in order of the frames.

        Raises:
            MediaError: a video cannot be decoded.
            UserError: a view is missing, or the views differ in rate or length.
        """
        views: Mapping[str, Clip] = session["views"]
        features = [clip for clip in views.values() if clip["feature_file"]]
        if features:
            feature = read_matrix(self.root / features[0]["feature_file"], int(features[0]["feature_row"]))
            times = (np.arange(len(feature)) + 0.5) / self.config.frame_rate_hz
            return ClipArrays(_rows(session, times), {"feature": feature})
        wanted = {self.config.tongue_view: self.config.tongue_px, self.config.lips_view: self.config.lips_px}
        missing = [view for view in wanted if view not in views]
        if missing:
            raise UserError(f"session {session['clip_id']} has no view {missing[0]!r}: restore it or leave it out")
        tongue, lips = (read_frames(self.root / views[view]["video"]) for view in wanted)
        pictures: tuple[list[Array], list[Array]] = ([], [])
        times_s: list[float] = []
        for left, right in zip_longest(tongue, lips):
            if left is None or right is None or abs(left[1] - right[1]) > 1e-3:
                raise UserError(
                    f"session {session['clip_id']}: its views differ at frame {len(times_s)}: cut them to one clock"
                )
            times_s.append(left[1])
            for (_, _, rgb), size, kept in zip((left, right), wanted.values(), pictures, strict=True):
                kept.append(cv2.resize(rgb[..., 1], size[::-1], interpolation=cv2.INTER_AREA))
        arrays = {"tongue": np.stack(pictures[0]), "lips": np.stack(pictures[1])}
        return ClipArrays(_rows(session, np.array(times_s)), arrays)


def _rows(session: Clip, times_s: Array) -> pd.DataFrame:
    return pd.DataFrame({
        "frame": np.arange(len(times_s), dtype=np.int32), "time_s": times_s, "subject": session["subject"],
        "group": session["group"],
    })  # fmt: skip
