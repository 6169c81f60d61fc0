"""Names, validation and identity of what MLflow is given; no MLflow needed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vultus.core.history import History, HistoryRow
from vultus.tracking.results import Validation, _validation, epoch_points, fingerprint


def _history(*phases: str) -> pd.DataFrame:
    rows = [("world", phase, 0, 5, "validation", "WER@lm", 0.5, 1.0) for phase in phases]
    return pd.DataFrame(rows, columns=list(HistoryRow.__dataclass_fields__))


@pytest.mark.parametrize(
    ("phases", "names"),
    [
        (("svm",), ["validation/WER:lm"]),
        (("train",), ["validation/WER:lm"]),
        (("features", "train"), ["features/validation/WER:lm", "validation/WER:lm"]),
    ],
)
def test_one_of_several_phases_is_named_unless_it_is_the_main_one(phases: tuple[str, ...], names: list[str]) -> None:
    assert [point.name for point in epoch_points(_history(*phases))] == names


def test_what_was_measured_more_than_once_in_an_epoch_is_averaged() -> None:
    history = pd.concat([_history("train"), _history("train").assign(value=0.7)])
    (point,) = epoch_points(history)
    assert (point.value, point.step) == (pytest.approx(0.6), 0)


def test_a_history_is_known_by_its_first_row_in_both_files(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append(HistoryRow("loso/1", "train", 0, 7, "train", "total", 1 / 3, 0.123))
    history.frame().to_parquet(tmp_path / "history.parquet")
    line = json.loads((tmp_path / "history.jsonl").read_text())
    row: dict[str, Any] = {str(k): v for k, v in pd.read_parquet(tmp_path / "history.parquet").iloc[0].items()}
    assert fingerprint(line) == fingerprint(row) == fingerprint(asdict(history.rows[0]))
    assert fingerprint({**line, "seconds": 0.124}) != fingerprint(line)


def test_validation_is_that_of_the_last_phase_averaged_over_folds() -> None:
    def fold(value: float | None) -> dict[str, Any]:
        return {"phases": {"features": {"metric": "loss", "value": 9.0}, "train": {"metric": "F1", "value": value}}}

    train = {"select": "F1", "select_goal": "max"}
    assert _validation({"folds": [fold(0.4), fold(0.6)], "train": train}) == Validation("F1", 0.5, True)
    assert _validation({"folds": [fold(0.4), fold(None)], "train": train}) is None
    assert _validation({}) is None
    search = {"phases": {"search": {"metric": "WER", "value": 0.2}}}
    assert _validation({"folds": [search], "train": train}) == Validation("WER", 0.2, False)
