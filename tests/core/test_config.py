from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from vultus.core.config import load_params, section, store_section, subsection
from vultus.core.errors import UserError


@dataclass
class Optimiser:
    learning_rate: float = 0.01


@dataclass
class Config:
    width: int = 8
    mode: Literal["mean", "sum"] = "mean"
    action_units: tuple[int, ...] = (1, 2)
    size_px: tuple[int, int] = (176, 176)
    limit: float | None = None
    flip: bool = True
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width must be at least 1")


def test_values_are_converted_and_defaults_kept() -> None:
    config = section(
        Config, {"action_units": [4, 12], "limit": 2, "optimiser": {"learning_rate": 1}}, "systems.x.config"
    )
    assert config == Config(action_units=(4, 12), limit=2.0, optimiser=Optimiser(1.0))
    assert isinstance(config.limit, float)
    assert section(Config, {"limit": None}, "x").limit is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 4}, "x has no key 'widht'; known keys: width, mode, action_units, size_px, limit, flip, optimiser"),
        ({"width": "8"}, "x.width must be int, not '8'"),
        ({"width": True}, "x.width must be int, not True"),
        ({"flip": 1}, "x.flip must be bool, not 1"),
        ({"mode": "max"}, "x.mode is 'max'; it must be one of 'mean', 'sum'"),
        ({"action_units": 4}, "x.action_units must be a list, not 4"),
        ({"action_units": [1, "2"]}, "x.action_units[1] must be int, not '2'"),
        ({"size_px": [176]}, "x.size_px must have 2 values, not 1"),
        ({"limit": "none"}, "x.limit must be float, not 'none'"),
        ({"optimiser": {"lr": 1.0}}, "x.optimiser has no key 'lr'; known keys: learning_rate"),
        ({"optimiser": 3}, "x.optimiser must be a mapping, not 3"),
        ({"width": 0}, "x: width must be at least 1"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        section(Config, values, "x")
    assert message in str(caught.value)


def test_missing_value_without_default_is_named() -> None:
    @dataclass
    class Needs:
        root: str

    with pytest.raises(UserError, match=r"datasets\.d needs the key 'root'"):
        section(Needs, {}, "datasets.d")


def test_load_params_explains_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_params(tmp_path / "params.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1, 2")
    with pytest.raises(UserError, match="not valid YAML"):
        load_params(bad)
    bad.write_text("- 1\n")
    with pytest.raises(UserError, match="mapping of sections, not list"):
        load_params(bad)
    bad.write_text("seed: 3\n")
    assert load_params(bad) == {"seed": 3}


def test_subsection_lists_what_is_there() -> None:
    params = {"systems": {"jaa_net": {"family": "action_units"}, "empty": None}}
    assert subsection(params, "systems", "jaa_net") == {"family": "action_units"}
    assert subsection(params, "systems", "empty") == {}
    with pytest.raises(UserError, match=r"no section 'systems.jaa_nett'; there is: empty, jaa_net"):
        subsection(params, "systems", "jaa_nett")


def test_a_store_section_is_a_root_and_settings() -> None:
    params = {"crops": {"mine": {"root": "/data/mine", "width": 4}, "lost": {"width": 4}}}
    root, config = store_section(Config, params, "crops", "mine")
    assert (root, config.width) == (Path("/data/mine"), 4)
    assert params["crops"]["mine"]["root"] == "/data/mine", "the params stay as they were read"
    with pytest.raises(UserError, match=r"crops\.lost needs the key 'root', the same as datasets\.lost\.root"):
        store_section(Config, params, "crops", "lost")
    with pytest.raises(UserError, match=r"no section 'crops\.other'; there is: lost, mine"):
        store_section(Config, params, "crops", "other")
