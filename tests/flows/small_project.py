"""Small DVC projects whose stages take no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

COPY = "python -c \"import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + 'x')\""

# Counts to eight, a number in {pause} s; what it has counted survives a kill, as a checkpoint of a training does.
COUNT = """
import pathlib, sys, time
done = pathlib.Path('.cache/counted')
done.parent.mkdir(exist_ok=True)
first = int(done.read_text()) if done.exists() else 0
print(f'goes on at {{first}}')
for number in range(first + 1, 9):
    time.sleep({pause})
    done.write_text(str(number))
    print(f'counting: {{number}}/8', flush=True)
pathlib.Path('counted').write_text(pathlib.Path('left_1').read_text() + '8')
pathlib.Path('runs.txt').open('a').write('counted\\n')
"""


def small_project(root: Path) -> Path:
    """source -> left@1, left@2 -> join; `check` fails when the source says so. Returns ``root``."""
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


def shared_project(root: Path, remote: Path, pause: float = 0.0) -> Path:
    """The small project and more, committed, with a folder as DVC remote.

    `count` takes eight times ``pause`` seconds and resumes; `ingest@films` lists a folder of clips; `score` has
    a setting and a metric; `ledger` in claims/dvc.yaml and `report` are what the weekly claims need.
    """
    root.mkdir(parents=True, exist_ok=True)
    small_project(root)
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    (root / "count.py").write_text(COUNT.format(pause=pause))
    pipeline["stages"] |= {
        "count": {
            "cmd": "python count.py",
            "deps": ["left_1", "count.py"],
            "outs": ["counted"],
            "meta": {"resources": "gpu"},
        },
        "ingest": {
            "foreach": "${datasets}",
            "do": {
                "cmd": "mkdir -p tables && ls ${item.root} > tables/${key}",
                "deps": ["${item.root}"],
                "outs": ["tables/${key}"],
            },
        },
        "score": {
            "cmd": "python -c \"import yaml; a = yaml.safe_load(open('params.yaml'))['model']['a']; "
            "open('metrics.json', 'w').write(str({'error': a * a}).replace(chr(39), chr(34)))\"",
            "deps": ["left_1"],
            "params": ["model"],
            "metrics": ["metrics.json"],
        },
        "report": {"cmd": "cp reports/claims.csv page", "deps": ["reports/claims.csv"], "outs": ["page"]},
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    (root / "params.yaml").write_text(
        yaml.safe_dump({"model": {"a": 3, "b": 0}, "datasets": {"films": {"root": "incoming"}}})
    )
    ledger = {"wdir": "..", "cmd": "cp left_1 reports/ledger.csv", "deps": ["left_1"], "outs": ["reports/ledger.csv"]}
    for folder in ("claims", "incoming", "reports"):
        (root / folder).mkdir()
    (root / "claims/dvc.yaml").write_text(yaml.safe_dump({"stages": {"ledger": ledger}}))
    (root / "incoming/first.mp4").write_text("a clip")
    (root / "reports/claims.csv").write_text("none yet")
    (root / ".gitignore").write_text(".cache/\nruns.txt\nincoming/\nreports/ledger.csv\n")
    remote.mkdir(parents=True, exist_ok=True)
    for command in (
        ["dvc", "config", "core.analytics", "false"],
        ["dvc", "remote", "add", "-d", "shared", str(remote.resolve())],
        ["git", "add", "."],
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "project"],
    ):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root
