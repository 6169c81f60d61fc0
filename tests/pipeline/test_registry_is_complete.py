"""Every system has a file, a card, a section in all params files, stages, and a line in README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vultus import judges
from vultus.core import registry
from vultus.core.config import load_params, section
from vultus.core.experiment import SystemSection
from vultus.core.loop import TrainConfig

ROOT = Path(__file__).parents[2]
FILES = ("params.yaml", "params/smoke.yaml", "params/paper.yaml", "params/paper_disfa.yaml")

STORES = ("landmarks", "crops", "faces", "audio", "articulation", "pictures")
"""Feature stores: a section and a stage group each."""

PLANNED = {
    "action_units": {"jaa_net", "jaa_hat_net", "arl", "jaa_graph", "au_gcn", "marl", "rrl_ssl", "uau_net"},
    "talking_heads": {"au_talker", "fusion_talker", "nerf_ad", "nerf_3dtalker", "ua_3dtalk"},
    "restoration": {"progressive_fsr", "edge_ts_fsr", "mfg_gan", "igcn_restore"},
    "synthesis": {"lac_gan", "au_3dmm_gan", "descendant"},
    "speech_emotion": {"ldf_ser"},
    "silent_speech": {"ssc_dnn"},
    "adaptation": {"tsc_uda"},
}
"""The 23 systems by family; baselines come on top."""


def _states() -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\w+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("file", FILES)
def test_a_params_file_covers_every_system(file: str) -> None:
    params = load_params(ROOT / file)
    assert set(params) == {"seed", "world", "datasets", *STORES, "detector", "judges", "systems"}
    assert sorted(params["systems"]) == list(registry.keys("action_units" if file.endswith("disfa.yaml") else None))


@pytest.mark.parametrize("file", FILES)
def test_a_store_reads_a_data_set_where_it_lies(file: str) -> None:
    params = load_params(ROOT / file)
    for store in STORES:
        for key, settings in params[store].items():
            assert settings["root"] == params["datasets"][key]["root"], f"{store}.{key}"


@pytest.mark.parametrize("file", FILES)
def test_the_judges_people_are_in_no_other_data_set(file: str) -> None:
    for key, dataset in load_params(ROOT / file)["datasets"].items():
        if dataset["source"] == "world":
            assert ("judge" in dataset["options"]["groups"]) == (key == "judging")


@pytest.mark.parametrize(
    ("file", "key"), [(file, key) for file in FILES for key in load_params(ROOT / file)["systems"]]
)
def test_a_section_loads_into_the_systems_config(file: str, key: str) -> None:
    params = load_params(ROOT / file)
    settings = section(SystemSection, params["systems"][key], f"systems.{key}")
    card = registry.get(key)
    assert settings.family == card.family == registry.family_of(key)
    assert settings.dataset in params["datasets"]
    assert settings.dataset in params[settings.features]
    section(card.config, settings.config, f"systems.{key}.config")
    section(TrainConfig, {**vars(card.train), **settings.train}, f"systems.{key}.train")


@pytest.mark.parametrize("file", FILES)
def test_a_params_file_teaches_every_judge(file: str) -> None:
    params = load_params(ROOT / file)["judges"]
    assert sorted(params) == list(judges.keys())
    for name, values in params.items():
        settings, card = section(judges.JudgeSection, values, f"judges.{name}"), judges.get(name)
        section(card.config, settings.config, f"judges.{name}.config")
        section(TrainConfig, {**vars(card.train), **settings.train}, f"judges.{name}.train")


def test_disfa_is_run_with_the_action_units_whose_numbers_the_papers_print() -> None:
    for key, system in load_params(ROOT / "params/paper_disfa.yaml")["systems"].items():
        assert system["config"]["labels"] == "intensity"
        assert tuple(system["config"]["aus"]) == (1, 2, 4, 6, 9, 12, 25, 26)
        printed = registry.get(key).paper_values.get("disfa", {})
        parts = {int(name.removeprefix("F1/AU")) for name in printed if name.startswith("F1/AU")}
        assert parts in (set(), {1, 2, 4, 6, 9, 12, 25, 26})


@pytest.mark.parametrize("key", registry.keys())
def test_a_card_says_what_a_reader_needs(key: str) -> None:
    card = registry.get(key)
    assert card.key == key
    assert card.title
    assert card.headline
    if card.role == "system":
        assert key in PLANNED[card.family]
        assert card.identifier
        assert card.paper_values or card.claims, (
            "the paper's numbers stand beside ours, or at least its claim is put to the test"
        )
        assert card.authors
        assert card.reconstructed


def test_readme_lists_the_23_systems_with_their_state() -> None:
    states = _states()
    assert set(states) == set.union(*PLANNED.values())
    assert len(states) == 23
    cards = [registry.get(key) for key in registry.keys()]  # noqa: SIM118  keys() is a function of the module
    runs = {card.key for card in cards if card.role == "system"}
    assert {key for key, state in states.items() if state == "runs"} == runs
    assert {state for key, state in states.items() if key not in runs} <= {"planned"}


def test_every_family_folder_is_known() -> None:
    assert set(registry.families()) == set(PLANNED)
