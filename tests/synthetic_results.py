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
                rows.append((f"fold {fold}", "train", epoch, 10 * (epoch + 1), split, name, value, 2.5 * (epoch + 1)))
    columns = ["fold", "phase", "epoch", "step", "split", "name", "value", "seconds"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "history.parquet")
    selected = {"train": {"epoch": 2, "metric": "F1", "value": 0.5}}
    training = {
        "system": folder.name,
        "seed": 1,
        "code": "abcdef012345",
        "versions": {"vultus": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "train": {"epochs": 3, "batch_size": 16},
        "folds": [{"name": f"fold {fold}", "split_hash": SPLIT_HASH, "phases": selected} for fold in range(folds)],
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


def write_dataset(root: Path, key: str = "world") -> None:
    """Valid tables, a crop store and sheets of a made-up data set with one quarantined file."""
    rng = np.random.default_rng(5)
    valid = root / "data" / "tables" / key / "valid"
    valid.mkdir(parents=True)
    people = [f"p{number:02d}" for number in range(6)]
    clips = pd.DataFrame(
        {
            "clip_id": people,
            "dataset": key,
            "subject": people,
            "group": ["train"] * 4 + ["test"] * 2,
            "kind": "spontaneous",
            "domain": "studio",
            "duration_s": 2.0,
            "width_px": 128,
            "height_px": 128,
        }
    )
    clips.to_parquet(valid / "clips.parquet")
    frames = pd.DataFrame({"clip_id": np.repeat(people, 10), "frame": np.tile(np.arange(10), 6)})
    for au in AUS:
        frames[f"au{au:02d}_occurrence"] = pd.array(rng.random(60) < 0.3, dtype="Int8")
    frames.to_parquet(valid / "frames.parquet")
    pd.DataFrame(columns=["clip_id", "tier", "start_s", "end_s", "label"]).to_parquet(valid / "units.parquet")
    pd.DataFrame(
        [("clips", "video/<p99>.mp4", 3, "p99", None, "the file ends in the middle: record it again")],
        columns=["table", "file", "row", "clip_id", "frame", "reason"],
    ).to_parquet(valid / "quarantine.parquet")
    expectations = [
        {"expectation": "a", "columns": ["fps"], "demand": "fps is at most 1000", "checked": 6, "failed": 0},
        {"expectation": "b", "columns": ["video"], "demand": "the file decodes", "checked": 7, "failed": 1},
    ]
    outcome = {"rows_in": 7, "rows_valid": 6, "rows_quarantined": 1, "expectations": expectations}
    (valid / "validation.json").write_text(json.dumps({"tables": {"clips": outcome}}))
    write_crops(root / "data" / "features" / key / "crops", people)
    sheets = root / "data" / "raw" / key / "sheets"
    sheets.mkdir(parents=True)
    cv2.imwrite(str(sheets / "people.png"), rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    (sheets / "talking.mp4").write_bytes(b"film")
    (sheets / "captions.json").write_text(json.dumps({"talking.mp4": "One sentence, spoken."}))


def write_crops(folder: Path, people: list[str]) -> None:
    folder.mkdir(parents=True)
    sheet = np.random.default_rng(6).integers(0, 255, (32, 32 * len(people), 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "sheet.png"), sheet)
    pd.DataFrame(columns=["clip_id", "reason"]).to_parquet(folder / "failed.parquet")
    (folder / "meta.json").write_text(json.dumps({"n_rows": len(people), "arrays": {}}))
    methods = ["annotated"] * (len(people) - 1) + ["mediapipe"]
    pd.DataFrame({"clip_id": people, "method": methods}).to_parquet(folder / "rows.parquet")


def write_detector(folder: Path) -> None:
    """The metrics of a landmark detector; no occluded frame was tested."""
    folder.mkdir(parents=True)
    metrics = {"NME": 0.0391, "NME_interocular": 0.03, "FailureRate": 0.021, "FoundRate": 0.9954, "n": 1200}
    unknown = {f"{name}_occluded": None for name in metrics} | {"n_occluded": 0}
    (folder / "metrics.json").write_text(json.dumps(metrics | unknown))
