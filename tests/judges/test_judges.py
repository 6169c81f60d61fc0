"""What every judge gets from the package: a fold of judge people, a stage, an acceptance test, a label."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import Tensor, nn

import stages.judge
from vultus import judges
from vultus.core.console import run_stage
from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig
from vultus.core.system import Batch
from vultus.data.stores import ClipArrays, build_store
from vultus.judges import AcceptanceTest, Judge, JudgeCard, JudgeFold, train_judge

FRAMES = 6


@dataclass(frozen=True)
class Config:
    """Of the toy."""

    wanted: float = 0.5
    """Accuracy that accepts it."""


class Brightness(Judge):
    """Tells bright faces (clips ``b``) from dark ones: a line through one number."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.line = nn.Linear(1, 1)

    def _batch(self, fold: JudgeFold, rows: Any) -> Batch:
        face = np.asarray(fold.store["face"][rows]).reshape(len(rows), -1).mean(1, keepdims=True)
        bright = fold.store.rows["clip_id"].iloc[rows].str.startswith("b")
        target = torch.from_numpy(bright.to_numpy(np.float32)[:, None])
        return {"mean": torch.from_numpy(face.astype(np.float32) / 255 - 0.5), "target": target}

    def teach(self, fold: JudgeFold, rng: np.random.Generator, batch_size: int) -> Batch:
        return self._batch(fold, np.sort(rng.choice(fold.rows("train"), batch_size)))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"bce": nn.functional.binary_cross_entropy_with_logits(self.predict(batch), batch["target"])}

    def predict(self, batch: Batch) -> Tensor:
        score: Tensor = self.line(batch["mean"])
        return score

    def _accuracy(self, fold: JudgeFold, part: Any) -> float:
        batch = self._batch(fold, fold.rows(part))
        return float(((self.predict(batch) > 0) == (batch["target"] > 0.5)).float().mean())

    def validation(self, fold: JudgeFold) -> dict[str, float]:
        return {"Accuracy": self._accuracy(fold, "validation")}

    def acceptance(self, fold: JudgeFold) -> list[AcceptanceTest]:
        return [AcceptanceTest("Accuracy", self._accuracy(fold, "test"), self.config.wanted, "at least")]


CARD = JudgeCard(
    "brightness",
    Brightness,
    Config,
    TrainConfig(epochs=2, steps_per_epoch=5, batch_size=8, learning_rate=1.0, select="Accuracy", device="cpu"),
    "Is this face bright?",
    kinds=("speech",),
)


def _draw(clip: dict[str, Any]) -> ClipArrays:
    rng = np.random.default_rng(int(clip["subject"][1:]))
    level = 170 if clip["clip_id"].startswith("b") else 70
    face = rng.integers(level - 20, level + 20, (FRAMES, 8, 8, 3)).astype(np.uint8)
    return ClipArrays(pd.DataFrame({"frame": np.arange(FRAMES)}), {"face": face})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the faces of eight judge people, each in a bright, a dark and a silent clip."""
    monkeypatch.chdir(tmp_path)
    clips = [
        {"clip_id": f"{light}{person}", "subject": f"j{person}", "group": "judge", "kind": kind}
        for person in range(8)
        for light, kind in (("b", "speech"), ("d", "speech"), ("x", "posed"))
    ]
    judges.TABLES.mkdir(parents=True)
    table = pd.DataFrame([*clips, {**clips[0], "clip_id": "b-without-a-face", "subject": "j99"}])
    table.to_parquet(judges.TABLES / "clips.parquet")
    pd.DataFrame({"clip_id": ["b0"], "tier": ["word"]}).to_parquet(judges.TABLES / "units.parquet")
    build_store(judges.FACES, clips, _draw, lambda clip: clip["clip_id"], jobs=1)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"seed": 1, "judges": {"brightness": {}}}))
    monkeypatch.setattr(judges, "get", lambda name: CARD)
    return tmp_path


def params(**config: float) -> dict[str, Any]:
    return {"seed": 1, "judges": {"brightness": {"config": config}}}


def test_a_fold_holds_whole_people_of_the_kinds_asked_for(project: Path) -> None:
    clips = pd.read_parquet(judges.TABLES / "clips.parquet")
    fold = JudgeFold(clips, judges.open_store(judges.FACES), 1, ("speech",))
    assert {part: len(fold.split.people(part)) for part in ("train", "validation", "test")} == {
        "train": 5, "validation": 1, "test": 2,
    }  # fmt: skip
    rows = fold.store.rows
    for part in ("train", "validation", "test"):
        clip_ids = rows["clip_id"].iloc[fold.rows(part)]
        assert len(clip_ids) == 2 * FRAMES * len(fold.split.people(part))
        assert set(clip_ids.str[0]) == {"b", "d"}
        assert {f"j{clip_id[1:]}" for clip_id in clip_ids} == set(fold.split.people(part))
        assert set(fold.clips(part)["clip_id"]) == set(clip_ids)
    assert fold.fingerprint != JudgeFold(clips, fold.store, 1).fingerprint


def test_the_stage_writes_a_judge_that_can_be_loaded(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["judge", "--judge", "brightness"])
    run_stage(stages.judge.main)
    about = json.loads((judges.FOLDER / "brightness/acceptance.json").read_text())
    assert about["accepted"] is True
    assert about["tests"] == [{"name": "Accuracy", "value": 1.0, "bound": 0.5, "direction": "at least", "passed": True}]
    assert about["people"] == {"train": 5, "validation": 1, "test": 2}
    judge = judges.load("brightness")
    assert not judge.training
    assert judge.label == f"brightness embedded {about['hash'][:8]}"
    assert f"{judge.label}, accepted: Accuracy 1.000 (at least 0.5)" in capsys.readouterr().out
    history = pd.read_parquet(judges.FOLDER / "brightness/history.parquet")
    assert history[history["split"] == "validation"]["epoch"].tolist() == [0, 1]
    assert not list(judges.CHECKPOINTS.iterdir())
    before = (judges.FOLDER / "brightness/weights.safetensors").read_bytes()
    shutil.rmtree(judges.TAUGHT)
    train_judge("brightness", params())
    assert (judges.FOLDER / "brightness/weights.safetensors").read_bytes() == before


def test_no_judge_is_taught_twice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = train_judge("brightness", params())
    shutil.rmtree(judges.FOLDER)
    monkeypatch.setattr(Brightness, "fit", lambda *_: pytest.fail("taught again"))
    monkeypatch.setattr(Brightness, "acceptance", lambda *_: pytest.fail("tested again"))
    assert train_judge("brightness", params()) == line
    assert judges.load("brightness").label.startswith("brightness embedded ")


def test_a_judge_that_fails_is_written_and_says_so(project: Path) -> None:
    line = train_judge("brightness", params(wanted=1.5))
    assert line.startswith("NOT ACCEPTED: brightness embedded ")
    assert "Accuracy 1.000 (at least 1.5)" in line
    assert judges.load("brightness").label.endswith(" (not accepted)")


def test_published_weights_are_tested_like_taught_ones(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"seed": 1, "judges": {"brightness": {"weights": "theirs.bin"}}}
    with pytest.raises(UserError, match=r"theirs\.bin: Brightness takes no published weights"):
        train_judge("brightness", section)

    class Published(Brightness):
        def load_published(self, path: Path) -> None:
            self.line.weight.data.fill_(1.0)
            self.line.bias.data.fill_(0.0)

    monkeypatch.setattr(judges, "get", lambda name: replace(CARD, judge=Published))
    assert train_judge("brightness", section).startswith("brightness published ")
    judge = judges.load("brightness")
    assert judge.label.startswith("brightness published ")
    assert judge.line.weight.item() == 1.0  # type: ignore[attr-defined]


def test_mistakes_are_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"models/judges/brightness holds no judge: run its stage first"):
        judges.load("brightness")
    with pytest.raises(UserError, match=r"judges\.brightness\.config has no key 'height'"):
        train_judge("brightness", params(height=1.0))
    monkeypatch.undo()
    with pytest.raises(UserError, match="there is no judge 'weather'; there is: "):
        judges.get("weather")


def test_nan_is_not_accepted() -> None:
    assert not AcceptanceTest("x", float("nan"), 0.5, "at least").passed
    assert not AcceptanceTest("x", float("nan"), 0.5, "at most").passed
    assert AcceptanceTest("x", 0.4, 0.5, "at most").passed


@pytest.mark.parametrize("name", judges.keys())
def test_every_judge_has_a_card_of_its_name(name: str) -> None:
    card = judges.get(name)
    assert card.key == name
    assert card.question
    assert card.judge(card.config()).label == "not trained"
