"""A DVC project of four stages: source -> left@1, left@2 -> join; `check` fails when the source says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

COPY = "python -c \"import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + 'x')\""


def small_project(root: Path) -> Path:
    """Write the project; returns ``root``."""
    fail = "import sys; sys.exit('bad' in open('source').read())"
    stages = {
        "left": {
            "foreach": ["1", "2"],
            "do": {"cmd": f"{COPY} source left_${{item}}", "deps": ["source"], "outs": ["left_${item}"]},
        },
        "check": {"cmd": f'python -c "{fail}"', "deps": ["source", "left_2"], "meta": {"resources": "gpu"}},
        "join": {"cmd": f"{COPY} left_1 joined", "deps": ["left_1", "left_2"], "outs": ["joined"]},
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (root / "source").write_text("good")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    return root
