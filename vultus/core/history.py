"""What happened during a training, row by row: kept in memory, in the checkpoint, and in a file that grows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class HistoryRow:
    """One number of a training."""

    fold: str
    phase: str
    epoch: int
    """From 0."""
    step: int
    """Optimiser steps done in this phase."""
    split: str
    """``train`` or ``validation``."""
    name: str
    value: float
    seconds: float
    """Since the phase began, pauses by a kill left out."""


class History:
    """The rows of a run.

    ``history.jsonl`` gets a line with each row, for whoever follows a training; it is a mirror, never read back. After
    a restart the rows come from the checkpoint, and the file is written anew from them, so that steps which are done
    a second time do not stand in it twice.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.rows: list[HistoryRow] = []

    def append(self, row: HistoryRow) -> None:
        """Add a row, and a line to the file."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Replace the rows by those of a checkpoint, in the file too."""
        self.rows = [HistoryRow(**row) for row in rows]
        if self.path is not None:
            self.path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in self.rows))

    def frame(self) -> pd.DataFrame:
        """The rows as a table with the columns of `HistoryRow`."""
        columns = list(HistoryRow.__dataclass_fields__)
        return pd.DataFrame([asdict(row) for row in self.rows], columns=columns)
