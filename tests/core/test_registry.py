from __future__ import annotations

import subprocess
import sys

import pytest

from vultus.core import registry
from vultus.core.errors import UserError


def test_listing_imports_no_system_and_no_torch() -> None:
    code = (
        "import sys; from vultus.core import registry; registry.keys();"
        "assert not any(m.startswith('vultus.systems.') or m == 'torch' for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_get_imports_that_file_alone() -> None:
    code = (
        "import sys; from vultus.core import registry; registry.get('hog_svm');"
        "assert 'vultus.systems.action_units.jaa_net' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_key_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"there is no system 'jaanet'; there is: .*jaa_net"):
        registry.get("jaanet")


def test_a_family_without_systems_says_so() -> None:
    with pytest.raises(UserError, match="'opera' has no systems yet"):
        registry.family("opera")


@pytest.mark.parametrize("key", registry.keys())
def test_card_agrees_with_its_file(key: str) -> None:
    card = registry.get(key)
    assert card.key == key
    assert card.family == registry.family_of(key)
    assert card.system.__module__ == f"vultus.systems.{card.family}.{key}"
    assert card.config() == card.config()  # the defaults alone are a whole configuration
    assert card.headline
    assert card.identifier or card.role == "baseline"  # a published method may serve as a baseline


def test_two_classes_cannot_share_a_key() -> None:
    card = registry.get("jaa_net")
    with pytest.raises(ValueError, match="two systems register"):
        registry.register(registry.Card(**{**card.__dict__, "system": registry.get("hog_svm").system}))
