"""Writes the result files of made-up trainings, in the layout of docs/architecture.md 8, to test their readers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

AUS = (1, 2, 4, 6, 12)
SPLIT_HASH = "0123456789ab"


def write_repository(root: Path, systems: tuple[str, ...] = ("jaa_net",), seed: int = 1) -> dict[str, Any]:
    """A root with params.yaml, dvc.lock, models/ and reports/systems/ for ``systems``; returns the params."""
    params: dict[str, Any] = {
        "seed": seed,
        "world": {},
        "datasets": {"world": {"source": "world", "root": "data/raw/world"}},
        "detector": {},
        "judges": {},
        "systems": {
            key: {
                "family": "action_units",
                "dataset": "world",
                "features": "crops",
                "protocol": "world",
                "config": {"unit": 2},
                "train": {"epochs": 3},
            }
            for key in systems
        },
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    for number, key in enumerate(systems):
        write_training(root / "models" / key, number)
        write_evaluation(root / "reports" / "systems" / key, key, number)
    write_lock(root, systems)
    return params


def write_training(folder: Path, number: int, folds: int = 1, epochs: int = 3) -> None:
    rng = np.random.default_rng(number)
    rows = []
    for fold in range(folds):
        (folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        (folder / f"fold_{fold}" / "config.yaml").write_text(yaml.safe_dump({"unit": 2, "xi": 0.56}))
        (folder / f"fold_{fold}" / "weights.safetensors").write_bytes(b"weights")
        for epoch in range(epochs):
            for split, name, value in (
                ("train", "loss", 1.0 / (epoch + 1) + rng.uniform(0, 0.05)),
                ("validation", "loss", 1.1 / (epoch + 1) + rng.uniform(0, 0.05)),
                ("validation", "F1", 0.3 + 0.1 * epoch + rng.uniform(0, 0.05)),
            ):
                rows.append((fold, "train", epoch, 10 * (epoch + 1), split, name, value, 2.5 * (epoch + 1)))
    columns = ["fold", "phase", "epoch", "step", "split", "name", "value", "seconds"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "history.parquet")
    selected = {"train": {"epoch": 2, "metric": "F1", "value": 0.5}}
    training = {
        "system": folder.name,
        "seed": 1,
        "code": "abcdef012345",
        "versions": {"vultus": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "train": {"epochs": 3, "batch_size": 16},
        "folds": [{"name": f"fold_{fold}", "split_hash": SPLIT_HASH, "phases": selected} for fold in range(folds)],
        "parameters": 123_456 * (number + 1),
    }
    (folder / "training.json").write_text(json.dumps(training))


def write_evaluation(folder: Path, key: str, number: int) -> None:
    rng = np.random.default_rng(100 + number)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    per_au = {f"F1/AU{au:02d}": float(rng.uniform(0.3, 0.9)) for au in AUS}
    values = {"F1": float(np.mean(list(per_au.values()))), "Accuracy": 0.81, "NME": 0.043, **per_au}
    rows = [
        {
            "system": key,
            "family": "action_units",
            "dataset": "world",
            "protocol": "world",
            "metric": name,
            "value": value,
            "low": value - 0.03,
            "high": value + 0.03,
            "n": 12,
            "judge": None,
            "split_hash": SPLIT_HASH,
            "paper_value": None,
        }
        for name, value in values.items()
    ]
    pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps(values))
    curves = {"fold": 0, "phase": "train", "epoch": [0, 1], "train/loss": [1.0, 0.5], "validation/F1": [0.3, 0.5]}
    pd.DataFrame(curves).to_csv(folder / "curves.csv", index=False)
    pd.DataFrame({"dataset": ["world"], "clip_id": ["a"], "frame": [0], "subject": ["s"], "fold": [0]}).to_parquet(
        folder / "predictions.parquet"
    )
    cv2.imwrite(str(folder / "pictures" / "attention.png"), rng.integers(0, 255, (60, 90, 3), dtype=np.uint8))
    (folder / "pictures" / "captions.json").write_text(json.dumps({"attention.png": "Where <b>it</b> looks."}))


def write_lock(root: Path, systems: tuple[str, ...]) -> None:
    """A ``dvc.lock`` with the true hashes of the evaluation's files."""
    stages = {}
    for key in systems:
        folder = root / "reports" / "systems" / key
        stages[f"evaluate@{key}"] = {
            "cmd": f"python -m stages.evaluate --system {key}",
            "outs": [
                {
                    "path": str(path.relative_to(root)),
                    "hash": "md5",
                    "md5": hashlib.md5(path.read_bytes()).hexdigest(),
                    "size": path.stat().st_size,
                }
                for path in sorted(folder.iterdir())
                if path.is_file()
            ],
        }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
