import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real() -> Path:
    """Small real files that are not part of the product; where they lie is in VULTUS_REAL."""
    folder = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()
    if not folder.is_dir():
        pytest.skip(f"the real example files are not here: set VULTUS_REAL to their folder (looked in {folder})")
    return folder
