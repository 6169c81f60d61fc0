"""The services and scripts of docs/deployment.md as they are written there, with the places of a test put in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


def files() -> dict[str, str]:
    """Path on the server -> content, for each block of the page whose comment names a path."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    named = [(re.search(r"^# (/\S+)$", block, re.MULTILINE), block) for block in blocks]
    return {name[1]: block for name, block in named if name}


def put(text: str, places: Mapping[str, str]) -> str:
    """Replace what the page calls things by what they are called here, the longest names first."""
    for name in sorted(places, key=len, reverse=True):
        text = text.replace(name, places[name])
    return text


def command(unit: str, places: Mapping[str, str]) -> list[str]:
    """``ExecStart`` of a unit."""
    found = re.search(r"^ExecStart=(.*)$", put(unit, places), re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def variables(environment_file: str, places: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment file."""
    lines = [line for line in put(environment_file, places).splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
