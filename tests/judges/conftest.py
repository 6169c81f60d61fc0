"""The fold of drawn judge people, built once."""

from __future__ import annotations

import pytest

from tests.judges.toy_people import toy_fold
from vultus.judges import JudgeFold


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> JudgeFold:
    return toy_fold(tmp_path_factory.mktemp("people"))
