"""Decodes the media of every clip once, to know before training what cannot be read.

Results are kept by content hash (`stores.build_store`), so that a later run decodes new or changed files only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vultus.data import media, precomputed
from vultus.data.media import MediaError, kind_of, numbered_pictures, open_video, probe, read_audio, read_picture
from vultus.data.precomputed import read_feature_file
from vultus.data.stores import CACHE_ROOT, ClipArrays, build_store, content_hash, file_hash


@dataclass(frozen=True)
class Decoded:
    """What decoding found of one clip.

    Attributes:
        error: why the clip cannot be used, or None.
        file: the file at fault, from the data set's root.
        n_frames: frames that decode; None without video or for a folder of pictures.
        pictures: for a folder, number -> None, or why that picture cannot be read.
    """

    error: str | None = None
    file: str | None = None
    n_frames: int | None = None
    pictures: Mapping[int, str | None] = field(default_factory=dict)

    def frame_error(self, frame: int) -> str | None:
        """Why a frame number has no picture, or None."""
        if self.pictures:
            return self.pictures.get(frame, f"there is no picture {frame}: restore it or correct the frame number")
        if self.n_frames is None:
            return "the clip has no pictures: remove the label or add the video"
        if not 0 <= frame < self.n_frames:
            return f"frame {frame} lies outside the {self.n_frames} frames of the video: correct the frame number"
        return None


def decode_clips(root: Path, clips: Sequence[Mapping[str, Any]], dataset: str) -> dict[str, Decoded]:
    """Decode what the clips name.

    Args:
        root: the data set's root.
        clips: rows of the table of clips.
        dataset: key of the data set; names the cache.

    Returns:
        clip_id -> what was found.
    """
    if not clips:
        return {}

    def key(clip: Mapping[str, Any]) -> str:
        files = [file_hash(root / clip[name]) if clip.get(name) else None for name in _FILES]
        return content_hash(files, {name: clip.get(name) for name in _CHECKED})

    cache = CACHE_ROOT / dataset / "decoding"
    store = build_store(
        CACHE_ROOT / "decoding" / dataset, clips, _DecodeClip(root), key, code=[media, precomputed], cache=cache
    )
    pictures = dict(iter(store.table("pictures").groupby("clip_id")))
    found = {}
    for row in store.rows.to_dict("records"):
        numbers = pictures.get(row["clip_id"])
        found[row["clip_id"]] = Decoded(
            error=row["error"] if isinstance(row["error"], str) else None,
            file=row["file"] if isinstance(row["file"], str) else None,
            n_frames=None if pd.isna(row["n_frames"]) else int(row["n_frames"]),
            pictures={}
            if numbers is None
            else {
                int(n): e if isinstance(e, str) else None
                for n, e in zip(numbers["number"], numbers["error"], strict=True)
            },
        )
    for row in store.failed.to_dict("records"):
        found[row["clip_id"]] = Decoded(error=f"{row['reason']}: leave the clip out or convert it", file=None)
    return found


_FILES = ("video", "audio", "feature_file")
_CHECKED = ("domain", "feature_row", "fps", "n_frames", "width_px", "height_px", "sample_rate_hz", *_FILES)


@dataclass(frozen=True)
class _DecodeClip:
    root: Path

    def __call__(self, clip: Mapping[str, Any]) -> ClipArrays:
        found = self._decode(clip)
        rows = pd.DataFrame({"error": [found.error], "file": [found.file], "n_frames": [found.n_frames]})
        numbers = np.array(list(found.pictures), np.int64)
        pictures = pd.DataFrame({"number": numbers, "error": list(found.pictures.values())})
        return ClipArrays(rows, {}, {"pictures": pictures})

    def _decode(self, clip: Mapping[str, Any]) -> Decoded:
        found = Decoded()
        if clip.get("feature_file"):
            return self._look_up_features(clip)
        if not clip["video"] and not clip["audio"]:
            return Decoded("the clip names neither video, sound nor features: name one")
        try:
            if clip["video"]:
                found = self._decode_video(clip)
            if clip["audio"] and found.error is None:
                found = self._decode_audio(clip, found)
        except MediaError as error:
            return Decoded(f"{error.reason}: {error.cure}", error.path.relative_to(self.root).as_posix())
        return found

    def _look_up_features(self, clip: Mapping[str, Any]) -> Decoded:
        file, row = str(clip["feature_file"]), clip["feature_row"]
        table = read_feature_file(self.root / file).get(str(clip["domain"]))
        if table is None or row is None or not 0 <= row < len(table.feature):
            return Decoded(f"the file has no row {row} of the domain {clip['domain']}: ingest again", file)
        return Decoded(file=file)

    def _decode_video(self, clip: Mapping[str, Any]) -> Decoded:
        path = self.root / clip["video"]
        if kind_of(path) == "pictures":
            return Decoded(pictures={number: self._picture_error(p) for number, p in numbered_pictures(path).items()})
        info = probe(path)
        n_frames = open_video(path).count_frames() if info.kind == "video" else 1
        said = {
            "frame rate": (clip["fps"], info.fps),
            "width": (clip["width_px"], info.width),
            "height": (clip["height_px"], info.height),
        }
        # Containers count a last frame that does not decode; more than one is a cut file.
        if clip["n_frames"] and clip["n_frames"] - n_frames > 1:
            return Decoded(f"{n_frames} of {clip['n_frames']} frames decode: copy the file again", clip["video"])
        return Decoded(_difference(said), clip["video"], n_frames)

    def _decode_audio(self, clip: Mapping[str, Any], found: Decoded) -> Decoded:
        path = self.root / clip["audio"]
        rate = probe(path).sample_rate
        read_audio(path)
        error = _difference({"sample rate": (clip["sample_rate_hz"], rate)})
        return found if error is None else Decoded(error, clip["audio"])

    def _picture_error(self, path: Path) -> str | None:
        try:
            read_picture(path)
        except MediaError as error:
            return f"{path.relative_to(self.root).as_posix()} {error.reason}: {error.cure}"
        return None


def _difference(said: Mapping[str, tuple[float | None, float | None]]) -> str | None:
    """A sentence if the table and the file disagree by more than 1 %."""
    for name, (in_table, in_file) in said.items():
        if in_table is not None and in_file is not None and abs(in_table - in_file) > 0.01 * in_file:
            return f"the {name} is {in_file:g} in the file and {in_table:g} in the table: correct the table"
    return None
