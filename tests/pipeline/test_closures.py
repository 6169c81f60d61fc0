"""A stage depends on all code that it runs, so that an edit reruns what it must; and on no other system's file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.import_closure import ROOT, closure
from vultus.core import registry
from vultus.core.config import load_params


@functools.cache
def _stages() -> dict[str, Any]:
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


def _code_dependencies(stage: str) -> set[Path]:
    paths = [Path(dep.def_path) for dep in _stages()[stage].deps if not dep.def_path.startswith("/")]
    return {path for path in paths if path.parts and path.parts[0] in ("vultus", "stages")}


def _parameters(stage: str) -> set[str]:
    return {name for dep in _stages()[stage].deps if hasattr(dep, "params") for name in dep.params}


def _not_covered(files: set[str], dependencies: set[Path]) -> list[str]:
    return sorted(
        file for file in files if not any(dep == Path(file) or dep in Path(file).parents for dep in dependencies)
    )


def _script(stage: str) -> str:
    return f"stages/{stage.split('@')[0]}.py"


def _roots(stage: str) -> list[str]:
    """What a stage starts with: its script, and what it loads by a name from params.yaml."""
    group, _, key = stage.partition("@")
    if stage in SYSTEM_STAGES:
        family = Path("vultus/systems") / registry.family_of(key)
        return [_script(stage), str(_system_file(family, key)), str(family / "common.py")]
    if group == "judge":
        return [_script(stage), f"vultus/judges/{key}.py"]
    if group == "ingest":
        return [_script(stage), f"vultus/data/sources/{PARAMS['datasets'][key]['source']}.py"]
    return [_script(stage)]


STORES = ("landmarks", "crops", "faces", "audio", "articulation", "pictures")
PARAMS = load_params(ROOT / "params.yaml")
CLAIMS = load_params(ROOT / "claims/params.yaml")["claims"]
SYSTEM_STAGES = [f"{group}@{key}" for key in sorted(PARAMS["systems"]) for group in ("train", "evaluate")]


@pytest.mark.parametrize("stage", sorted(_stages()))
def test_imports_of_a_stage_lie_inside_its_dependencies(stage: str) -> None:
    assert _not_covered(closure(*_roots(stage)), _code_dependencies(stage)) == []


@pytest.mark.parametrize("stage", SYSTEM_STAGES)
def test_a_system_does_not_depend_on_another_system(stage: str) -> None:
    key = stage.split("@")[1]
    family = Path("vultus/systems") / registry.family_of(key)
    systems = {path for path in _code_dependencies(stage) if path.parts[:2] == ("vultus", "systems")}
    assert systems == {_system_file(family, key), family / "common.py"}


@pytest.mark.parametrize("stage", sorted(_stages()))
def test_every_code_dependency_exists_and_is_used(stage: str) -> None:
    dependencies = _code_dependencies(stage)
    assert [str(path) for path in dependencies if not (ROOT / path).exists()] == []
    if stage.split("@")[0] in ("judge", "train", "evaluate", "claim", "ledger", "report"):
        return  # these name whole packages by contract, so that a new system needs no line in dvc.yaml
    adapters = [str(path.relative_to(ROOT)) for path in (ROOT / "vultus/data/sources").glob("*.py")]
    roots = [*_roots(stage), *(adapters if stage.startswith("ingest@") else [])]
    used = [Path(file) for file in closure(*roots)]
    idle = [str(dep) for dep in dependencies if not any(dep == file or dep in file.parents for file in used)]
    assert idle == [], "an edit there would rerun the stage for nothing"


@pytest.mark.parametrize("stage", sorted(_stages()))
def test_a_stage_reads_its_own_section_only(stage: str) -> None:
    group, _, key = stage.partition("@")
    own = {
        "world": {"seed", "world"},
        "detector": {"seed", "detector", "datasets.world.root"},
        "judge": {"seed", f"judges.{key}"},
        "train": {"seed", f"systems.{key}"},
        "evaluate": {"seed", f"systems.{key}"},
        "compare": {"systems"},
        "report": {"seed", "datasets", "systems"},
        "claim": {"seeds", "datasets", f"systems.{key}", f"systems.{CLAIMS.get(key, {}).get('against')}"},
        "ledger": {"claims"},
    }
    assert _parameters(stage) == own.get(group, {f"{group if group in STORES else 'datasets'}.{key}"})


@pytest.mark.parametrize("stage", sorted(_stages()))
def test_a_stage_says_where_it_runs(stage: str) -> None:
    assert _stages()[stage].meta["resources"] in ("cpu", "gpu")


def test_only_the_results_table_is_outside_the_cache() -> None:
    uncached = [out.def_path for stage in _stages().values() for out in stage.outs if not out.use_cache]
    assert uncached == ["reports/results.csv"]


def _system_file(family: Path, key: str) -> Path:
    package = family / key
    return package if (ROOT / package).is_dir() else package.with_suffix(".py")
