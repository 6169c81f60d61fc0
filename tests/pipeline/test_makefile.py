"""The Makefile installs once, cleans no licensed data, and every command reads the same environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what make looks at, and an environment that was installed just now."""
    for name in ("Makefile", ".env", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (1_000_000_000, 1_000_000_000))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def _would_run(folder: Path, target: str) -> str:
    command = ["make", "--dry-run", target]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["repro", "publish", "test", "ui", "lint"])
def test_an_installed_environment_is_left_alone(checkout: Path, target: str) -> None:
    assert "pip install" not in _would_run(checkout, target)


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml"])
def test_changed_versions_are_installed(checkout: Path, changed: str) -> None:
    os.utime(checkout / changed, (4_000_000_000, 4_000_000_000))
    lines = [line for line in _would_run(checkout, "repro").splitlines() if "pip install" in line]
    assert all("-c constraints.txt" in line for line in lines)
    assert "torch==" in lines[0], "torch is chosen in the same command as all that depends on it"
    assert "mediapipe" in lines[1]
    assert "--no-deps" in lines[1]


def test_every_extra_is_installed(checkout: Path) -> None:
    import tomllib

    extras = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (checkout / ".venv" / "installed").unlink()
    installed = re.search(r"\.\[([\w,]+)\]", _would_run(checkout, "repro"))
    assert installed is not None
    assert set(installed[1].split(",")) == set(extras)


def test_clean_keeps_the_environment_and_licensed_data(checkout: Path) -> None:
    kept = [
        "data/raw/bp4d/F001.mp4",
        "data/README.md",
        "reports/results.csv",
        ".venv/lib/__pycache__/a.pyc",
        "params.yaml",
    ]
    gone = ["data/raw/world/a.mp4", "data/tables/a", "data/features/a", "models/a", "reports/site/a", "mlflow.db"]
    gone += [".cache/vultus/a", ".dvc/cache/a", "vultus/__pycache__/a.pyc"]
    for name in kept + gone:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    subprocess.run(["make", "clean"], cwd=checkout, check=True, capture_output=True)
    assert [name for name in kept if not (checkout / name).exists()] == []
    assert [name for name in gone if (checkout / name).exists()] == []


def test_environment_reaches_the_commands(checkout: Path) -> None:
    with (checkout / "Makefile").open("a") as makefile:
        makefile.write("\nshow:\n\t@env\n")
    shown = dict(line.split("=", 1) for line in _run(checkout, "show").splitlines() if "=" in line)
    for line in (ROOT / ".env").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split("=", 1)
            assert shown[name] == value
    assert shown["PATH"].startswith(f"{checkout}/.venv/bin:")


def test_no_secret_is_in_the_environment_file() -> None:
    names = re.findall(r"^(\w+)=", (ROOT / ".env").read_text(), re.MULTILINE)
    assert names
    assert [name for name in names if re.search("KEY|TOKEN|SECRET|PASSWORD", name)] == []


def test_one_version_of_everything() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin)] == []
    names = [re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins]
    assert len(names) == len(set(names))


def _run(folder: Path, target: str) -> str:
    return subprocess.run(["make", target], cwd=folder, capture_output=True, text=True, check=True).stdout
