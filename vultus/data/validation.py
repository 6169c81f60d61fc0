"""Validation of the four tables with Great Expectations, one suite a table, built from the tables' own schemas.

A row that fails is moved to the table of quarantine with file, row and reason; nothing is dropped otherwise, so that
rows in = rows valid + rows in quarantine, for every table. The frames are checked in pieces of whole clips, so memory
does not grow with the data set. ``validation.json`` is the compact result that the report draws its page from.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.data.decoding import Decoded, decode_clips
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.stores import CACHE_ROOT
from vultus.data.tables import SCHEMAS

CLIP_ID = r"^[A-Za-z0-9_/-]+$"

FAR_OUTSIDE = 1.0
"""A landmark further outside the picture than this many picture sizes is an error of the label."""

END_TOLERANCE_S = 0.1
"""A unit may end so much after the clip: label tools round to frames."""


@dataclass(frozen=True)
class Rule:
    """One expectation of a suite.

    Attributes:
        kind: class of ``great_expectations.expectations``.
        arguments: of that class.
        demand: what holds for a good row, for the report.
        reason: the sentence for a bad row.
    """

    kind: str
    arguments: Mapping[str, Any]
    demand: str
    reason: Callable[[Mapping[str, Any]], str]


@dataclass
class Outcome:
    """The result of one table over all its pieces."""

    rows_in: int = 0
    rows_valid: int = 0
    rows_quarantined: int = 0
    checked: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)


def validate(ingested: Path, valid: Path, root: Path, dataset: str, max_quarantined: float) -> dict[str, Any]:
    """Check the tables of ``ingested`` and write those rows that pass to ``valid``, with ``validation.json``.

    Args:
        ingested: folder of the four tables as the adapter wrote them.
        valid: folder to write, as a whole, at the end.
        root: the data set's root, for the media.
        dataset: key of the data set.
        max_quarantined: share of the clips that may be lost, 0..1; a clip that lost frames counts as that part.

    Returns:
        What is in ``validation.json``.

    Raises:
        UserError: more is lost than allowed; ``valid`` is left alone, the quarantine is written as CSV and named.
    """
    tables = ClipTables(ingested)
    decoded = decode_clips(root, tables.records(), dataset)
    before = tables.quarantine()
    outcomes = {name: Outcome() for name in ("clips", "frames", "units")}
    faults: list[dict[str, Any]] = []
    suites = {name: _Suite(name) for name in outcomes}
    with TableWriter(valid) as writer:
        derived = _clip_columns(tables.clips, decoded)
        clips = _check(suites["clips"], tables.table("clips"), derived, outcomes["clips"], faults)
        writer.add("clips", clips)
        known = set(clips["clip_id"].to_pylist())
        sizes = tables.clips.drop_duplicates("clip_id").set_index("clip_id")[["width_px", "height_px", "duration_s"]]
        for piece in track(tables.batches("frames"), "validating frames"):
            derived = _frame_columns(piece, known, decoded, sizes)
            writer.add("frames", _check(suites["frames"], piece, derived, outcomes["frames"], faults))
        for piece in track(tables.batches("units"), "validating units"):
            derived = _unit_columns(piece, known, sizes)
            writer.add("units", _check(suites["units"], piece, derived, outcomes["units"], faults))
        writer.add("quarantine", [*before.astype(object).where(before.notna(), None).to_dict("records"), *faults])
        result = _summary(dataset, suites, outcomes, before, faults, tables, max_quarantined)
        if result["quarantined_share"] > max_quarantined:
            raise UserError(_too_much(dataset, result, before, faults))
        (writer.partial / "validation.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


# --- rules ----------------------------------------------------------------------------------------------------------


def rules(name: str) -> list[Rule]:
    """The suite of a table: what its schema says, then what spans columns, tables and files."""
    made: list[Rule] = []
    for column in SCHEMAS[name]:
        about = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
        made.extend(_schema_rules(column.name, column.nullable, about))
    return [*made, *_SPANNING[name]]


def _schema_rules(column: str, nullable: bool, about: Mapping[str, str]) -> list[Rule]:
    made = []
    if not nullable:
        made.append(
            Rule(
                "ExpectColumnValuesToNotBeNull",
                {"column": column},
                "is given",
                lambda row: f"{column} is missing: give it",
            )
        )
    if "min" in about or "max" in about:
        low, high = (float(about[end]) if end in about else None for end in ("min", "max"))
        span = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'} {about['unit']}".strip()
        made.append(
            Rule(
                "ExpectColumnValuesToBeBetween",
                {"column": column, "min_value": low, "max_value": high},
                f"lies in {span}",
                lambda row: f"{column} is {row[column]:g}, outside {span}: correct it",
            )
        )
    if "values" in about:
        values = about["values"].split("|")
        made.append(
            Rule(
                "ExpectColumnValuesToBeInSet",
                {"column": column, "value_set": values},
                f"is one of {', '.join(values)}",
                lambda row: f"{column} is {row[column]!r}, not one of {', '.join(values)}: correct it",
            )
        )
    return made


def _no_problem(column: str, demand: str) -> Rule:
    """A derived column that holds a sentence where something is wrong, and null elsewhere."""
    return Rule("ExpectColumnValuesToBeNull", {"column": column}, demand, lambda row: str(row[column]))


_NOT_A_NUMBER = _no_problem("not_a_number", "no value is NaN or infinite; what is not coded is null")
_CLIP_KNOWN = _no_problem("clip_problem", "the clip is in the table of clips and not in quarantine")

_SPANNING: dict[str, list[Rule]] = {
    "clips": [
        Rule(
            "ExpectColumnValuesToMatchRegex",
            {"column": "clip_id", "regex": CLIP_ID},
            "holds letters, digits, '-', '_' and '/' only",
            lambda row: f"clip_id {row['clip_id']!r} holds other signs than letters, digits, '-', '_', '/': rename it",
        ),
        Rule(
            "ExpectColumnValuesToBeUnique",
            {"column": "clip_id"},
            "names one clip",
            lambda row: f"clip_id {row['clip_id']} names several clips: rename them",
        ),
        _no_problem("media_problem", "video and sound decode to their end, and are what the table says"),
        _no_problem("group_problem", "a person, and parents with their children, are in one group"),
        _NOT_A_NUMBER,
    ],
    "frames": [
        Rule(
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": ["clip_id", "frame"]},
            "a frame of a clip has one row",
            lambda row: f"frame {row['frame']:.0f} has two rows, and none says which is right: keep one",
        ),
        Rule(
            "ExpectColumnValuesToBeBetween",
            {"column": "landmark_points", "min_value": 1, "max_value": 68},
            "where there are landmarks, 1 to 68 points are present",
            lambda row: f"{row['landmark_points']:g} landmarks are present, not 1..68: correct them",
        ),
        _no_problem("length_problem", "landmarks, visibility and box have as many values as the schema says"),
        _no_problem("landmark_problem", "landmarks are finite, whole points near the picture"),
        _no_problem("picture_problem", "the frame has a picture that decodes"),
        _CLIP_KNOWN,
        _NOT_A_NUMBER,
    ],
    "units": [
        Rule(
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "end_s", "column_B": "start_s", "or_equal": True},
            "a unit ends after it starts",
            lambda row: f"the unit ends at {row['end_s']:g} s before it starts at {row['start_s']:g} s: correct it",
        ),
        _no_problem("end_problem", "a unit ends with the clip at the latest"),
        _CLIP_KNOWN,
        _NOT_A_NUMBER,
    ],
}


class _Suite:
    """The rules of a table as a Great Expectations suite that can be run on many data frames."""

    def __init__(self, name: str) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations as gx
        import great_expectations.expectations as expectations

        self.name, self.rules, self.version = name, rules(name), str(gx.__version__)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("tables").add_dataframe_asset(name)
        suite = gx.ExpectationSuite(
            name=name,
            expectations=[
                getattr(expectations, rule.kind)(**rule.arguments, meta={"rule": number})
                for number, rule in enumerate(self.rules)
            ],
        )
        self._definition = context.validation_definitions.add(
            gx.ValidationDefinition(
                name=name, data=asset.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
            )
        )

    def run(self, frame: pd.DataFrame, outcome: Outcome) -> dict[int, list[str]]:
        """Row position -> reasons, of the rows that fail.

        Raises:
            RuntimeError: an expectation could not be computed, which is a bug of its rule.
        """
        result = self._definition.run(
            batch_parameters={"dataframe": frame}, result_format={"result_format": "COMPLETE"}
        )
        reasons: dict[int, list[str]] = {}
        for of_rule in sorted(result.results, key=lambda r: r.expectation_config.meta["rule"]):
            number = of_rule.expectation_config.meta["rule"]
            rule, found = self.rules[number], of_rule.result
            if "element_count" not in found:
                raise RuntimeError(f"{rule.kind}({dict(rule.arguments)}): {of_rule.exception_info}")
            outcome.checked[number] += found["element_count"] - (found.get("missing_count") or 0)
            outcome.failed[number] += found["unexpected_count"]
            for position in found.get("unexpected_index_list") or []:
                reasons.setdefault(position, []).append(rule.reason(frame.loc[position]))
        return reasons


def _check(
    suite: _Suite,
    piece: pa.Table,
    derived: Mapping[str, Any],
    outcome: Outcome,
    faults: list[dict[str, Any]],
) -> pa.Table:
    """The rows of a piece that pass; the others are added to ``faults``."""
    flat = [f.name for f in piece.schema if not pa.types.is_list(f.type)]
    frame = piece.select(flat).to_pandas().assign(**derived, not_a_number=_not_a_number(piece.select(flat)))
    reasons = suite.run(frame, outcome) if piece.num_rows else {}
    for position in sorted(reasons):
        row = frame.loc[position]
        file, line = row.get("source_file"), row.get("source_row")
        if suite.name == "clips":
            file = row["media_file"]
        faults.append(
            {
                "table": suite.name,
                "file": file if isinstance(file, str) else f"{suite.name}.parquet",
                "row": int(line) if line is not None and pd.notna(line) else None,
                "clip_id": row["clip_id"],
                "frame": int(row["frame"]) if suite.name == "frames" else None,
                "reason": "; ".join(reasons[position]),
            }
        )
    passed = np.ones(piece.num_rows, bool)
    passed[list(reasons)] = False
    outcome.rows_in += piece.num_rows
    outcome.rows_valid += int(passed.sum())
    outcome.rows_quarantined += len(reasons)
    return piece.filter(pa.array(passed))


# --- columns that the rules look at, derived from several columns, tables or files ----------------------------------


def _clip_columns(clips: pd.DataFrame, decoded: Mapping[str, Decoded]) -> dict[str, Any]:
    found = [decoded[clip_id] for clip_id in clips["clip_id"]]
    media = clips["video"].fillna(clips["audio"]).fillna("clips.parquet")
    return {
        "media_problem": _text(f.error for f in found),
        "media_file": [f.file or file for f, file in zip(found, media, strict=True)],
        "group_problem": _group_problems(clips),
    }


def _group_problems(clips: pd.DataFrame) -> npt.NDArray[np.object_]:
    """People, or parents and children, that are in two groups: a split by group would divide them.

    A data set of one person is left alone: its groups are lists of sentences, as in silent speech.
    """
    if clips["subject"].nunique() == 1:
        return _text(None for _ in clips.index)
    groups: dict[str, set[str]] = {}
    for subject, group in clips[["subject", "group"]].dropna().itertuples(index=False):
        groups.setdefault(subject, set()).add(group)
    problems: list[str | None] = []
    for person in clips[["subject", "father", "mother"]].itertuples(index=False):
        members = [member for member in person if isinstance(member, str)]
        seen = sorted(set().union(*(groups.get(member, set()) for member in members)))
        torn = f"{' and '.join(members)} are in the groups {' and '.join(seen)}: put a person and family into one group"
        problems.append(torn if len(seen) > 1 else None)
    return _text(problems)


def _frame_columns(
    piece: pa.Table, known: set[str], decoded: Mapping[str, Decoded], sizes: pd.DataFrame
) -> dict[str, Any]:
    clip_ids = piece["clip_id"].to_pylist()
    frames = piece["frame"].to_pylist()
    nothing = Decoded()
    pictures = (
        decoded.get(clip_id, nothing).frame_error(frame) if clip_id in known else None
        for clip_id, frame in zip(clip_ids, frames, strict=True)
    )
    size = sizes[["width_px", "height_px"]].reindex(clip_ids).to_numpy(float)
    points, problems = _landmark_columns(piece["landmarks_68"], size)
    return {
        "clip_problem": _clip_problems(clip_ids, known),
        "picture_problem": _text(pictures),
        "length_problem": _length_problems(piece),
        "landmark_points": points,
        "landmark_problem": problems,
    }


def _length_problems(piece: pa.Table) -> npt.NDArray[np.object_]:
    problems = np.full(piece.num_rows, None, object)
    for column in SCHEMAS["frames"]:
        length = (column.metadata or {}).get(b"length")
        if length is not None:
            lengths = pc.fill_null(pc.list_value_length(piece[column.name]), int(length)).to_numpy()
            for row in np.flatnonzero(lengths != int(length)):
                problems[row] = f"{column.name} has {lengths[row]} values, not {int(length)}: correct it"
    return problems


def _landmark_columns(
    column: pa.ChunkedArray, size: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """Points present (NaN where there are no landmarks at all), and what is wrong with them.

    Args:
        column: N rows of 136 values or null; those of another length are left to the rule of lengths.
        size: (N, 2) width and height of the picture, px; NaN unknown.
    """
    n = len(column)
    points, problems = np.full(n, np.nan), np.full(n, None, object)
    whole = pc.fill_null(pc.equal(pc.list_value_length(column), 2 * 68), False)
    given = np.flatnonzero(whole.to_numpy())
    if not len(given):
        return points, problems
    flat = pc.list_flatten(column.filter(whole)).combine_chunks()
    xy = flat.to_numpy(zero_copy_only=False).reshape(-1, 68, 2).astype(np.float64)
    absent = flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, 68, 2)
    points[given] = (~absent.any(axis=2)).sum(axis=1)
    spoiled = (~np.isfinite(xy) & ~absent).any(axis=(1, 2))
    halved = (absent.any(axis=2) != absent.all(axis=2)).any(axis=1)
    reach = size[given][:, None, :]
    with np.errstate(invalid="ignore"):
        far = ((xy < -FAR_OUTSIDE * reach) | (xy > (1 + FAR_OUTSIDE) * reach)).any(axis=(1, 2))
    for mask, sentence in (
        (far, "a landmark lies far outside the picture: correct it"),
        (halved, "a landmark has only one of x and y: give both or none"),
        (spoiled, "a landmark is NaN or infinite: correct it, or make it null where the point is absent"),
    ):
        problems[given[mask]] = sentence
    return points, problems


def _unit_columns(piece: pa.Table, known: set[str], sizes: pd.DataFrame) -> dict[str, Any]:
    clip_ids = piece["clip_id"].to_pylist()
    duration = sizes["duration_s"].reindex(clip_ids).to_numpy(float)
    ends = piece["end_s"].to_numpy()
    late = ends > duration + END_TOLERANCE_S
    sentences = (
        f"the unit ends at {end:g} s and the clip at {length:g} s: correct it" if is_late else None
        for end, length, is_late in zip(ends, duration, late, strict=True)
    )
    return {"clip_problem": _clip_problems(clip_ids, known), "end_problem": _text(sentences)}


def _clip_problems(clip_ids: list[str], known: set[str]) -> npt.NDArray[np.object_]:
    return _text(None if c in known else f"its clip {c} is in quarantine or unknown: cure the clip" for c in clip_ids)


def _not_a_number(piece: pa.Table) -> npt.NDArray[np.object_]:
    """A sentence for the rows in which a number is NaN or infinite; null is not."""
    problems = np.full(piece.num_rows, None, object)
    for column in piece.schema:
        if pa.types.is_floating(column.type):
            finite = pc.fill_null(pc.is_finite(piece[column.name]), True).to_numpy()
            problems[~finite] = f"{column.name} is NaN or infinite: correct it, or make it null where it is not coded"
    return problems


def _text(sentences: Any) -> npt.NDArray[np.object_]:
    values = list(sentences)
    column = np.full(len(values), None, object)
    column[:] = values
    return column


# --- result ---------------------------------------------------------------------------------------------------------


def _summary(
    dataset: str,
    suites: Mapping[str, _Suite],
    outcomes: Mapping[str, Outcome],
    before: pd.DataFrame,
    faults: list[dict[str, Any]],
    tables: ClipTables,
    max_quarantined: float,
) -> dict[str, Any]:
    share = _lost_share(before, faults, tables)
    return {
        "dataset": dataset,
        "great_expectations": suites["clips"].version,
        "quarantined_share": round(share, 6),
        "max_quarantined": max_quarantined,
        "quarantined_while_reading": dict(Counter(before["table"])),
        "tables": {
            name: {
                "rows_in": outcome.rows_in,
                "rows_valid": outcome.rows_valid,
                "rows_quarantined": outcome.rows_quarantined,
                "expectations": [
                    {
                        "expectation": rule.kind,
                        "columns": _columns_of(rule),
                        "demand": rule.demand,
                        "checked": outcome.checked[number],
                        "failed": outcome.failed[number],
                    }
                    for number, rule in enumerate(suites[name].rules)
                ],
            }
            for name, outcome in outcomes.items()
        },
    }


def _columns_of(rule: Rule) -> list[str]:
    named = (rule.arguments.get(key) for key in ("column", "column_A", "column_B"))
    return [name for name in named if name] + list(rule.arguments.get("column_list", []))


def _lost_share(before: pd.DataFrame, faults: list[dict[str, Any]], tables: ClipTables) -> float:
    """Share of the clips that was lost: 1 for a clip left out, the lost part of its frames for a clip that was cut."""
    lines = pd.concat([before, pd.DataFrame(faults, columns=before.columns).astype(object)])
    lines = lines[lines["clip_id"].notna()]
    whole = set(lines.loc[lines["table"] == "clips", "clip_id"])
    of_frames = lines[(lines["table"] == "frames") & (lines["row"].notna() | lines["frame"].notna())]
    lost = of_frames.groupby("clip_id").size()
    had = pd.Series(dtype=float)
    for piece in tables.batches("frames", ["clip_id"]):
        had = had.add(piece.to_pandas()["clip_id"].value_counts(), fill_value=0)
    # What the adapter could not read never came into the table.
    unread = before[(before["table"] == "frames") & (before["row"].notna() | before["frame"].notna())]
    had = had.add(unread.groupby("clip_id").size(), fill_value=0)
    parts = (lost / had.reindex(lost.index)).clip(upper=1.0).drop(labels=list(whole), errors="ignore")
    n_clips = len(set(tables.clips["clip_id"]) | whole)
    return (len(whole) + float(parts.sum())) / n_clips if n_clips else 1.0


def _too_much(dataset: str, result: dict[str, Any], before: pd.DataFrame, faults: list[dict[str, Any]]) -> str:
    every = pd.concat([before, pd.DataFrame(faults, columns=before.columns)])
    path = CACHE_ROOT / dataset / "quarantine.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    every.to_csv(path, index=False)
    first = every.iloc[0]
    limit = f"datasets.{dataset}.validation.max_quarantined"
    return (
        f"datasets.{dataset}: {100 * result['quarantined_share']:.1f} % of the clips are in quarantine, more than the "
        f"{100 * result['max_quarantined']:.1f} % that {limit} allows (the first: {first['file']}, {first['reason']}); "
        f"repair the files listed in {path}, or raise the limit"
    )
