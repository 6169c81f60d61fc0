"""The ``pictures`` store: labelled pictures of several domains, or rows of feature files, for domain adaptation.

A row has a domain, a label and, where the data set names people, a subject. Pictures are squares: the whole frame, its
sides brought to one length as the published code of the field does, or the face, brought upright and to one size by the
annotated landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from vultus.core.errors import UserError
from vultus.data import media, precomputed
from vultus.data.media import read_frames
from vultus.data.parquet import ClipTables
from vultus.data.precomputed import read_feature_file
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash, table_hash
from vultus.face import alignment
from vultus.face.alignment import alignment_matrix, warp_face

RGB = npt.NDArray[np.uint8]

HOG_CELL_PX = 8
HOG_BINS = 9


@dataclass(frozen=True)
class PicturesConfig:
    """Which clips become pictures, and how."""

    size_px: int = 256
    """Side of the stored square."""
    kinds: tuple[str, ...] | None = None
    """Take only clips of these kinds (column ``kind``); null takes all."""
    domains: tuple[str, ...] | None = None
    """Take only these domains; null takes all."""
    label: Literal["label", "emotion"] = "label"
    """Column of the clips that is the class."""
    cut: Literal["whole", "face"] = "whole"
    """``face``: the face, aligned by the annotated landmarks as `vultus.face.alignment` does, in place of the whole."""
    per_clip: int = 1
    """Pictures of a clip, evenly spaced; with ``face`` among the frames whose landmarks can be aligned."""
    describe: Literal["none", "hog"] = "none"
    """``hog``: beside the picture its histograms of oriented gradients, an encoder that needs no training."""

    def __post_init__(self) -> None:
        if self.size_px < 16:
            raise ValueError(f"size_px must be at least 16, not {self.size_px}")
        if self.per_clip < 1:
            raise ValueError(f"per_clip must be at least 1, not {self.per_clip}")
        if self.describe == "hog" and self.size_px % HOG_CELL_PX:
            raise ValueError(f"size_px must be a multiple of {HOG_CELL_PX} for hog, not {self.size_px}")


def build_pictures(
    folder: Path, tables: ClipTables, root: Path, config: PicturesConfig, *, jobs: int | None = None
) -> Store:
    """Write the store ``pictures`` of a data set.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media or feature files.
        config: ``pictures.D``.
        jobs: processes.

    Raises:
        UserError: no clip has a domain and a label, or all failed.
    """
    clips = [clip for clip in tables.records() if _is_wanted(clip, config)]
    if not clips:
        raise UserError(
            f"{folder}: no clip has a domain and a {config.label}, or pictures.kinds and .domains take none"
        )
    take = TakePictures(tables, Path(root), config)
    meta = {**asdict(config), "channels": "RGB", "labels": sorted({str(clip[config.label]) for clip in clips})}
    return build_store(folder, clips, take, take.key, meta=meta, code=[media, precomputed, alignment], jobs=jobs)


def _is_wanted(clip: Clip, config: PicturesConfig) -> bool:
    return (
        clip["domain"] is not None
        and clip[config.label] is not None
        and (clip["video"] is not None or clip["feature_file"] is not None)
        and (config.kinds is None or clip["kind"] in config.kinds)
        and (config.domains is None or clip["domain"] in config.domains)
    )


@dataclass(frozen=True)
class TakePictures:
    """Computes the rows of one clip; see `build_pictures` for the attributes."""

    tables: ClipTables
    root: Path
    config: PicturesConfig

    def key(self, clip: Clip) -> str:
        """Content hash of all that the clip's rows depend on."""
        settings = self.config.size_px, self.config.per_clip, self.config.describe
        parts = [clip["domain"], clip[self.config.label], clip["subject"], *settings]
        if clip["feature_file"] is not None:
            return content_hash(*parts, file_hash(self.root / str(clip["feature_file"])), clip["feature_row"])
        landmarks = table_hash(self._landmarks(clip)) if self.config.cut == "face" else None
        return content_hash(*parts, clip["n_frames"], file_hash(self.root / str(clip["video"])), landmarks)

    def __call__(self, clip: Clip) -> ClipArrays:
        """The pictures of a clip, or its row of features."""
        if clip["feature_file"] is not None:
            table = read_feature_file(self.root / str(clip["feature_file"]))[str(clip["domain"])]
            row = int(clip["feature_row"])
            return ClipArrays(self._rows(clip, [0]), {"feature": table.feature[row : row + 1]})
        alignments = self._alignments(clip)
        frames = sorted(alignments) or list(range(int(clip["n_frames"] or 1)))
        count = min(self.config.per_clip, len(frames))
        chosen = [frames[int((k + 0.5) * len(frames) / count)] for k in range(count)]
        size = self.config.size_px
        pictures = [
            warp_face(rgb, alignments[index], size)
            if alignments
            else cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
            for index, _, rgb in read_frames(self.root / str(clip["video"]), chosen)
        ]
        arrays = {"picture": np.stack(pictures)}
        if self.config.describe == "hog":
            arrays["feature"] = np.stack([gradient_histograms(rgb) for rgb in pictures])
        return ClipArrays(self._rows(clip, chosen), arrays)

    def _rows(self, clip: Clip, frames: Sequence[int]) -> pd.DataFrame:
        about = {"domain": clip["domain"], "label": clip[self.config.label], "subject": clip["subject"]}
        return pd.DataFrame({"frame": np.asarray(frames, np.int32), **about})

    def _landmarks(self, clip: Clip) -> pa.Table:
        return self.tables.frames(str(clip["clip_id"]), ["landmarks_68"])

    def _alignments(self, clip: Clip) -> dict[int, npt.NDArray[np.floating[Any]]]:
        """Frame -> (2, 3) matrix from the picture to the aligned face; empty where the whole picture is taken."""
        if self.config.cut == "whole":
            return {}
        table = self._landmarks(clip)
        matrices = {
            frame: alignment_matrix(np.array(points, np.float64).reshape(68, 2), self.config.size_px)
            for frame, points in zip(table["frame"].to_pylist(), table["landmarks_68"].to_pylist(), strict=True)
            if points is not None
        }
        usable = {frame: matrix for frame, matrix in matrices.items() if np.isfinite(matrix).all()}
        if not usable:
            raise UserError("no frame has landmarks to align the face by")
        return usable


def gradient_histograms(rgb: RGB) -> npt.NDArray[np.float32]:
    """Histograms of oriented gradients (Dalal and Triggs 2005) of a square picture, in blocks of 2x2 cells of 8 px.

    Args:
        rgb: (S, S, 3), S a multiple of 8.

    Returns:
        ((S / 8 - 1)^2 * 36,) float32, 0..1.
    """
    side, cell, block = rgb.shape[0], (HOG_CELL_PX,) * 2, (2 * HOG_CELL_PX,) * 2
    hog = cv2.HOGDescriptor((side, side), block, cell, cell, HOG_BINS)
    return np.asarray(hog.compute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)), np.float32).ravel()
