from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family -> folder with its toy data; read only."""
    from tests.contract.toys import TOYS  # torch, which most tests never need

    made = {family: tmp_path_factory.mktemp(family) for family in TOYS}
    for family, root in made.items():
        TOYS[family](root)
    return made
