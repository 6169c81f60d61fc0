"""What happened during a training, row by row: kept in memory, in the checkpoint, and in a file that grows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
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


Observer = Callable[[HistoryRow], None]
"""Is told each new row; live tracking hangs in here. It must neither raise nor wait."""


class History:
    """The rows of a run.

    ``history.jsonl`` gets a line with each row, for whoever follows a training; it is a mirror, never read back. After
    a restart the rows come from the checkpoint, and the file is written anew from them, so that steps which are done
    a second time do not stand in it twice.
    """

    def __init__(self, path: Path | None = None, observers: Iterable[Observer] = ()) -> None:
        self.path = path
        self.observers = tuple(observers)
        self.rows: list[HistoryRow] = []

    def append(self, row: HistoryRow) -> None:
        """Add a row, append it to the file and tell the observers."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        for observer in self.observers:
            observer(row)

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Replace the rows by those of a checkpoint, without telling the observers."""
        self.rows = [HistoryRow(**row) for row in rows]
        if self.path is not None:
            self.path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in self.rows))

    def frame(self) -> pd.DataFrame:
        """The rows as a table with the columns of `HistoryRow`."""
        columns = list(HistoryRow.__dataclass_fields__)
        return pd.DataFrame([asdict(row) for row in self.rows], columns=columns)
