"""The result files of a system: written once, at a stage's end; read by the comparison, the report and the tracking.

`docs/architecture.md` section 8 lists them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from vultus.core.errors import UserError


@dataclass(frozen=True)
class ResultRow:
    """A row of ``results.csv``: one number with its interval, its protocol and the paper's number."""

    system: str
    family: str
    dataset: str
    protocol: str
    metric: str
    """Headline name, or ``F1/AU12`` for a part of it."""
    value: float
    low: float
    high: float
    """95 % bootstrap interval over subjects; NaN where there is none."""
    n: int
    """Subjects (speakers, sessions) behind the number."""
    judge: str
    """Name and hash of the network that measured; empty where none did."""
    split_hash: str
    paper_value: float
    """NaN where the paper has none for this data set."""


SYNTHETIC_SOURCE = "world"
"""The adapter (``datasets.<D>.source``) whose people are made, not filmed; what shows them is labelled so."""

COLUMNS = tuple(ResultRow.__dataclass_fields__)


def write_rows(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write ``results.csv``; numbers with six significant digits, so that a rerun changes no byte."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def read_rows(path: Path) -> pd.DataFrame:
    """Read ``results.csv``; empty judge is an empty string, an absent number is NaN.

    Raises:
        UserError: the file is missing or has other columns.
    """
    try:
        frame = pd.read_csv(path, dtype={"judge": str, "split_hash": str}, keep_default_na=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the evaluate stage of this system first") from None
    if tuple(frame.columns) != COLUMNS:
        raise UserError(
            f"{path} has the columns {', '.join(frame.columns)}; expected {', '.join(COLUMNS)}: evaluate again"
        )
    frame["judge"] = frame["judge"].fillna("")
    return frame


def write_metrics(path: Path, metrics: dict[str, float]) -> None:
    """Write ``metrics.json``: flat, sorted as given; a number that does not exist is null."""
    rounded = {name: None if math.isnan(value) else float(f"{value:.6g}") for name, value in metrics.items()}
    path.write_text(json.dumps(rounded, indent=2) + "\n")


def write_curves(path: Path, history: pd.DataFrame) -> None:
    """Write ``curves.csv``: a row an epoch of a fold and phase, a column a curve, named ``split/name``."""
    frame = history.assign(curve=history["split"] + "/" + history["name"])
    wide = frame.pivot_table(
        index=["fold", "phase", "epoch"], columns="curve", values="value", sort=False
    ).reset_index()
    wide.columns.name = None
    wide.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
