"""What a reproduction did, for people: stages as a table, failures in their own words, numbers that moved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from flows.execution import MEANING, StageResult

_KEY = ("system", "dataset", "protocol", "metric", "judge")


def summarise(results: Sequence[StageResult]) -> str:
    """A Markdown table of all stages, with the words of those that failed below it."""
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in MEANING}
    lines = [
        "# Reproduction",
        "",
        ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count),
        "",
        "| stage | outcome | seconds |",
        "|---|---|---|",
        *(f"| `{r.stage}` | {MEANING[r.outcome]}{_where(r)} | {r.seconds:.1f} |" for r in results),
    ]
    for result in results:
        if result.outcome == "failed":
            lines += ["", f"## {result.stage}", "", "```", result.tail.rstrip().replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def _where(result: StageResult) -> str:
    return f", in {result.where}" if result.where else ""


def changed_metrics(before: str, after: str) -> list[dict[str, str]]:
    """The numbers that differ between two versions of ``reports/results.csv``.

    Args:
        before: text of the table of the last run; empty if there was none.
        after: text of the table now.

    Returns:
        One row a number: system, dataset, protocol, metric, judge, before, after; a value that is new or gone has an
        empty cell on the other side.
    """
    old, new = _values(before), _values(after)
    return [
        {**dict(zip(_KEY, key, strict=True)), "before": old.get(key, ""), "after": new.get(key, "")}
        for key in dict.fromkeys([*new, *old])
        if old.get(key) != new.get(key)
    ]


def _values(table: str) -> dict[tuple[str, ...], str]:
    return {tuple(row[name] for name in _KEY): row["value"] for row in csv.DictReader(io.StringIO(table))}
