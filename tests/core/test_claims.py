from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.contract.toys import smoke_experiment
from tests.systems.toy_faces import write_toy
from vultus.core import claims, experiment, registry
from vultus.core.claims import Arm, arms, ledger, paired_difference, run_arm, run_claims, verdict
from vultus.core.errors import UserError
from vultus.core.registry import Claim


def replicates(mean: float, seeds: int, subject_noise: float, seed_noise: float, rng: np.random.Generator) -> Any:
    """(S, 1 + 2000): values whose subjects' part is shared by all seeds, as draws of the same subjects are."""
    subjects = rng.normal(0, subject_noise, 2000)
    own = rng.normal(0, seed_noise, seeds)
    return np.concatenate([(mean + own)[:, None], mean + own[:, None] + subjects[None]], axis=1)


def test_the_interval_covers_subjects_and_seeds() -> None:
    rng = np.random.default_rng(0)
    variant = replicates(0.7, 6, 0.02, 0.03, rng)
    baseline = np.zeros_like(variant)
    difference, low, high = paired_difference(variant, baseline)
    assert difference == pytest.approx(variant[:, 0].mean())
    spread_of_mean = math.hypot(0.02, variant[:, 0].std() / math.sqrt(6))
    assert (high - low) / (2 * 1.96) == pytest.approx(spread_of_mean, rel=0.1)


def test_noise_that_both_arms_share_cancels() -> None:
    rng = np.random.default_rng(1)
    shared = replicates(0.5, 5, 0.1, 0.1, rng)
    difference, low, high = paired_difference(shared + 0.01, shared)
    assert (difference, low, high) == pytest.approx((0.01, 0.01, 0.01))


@pytest.mark.parametrize(
    ("low", "high", "direction", "word"),
    [
        (0.01, 0.03, "higher", "confirmed"),
        (-0.01, 0.03, "higher", "not confirmed"),
        (-0.03, -0.01, "higher", "contradicted"),
        (-0.03, -0.01, "lower", "confirmed"),
        (0.01, 0.03, "lower", "contradicted"),
        (-0.01, 0.0, "lower", "not confirmed"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(low: float, high: float, direction: str, word: str) -> None:
    assert verdict(low, high, direction) == word


def test_arms_name_the_changes_and_the_other_system() -> None:
    claim = Claim("x", "", "F1", "higher", variant={"b": 1, "a": "on"}, baseline_system="other")
    variant, baseline = arms("own", claim)
    assert (variant.label(), baseline.label()) == ("own: a=on, b=1", "other")


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A claims preset on toy faces, run from a folder of its own."""
    write_toy(tmp_path)
    toy = smoke_experiment("plain_cnn", tmp_path)
    monkeypatch.chdir(tmp_path)

    def load(key: str, params: Path, seed: int) -> Any:
        assert (key, params) == ("plain_cnn", Path("claims.yaml"))
        return dataclasses.replace(toy, seed=seed)

    monkeypatch.setattr(claims, "load_experiment", load)
    return Path("claims.yaml")


def test_an_arm_is_trained_once_and_its_scores_are_repeatable(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Arm("plain_cnn", '{"hidden": 8}')
    first = run_arm(arm, 3, ["Accuracy"], preset)

    def no_training(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(experiment, "train", no_training)
    pd.testing.assert_frame_equal(run_arm(arm, 3, ["Accuracy"], preset), first)
    assert first["replicate"].tolist() == list(range(-1, len(first) - 1))
    assert first["value"].between(0, 1).all()
    with pytest.raises(AssertionError, match="trained again"):
        run_arm(arm, 4, ["Accuracy"], preset)
    with pytest.raises(UserError, match="compares 'PSNR'; its family has replicates of Accuracy"):
        run_arm(arm, 3, ["PSNR"], preset)


def test_too_few_seeds_and_no_claims_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seeds must name 5 seeds or more, not 2"):
        run_claims("jaa_net", [1, 2], tmp_path / "params.yaml", tmp_path)
    with pytest.raises(UserError, match="the card of plain_cnn makes no claim"):
        run_claims("plain_cnn", [1, 2, 3, 4, 5], tmp_path / "params.yaml", tmp_path)


def test_the_ledger_has_a_row_a_claim_with_its_verdict(tmp_path: Path) -> None:
    card = dataclasses.replace(
        registry.get("jaa_net"),
        claims=(
            Claim("wins", "", "F1", "higher", baseline={"attention": "none"}, paper_claim="60.0 against 55.9"),
            Claim("within", "", "F1", "lower", baseline_metric="LocalF1"),
        ),
    )
    rng = np.random.default_rng(2)
    rows = []
    for arm, metric, mean in (
        ("jaa_net", "F1", 0.6), ("jaa_net: attention=none", "F1", 0.5), ("jaa_net", "LocalF1", 0.6),
    ):  # fmt: skip
        values = replicates(mean, 5, 0.01, 0.01, rng)
        rows += [(arm, seed, metric, r - 1, values[seed, r]) for seed in range(5) for r in range(values.shape[1])]
    (tmp_path / "jaa_net").mkdir()
    pd.DataFrame(rows, columns=["arm", "seed", "metric", "replicate", "value"]).to_parquet(
        tmp_path / "jaa_net/replicates.parquet"
    )
    table = ledger(tmp_path, [card])
    assert tuple(table) == claims.COLUMNS
    assert table["verdict"].tolist() == ["confirmed", "not confirmed"]
    assert table.loc[0, "difference"] == pytest.approx(0.1, abs=0.02)
    assert table.loc[1, ["variant", "baseline"]].tolist() == ["jaa_net (F1)", "jaa_net (LocalF1)"]
    assert table["seeds"].tolist() == [5, 5]
    with pytest.raises(UserError, match="run `make claims`"):
        ledger(tmp_path, [registry.get("jaa_hat_net")])


def test_the_claims_preset_names_systems_that_claim() -> None:
    values = yaml.safe_load(Path("claims/params.yaml").read_text())
    for key in values["claims"]:
        card = registry.get(key)
        assert card.claims
        needed = {arm.system for claim in card.claims for arm in arms(key, claim)}
        assert needed <= set(values["systems"])
        assert len({claim.name for claim in card.claims}) == len(card.claims)
