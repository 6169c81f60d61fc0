from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end run, which takes half of the suite's time, goes first: on two workers nobody waits for it."""
    items.sort(key=lambda item: "test_end_to_end" not in item.nodeid)


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family -> folder with its toy data; read only."""
    from tests.contract.toys import TOYS  # torch, which most tests never need

    made = {family: tmp_path_factory.mktemp(family) for family in TOYS}
    for family, root in made.items():
        TOYS[family](root)
    return made
