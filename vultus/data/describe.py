"""The tables as a Markdown reference: ``python -m vultus.data.describe`` renews the marked part of docs/data.md."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from vultus.data.tables import ACTION_UNITS, SCHEMAS, intensity_column, occurrence_column

BEGIN = "<!-- from vultus/data/tables.py by python -m vultus.data.describe: do not edit by hand -->"
END = "<!-- end -->"


def reference() -> str:
    """A table a schema: column, type, unit, range, meaning; the columns of the action units are one line each kind."""
    return "\n".join(_one_table(name, schema) for name, schema in SCHEMAS.items())


def renewed(page: str) -> str:
    """The page with its marked part replaced.

    Raises:
        ValueError: the page has no marks.
    """
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the page needs a line {BEGIN!r} and a later line {END!r}")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _one_table(name: str, schema: pa.Schema) -> str:
    lines = [
        f"### {name}.parquet\n",
        "| column | type | unit | range or values | null | meaning |",
        "|---|---|---|---|---|---|",
    ]
    first = ACTION_UNITS[0]
    shown = {
        occurrence_column(first): ("auNN_occurrence", "action unit NN is present"),
        intensity_column(first): ("auNN_intensity", "intensity of action unit NN, FACS A..E = 1..5"),
    }
    hidden = {make(au) for au in ACTION_UNITS[1:] for make in (occurrence_column, intensity_column)}
    for field in schema:
        if field.name in hidden:
            continue
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        column, meaning = shown.get(field.name, (field.name, about["meaning"]))
        span = about.get("values", "").replace("|", ", ")
        if "min" in about or "max" in about:
            span = f"{about.get('min', '')} .. {about.get('max', '')}".strip()
        length = about.get("length")
        kind = str(field.type) if length is None else f"{length} x {field.type.value_type}"
        null = "yes" if field.nullable else "no"
        lines.append(f"| `{column}` | {kind} | {about['unit']} | {span} | {null} | {meaning} |")
    if name == "frames":
        lines.append(f"\nNN is one of {', '.join(f'{au:02d}' for au in ACTION_UNITS)}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path("docs/data.md")
    path.write_text(renewed(path.read_text()))
