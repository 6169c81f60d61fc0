from __future__ import annotations

from pathlib import Path

import pytest

from vultus.data.stores import Store


@pytest.fixture(scope="session")
def toy_root(roots: dict[str, Path]) -> Path:
    """A folder that looks like the repository after the crop stage; read only."""
    return roots["action_units"]


@pytest.fixture(scope="session")
def toy_store(toy_root: Path) -> Store:
    return Store(toy_root / "data/features/world/crops")
