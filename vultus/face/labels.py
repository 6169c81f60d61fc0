"""Action unit labels of the frames table as arrays beside the pictures of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vultus.data.tables import ACTION_UNITS, intensity_column, occurrence_column

LABEL_COLUMNS = [column(au) for column in (occurrence_column, intensity_column) for au in ACTION_UNITS]


def rows_of_frames(labels: pa.Table, frames: Sequence[int]) -> pa.Table:
    """The rows of a clip's table for the given frames, in their order; all null where the table has no such frame."""
    return labels.take(pc.index_in(pa.array(frames, pa.int32()), value_set=labels["frame"].combine_chunks()))


def au_arrays(labels: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """``au_occurrence`` (N, A) int8, -1 not coded, and ``au_intensity`` (N, A) float32, NaN not coded."""

    def columns(name: Any, absent: float, dtype: Any) -> npt.NDArray[Any]:
        filled = [labels[name(au)].cast(pa.float32()).fill_null(absent).to_numpy() for au in ACTION_UNITS]
        return np.stack(filled, axis=-1).astype(dtype)

    return {
        "au_occurrence": columns(occurrence_column, -1, np.int8),
        "au_intensity": columns(intensity_column, np.nan, np.float32),
    }
