"""What may be imported without what: a bare GPU image trains, listing systems needs no torch, torchvision stays out."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from vultus.core import registry

ROOT = Path(__file__).parents[1]
TRAINING_PACKAGES = ("core", "nn", "losses", "metrics", "systems", "judges")
NOT_ON_A_BARE_GPU_IMAGE = (
    *("mlflow", "dvc", "prefect", "great_expectations", "librosa", "av", "soundfile", "h5py"),
    *("espeakng_loader", "mediapipe", "matplotlib", "jinja2", "torchmetrics"),
)

BLOCKER = """
import importlib.abc, sys
BLOCKED = {blocked!r}
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
import importlib
for name in {modules!r}:
    importlib.import_module(name)
"""


def _run(code: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def _modules(package: str) -> list[str]:
    paths = sorted((ROOT / "vultus" / package).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def test_training_code_imports_on_a_bare_gpu_image() -> None:
    modules = [name for package in TRAINING_PACKAGES for name in _modules(package)]
    _run(BLOCKER.format(blocked=set(NOT_ON_A_BARE_GPU_IMAGE), modules=modules))


def test_importing_vultus_loads_no_system() -> None:
    _run(
        "import sys, vultus, vultus.cli\n"
        "from vultus.core import registry\n"
        "assert registry.keys()\n"
        "systems = [n for n in sys.modules if n.startswith('vultus.systems.') and n.count('.') > 2]\n"
        "assert not systems, systems\n"
        "assert not {'torch', 'mlflow', 'great_expectations', 'prefect'} & set(sys.modules)"
    )


@pytest.mark.parametrize("family", [name for name in registry.families() if registry.keys(name)])
def test_getting_one_system_loads_no_other(family: str) -> None:
    _run(
        "import sys\n"
        "from vultus.core import registry\n"
        f"key = registry.keys({family!r})[0]\n"
        "registry.get(key)\n"
        "loaded = {n for n in sys.modules if n.startswith('vultus.systems.') and n.count('.') > 2}\n"
        f"own = tuple(f'vultus.systems.{family}.{{name}}' for name in (key, 'common'))\n"
        "assert all((name + '.').startswith(tuple(o + '.' for o in own)) for name in loaded), loaded"
    )


TOOLS = {"core", "data", "face", "audio", "recognition", "nn", "losses", "metrics"}
MAY_IMPORT = {
    "core": {"core"},
    **dict.fromkeys(TOOLS - {"core"}, TOOLS),
    "systems": TOOLS | {"systems"},
    "detect": TOOLS | {"systems", "detect"},
    "world": TOOLS | {"world"},
}
"""Package of vultus -> packages that its files may name in an import, under ``if TYPE_CHECKING`` too."""


def _imported(path: Path) -> set[tuple[str, ...]]:
    """Modules of this repository that a file names in an import, as tuples of their parts."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {(*str(node.module).split("."), alias.name) for alias in node.names}
    return {parts for parts in found if parts[0] in ("vultus", "stages", "flows", "tests")}


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    wrong = []
    for path in sorted((ROOT / "vultus" / package).rglob("*.py")):
        for parts in _imported(path):
            below = parts[0] == "vultus" and (len(parts) < 3 or parts[1] in MAY_IMPORT[package])
            family = path.relative_to(ROOT / "vultus").parts[1]
            other = parts[1:2] == ("systems",) and len(parts) > 3 and parts[2] != family
            if not below or (package == "systems" and other):
                wrong.append(f"{path.relative_to(ROOT)}: {'.'.join(parts)}")
    assert not wrong


def test_only_its_stage_imports_the_world() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("vultus", "stages", "flows")
        for path in (ROOT / folder).rglob("*.py")
        if any(parts[:2] == ("vultus", "world") for parts in _imported(path))
    }
    assert {name for name in importers if not name.startswith("vultus/world/")} == {"stages/world.py"}


def test_importing_stages_and_flows_loads_no_torch() -> None:
    _run("import sys, flows.reproduce, flows.ui, stages; assert 'torch' not in sys.modules")


def test_only_tracking_imports_mlflow() -> None:
    importers = {
        path.relative_to(ROOT).parent.as_posix()
        for folder in ("vultus", "stages", "flows")
        for path in (ROOT / folder).rglob("*.py")
        if any(line.strip().startswith(("import mlflow", "from mlflow")) for line in path.read_text().splitlines())
    }
    assert importers == {"vultus/tracking"}


@pytest.mark.parametrize("name", ["torchvision", "timm", "lpips"])
def test_what_breaks_the_others_is_absent(name: str) -> None:
    assert importlib.util.find_spec(name) is None, f"{name} must not be installed: see CONTRIBUTING.md"


def test_one_opencv_only() -> None:
    from importlib.metadata import distributions

    names = {str(distribution.metadata["Name"]).lower() for distribution in distributions()}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}
