"""The reference of the columns in docs/data.md is the one that the schemas give."""

from __future__ import annotations

from pathlib import Path

import pytest

from vultus.data.describe import reference, renewed
from vultus.data.tables import SCHEMAS, intensity_column, occurrence_column

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_page_is_current() -> None:
    page = PAGE.read_text()
    assert renewed(page) == page, "run python -m vultus.data.describe"


def test_every_column_is_described_once() -> None:
    text = reference()
    for schema in SCHEMAS.values():
        for field in schema:
            if not field.name.endswith(("_occurrence", "_intensity")):
                assert f"| `{field.name}` |" in text
    assert text.count("`auNN_occurrence`") == text.count("`auNN_intensity`") == 1
    assert f"`{occurrence_column(1)}`" not in text
    assert f"`{intensity_column(12)}`" not in text


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a line"):
        renewed("# Data\n")
