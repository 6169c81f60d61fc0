from __future__ import annotations

from pathlib import Path

import pytest

from tests.systems.toy_faces import write_toy
from vultus.data.stores import Store


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository after the crop stage; read only."""
    root = tmp_path_factory.mktemp("toy")
    write_toy(root)
    return root


@pytest.fixture(scope="session")
def toy_store(toy_root: Path) -> Store:
    return Store(toy_root / "data/features/world/crops")
