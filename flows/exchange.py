"""Results between checkouts: bytes through the DVC remote, what they are as entries of ``dvc.lock``, in a string."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml


def place(root: Path) -> str:
    """Names a checkout among all machines."""
    return f"{socket.gethostname()}:{root.resolve()}"


def has_remote(root: Path) -> bool:
    """Whether the checkout has a default DVC remote."""
    command = ["dvc", "config", "core.remote"]
    return subprocess.run(command, cwd=root, capture_output=True).returncode == 0


def code_version(root: Path) -> str:
    """The commit of a checkout and a hash of what was changed since, but for outputs and what DVC itself writes."""
    commit = _git(root, "rev-parse", "HEAD").strip()
    changes = _git(root, "diff", "HEAD", "--", ".", ":!*dvc.lock", ":!*.gitignore", ":!reports")
    return f"{commit[:12]}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else commit[:12]


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def lock_entries(root: Path, stages: Sequence[str]) -> str:
    """What ``dvc.lock`` says of stages, as JSON: address -> entry.

    Raises:
        KeyError: a stage has never been run.
    """
    entries = {}
    for address in stages:
        file, name = _lock_file(root, address)
        entries[address] = yaml.safe_load(file.read_text())["stages"][name]
    return json.dumps(entries)


def take_entries(root: Path, entries: str) -> None:
    """Write entries of another checkout into ``dvc.lock``; ``dvc pull STAGE`` then brings the files."""
    from dvc.repo import Repo
    from dvc.utils.serialize import modify_yaml

    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        for address, entry in json.loads(entries).items():
            file, name = _lock_file(root, address)
            with modify_yaml(str(file)) as lock:
                lock.setdefault("schema", "2.0")
                lock.setdefault("stages", {})[name] = entry


def _lock_file(root: Path, address: str) -> tuple[Path, str]:
    """The lock file that describes a stage, and its name there."""
    pipeline, _, name = address.rpartition(":")
    return (root / (pipeline or "dvc.yaml")).with_suffix(".lock"), name
