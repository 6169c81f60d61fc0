from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.toys import TOYS


@pytest.fixture(scope="session")
def scrambled_roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same, where all that belongs to test and judge people is nonsense."""
    made = {}
    for family, write in TOYS.items():
        made[family] = tmp_path_factory.mktemp(f"{family}_scrambled")
        write(made[family], scrambled=("test", "judge"))
    return made
