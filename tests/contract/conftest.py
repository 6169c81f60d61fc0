from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.toys import TOYS


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family -> folder with its toy data."""
    made = {}
    for family, write in TOYS.items():
        made[family] = tmp_path_factory.mktemp(family)
        write(made[family])
    return made
