"""What may be imported without what: a bare GPU image trains, listing systems needs no torch, torchvision stays out."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRAINING_PACKAGES = ("core", "nn", "losses", "metrics", "systems", "judges")
NOT_ON_A_BARE_GPU_IMAGE = (
    *("mlflow", "dvc", "prefect", "great_expectations", "librosa", "av", "numba", "soundfile", "h5py"),
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


def test_getting_one_system_loads_no_other() -> None:
    _run(
        "import sys\n"
        "from vultus.core import registry\n"
        "key = registry.keys('action_units')[0]\n"
        "registry.get(key)\n"
        "loaded = {n.split('.')[-1] for n in sys.modules if n.startswith('vultus.systems.action_units.')}\n"
        "assert loaded <= {key, 'common'}, loaded"
    )


def test_importing_stages_and_flows_loads_no_torch() -> None:
    _run("import sys, flows.reproduce, flows.ui, stages; assert 'torch' not in sys.modules")


def test_only_tracking_imports_mlflow() -> None:
    importers = [
        path.relative_to(ROOT).as_posix()
        for folder in ("vultus", "stages", "flows")
        for path in (ROOT / folder).rglob("*.py")
        if any(line.strip().startswith(("import mlflow", "from mlflow")) for line in path.read_text().splitlines())
    ]
    assert importers == ["vultus/core/tracking.py"]


@pytest.mark.parametrize("name", ["torchvision", "timm", "lpips"])
def test_what_breaks_the_others_is_absent(name: str) -> None:
    assert importlib.util.find_spec(name) is None, f"{name} must not be installed: see CONTRIBUTING.md"


def test_one_opencv_only() -> None:
    from importlib.metadata import distributions

    names = {str(distribution.metadata["Name"]).lower() for distribution in distributions()}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}
