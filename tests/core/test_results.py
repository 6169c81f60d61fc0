from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from vultus.core.errors import UserError
from vultus.core.results import ResultRow, read_rows, write_curves, write_metrics, write_rows

NAN = float("nan")
ROWS = [
    ResultRow("jaa_net", "action_units", "world", "world", "F1", 0.612345678, 0.55, 0.67, 9, "", "0123456789ab", NAN),
    ResultRow("jaa_net", "action_units", "world", "world", "F1/AU12", NAN, NAN, NAN, 9, "", "000000000012", 0.869),
]


def test_rows_round_trip(tmp_path: Path) -> None:
    write_rows(tmp_path / "results.csv", ROWS)
    frame = read_rows(tmp_path / "results.csv")
    assert list(frame.metric) == ["F1", "F1/AU12"]
    assert frame.value[0] == pytest.approx(0.612346)
    assert frame.split_hash[1] == "000000000012"
    assert (frame.judge == "").all()
    assert pd.isna(frame.value[1])


def test_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("system,value\na,1\n")
    with pytest.raises(UserError, match="has the columns system, value"):
        read_rows(tmp_path / "results.csv")


def test_metrics_are_flat_and_nan_is_null(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", {"F1": 0.5, "NME": NAN})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"F1": 0.5, "NME": None}


def test_curves_have_a_row_an_epoch(tmp_path: Path) -> None:
    history = pd.DataFrame({
        "fold": ["w"] * 4, "phase": ["train"] * 4, "epoch": [0, 0, 1, 1], "step": [5, 5, 10, 10],
        "split": ["train", "validation"] * 2, "name": ["total", "F1"] * 2, "value": [2.0, 0.3, 1.0, 0.4],
        "seconds": [1.0] * 4,
    })  # fmt: skip
    write_curves(tmp_path / "curves.csv", history)
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert list(curves["train/total"]) == [2.0, 1.0]
    assert list(curves["validation/F1"]) == [0.3, 0.4]
