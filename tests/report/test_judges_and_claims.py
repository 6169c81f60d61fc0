"""What the pages say of judges, of controls and of the ledger."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.synthetic_results import write_repository
from vultus.core.claims import COLUMNS
from vultus.core.results import ResultRow, write_rows
from vultus.report.collect import read_claims, read_judges, read_system
from vultus.report.site import build_site


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def write_judge(root: Path, name: str, accepted: bool) -> None:
    folder = root / "models/judges" / name
    folder.mkdir(parents=True)
    test = {"name": "offsets recovered", "value": 0.93 if accepted else 0.4, "bound": 0.9, "direction": "at least",
            "passed": accepted}  # fmt: skip
    said = {"name": name, "origin": "embedded", "hash": "1f2e3d4c5b6a", "accepted": accepted, "tests": [test]}
    (folder / "acceptance.json").write_text(json.dumps(said))


def row(metric: str, value: float, judge: str = "") -> ResultRow:
    return ResultRow(
        "jaa_net", "action_units", "world", "world", metric, value, value - 0.01, value + 0.01, 12, judge, "abc",
        float("nan"),
    )  # fmt: skip


def write_ledger(root: Path) -> None:
    rows = [
        ("jaa_net", "attention", "F1", "higher", "jaa_net", "jaa_net: attention=none", 0.05, 0.02, 0.08, 5, "confirmed",
         ""),
        ("jaa_net", "attention", "NME", "lower", "jaa_net", "jaa_net: attention=none", 0.01, -0.02, 0.04, 5,
         "not confirmed", "60.0 against 55.9"),
    ]  # fmt: skip
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(root / "reports/claims.csv", index=False)


def test_a_judge_that_was_not_accepted_is_named_as_such(tmp_path: Path) -> None:
    params = write_repository(tmp_path)
    write_judge(tmp_path, "syncnet", True)
    write_judge(tmp_path, "lip_reader", False)
    assert [(judge.name, judge.accepted) for judge in read_judges(tmp_path)] == [
        ("lip_reader", False),
        ("syncnet", True),
    ]
    build_site(tmp_path, tmp_path / "site", params)
    text = plain((tmp_path / "site/judges.html").read_text())
    assert "lip reader not accepted" in text
    assert "syncnet not accepted" not in text
    assert "syncnet embedded 1f2e3d4c" in text
    assert "offsets recovered 0.930 at least 0.9 yes" in text


def test_judged_numbers_are_marked_and_controls_stand_beside_them(tmp_path: Path) -> None:
    params = write_repository(tmp_path)
    results = tmp_path / "reports/systems/jaa_net/results.csv"
    judged = "syncnet embedded 1f2e"
    write_rows(
        results,
        [row("F1", 0.5), row("F1/AU01", 0.5), row("F1/AU01@truth", 0.9), row("NME", 0.1, judged)]
        + [row("NME@truth", 0.02, judged), row("NME@still", 0.3)],
    )
    system = read_system(tmp_path, "jaa_net", params["systems"]["jaa_net"], synthetic=True)
    assert system.parts()["F1"]["part"].tolist() == ["AU01"]
    metrics, table = system.controls()
    assert metrics == ["NME"]
    assert {name: rows["NME"]["value"] for name, rows in table.items()} == pytest.approx(
        {"jaa_net": 0.1, "truth": 0.02, "still": 0.3}
    )
    build_site(tmp_path, tmp_path / "site", params)
    page = plain((tmp_path / "site/systems/jaa_net.html").read_text())
    assert "NME*" in page
    assert "F1*" not in page
    assert "not by the published network of that name" in page
    assert "truth 0.020" in page


def test_numbers_of_a_judge_that_was_not_accepted_carry_a_mark_of_their_own(tmp_path: Path) -> None:
    params = write_repository(tmp_path)
    results = tmp_path / "reports/systems/jaa_net/results.csv"
    missed = "au embedded 1f2e (not accepted)"
    write_rows(results, [row("F1", 0.5, "syncnet embedded 1f2e"), row("NME", 0.1, missed)])
    build_site(tmp_path, tmp_path / "site", params)
    page = plain((tmp_path / "site/systems/jaa_net.html").read_text())
    assert "NME*†" in page
    assert "F1*†" not in page
    assert "missed a bound of its acceptance test" in page


def test_the_ledger_page_has_each_claim_with_its_verdict(tmp_path: Path) -> None:
    params = write_repository(tmp_path)
    write_ledger(tmp_path)
    assert read_claims(tmp_path)["sentence"].str.startswith("Attention maps refined").all()
    build_site(tmp_path, tmp_path / "site", params)
    text = plain((tmp_path / "site/claims.html").read_text())
    assert "0.0500 0.0200 – 0.0800 5 confirmed" in text
    assert "not confirmed 60.0 against 55.9" in text
    assert "1 confirmed, 1 not confirmed" in plain((tmp_path / "site/index.html").read_text())


def test_without_judges_and_claims_there_is_no_page_of_them(tmp_path: Path) -> None:
    build_site(tmp_path, tmp_path / "site", write_repository(tmp_path))
    assert not (tmp_path / "site/judges.html").exists()
    assert "claims.html" not in (tmp_path / "site/index.html").read_text()
