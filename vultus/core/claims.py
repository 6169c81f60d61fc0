"""The claims ledger: the papers' central sentences as paired experiments over seeds, with intervals and verdicts.

A claim has two arms (`registry.Claim`). Every arm is trained once for each seed on the same people and scored on the
same unseen people; arms that several claims share are trained once. The difference of the two arms is averaged over
the seeds. Its interval is a paired bootstrap over subjects and seeds: replicate r draws seeds with replacement, and for
each of them subtracts the two arms' values on the r-th draw of subjects, which is the same draw for both.

    confirmed       the 95 % interval lies on the side that the paper claims
    contradicted    it lies on the other side
    not confirmed   it holds 0

Weights of a trained arm are kept (`vultus.core.experiment.trained`), so that a ledger that was interrupted goes on
where it stopped; scores are computed anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.core import registry
from vultus.core.config import load_params
from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.core.experiment import Experiment, assess, load_experiment, trained, with_changes
from vultus.core.processes import one_thread_a_process
from vultus.core.registry import Card, Claim
from vultus.core.seeds import generator

Array = npt.NDArray[np.float64]

COLUMNS = (
    "system", "claim", "metric", "direction", "variant", "baseline", "difference", "low", "high", "seeds", "verdict",
    "paper_claim",
)  # fmt: skip
"""Of ``reports/claims.csv``."""
MINIMUM_SEEDS = 5


@dataclass(frozen=True)
class Arm:
    """One side of a claim: a system with changes in its Config."""

    system: str
    changes: str
    """JSON with sorted keys; ``{}`` for the system as configured."""

    def label(self) -> str:
        """``jaa_net: attention=none``, or the system's key alone."""
        changes = ", ".join(f"{name}={value}" for name, value in json.loads(self.changes).items())
        return f"{self.system}: {changes}" if changes else self.system


def arms(key: str, claim: Claim) -> tuple[Arm, Arm]:
    """The arm that should win, and the one that it is compared with."""

    def arm(system: str, changes: Mapping[str, Any]) -> Arm:
        return Arm(system, json.dumps(changes, sort_keys=True))

    return arm(key, claim.variant), arm(claim.baseline_system or key, claim.baseline)


def run_claims(key: str, seeds: Sequence[int], params: Path, folder: Path, processes: int = 2) -> str:
    """Train and score all arms of a system's claims; returns the closing line of the stage.

    Args:
        key: of the system.
        seeds: of the trainings, `MINIMUM_SEEDS` or more.
        params: the claims preset, of the shape of ``params.yaml``.
        folder: gets ``replicates.parquet``: arm, seed, metric, replicate (-1 = the value on all subjects), value.
        processes: trainings at the same time, each with one thread; the result does not depend on it.

    Raises:
        UserError: the card claims nothing, there are too few seeds, or a metric is not among the results.
    """
    card = registry.get(key)
    if not card.claims:
        raise UserError(f"the card of {key} makes no claim: take it out of the claims section of {params}")
    if len(set(seeds)) < MINIMUM_SEEDS:
        raise UserError(f"{params}: seeds must name {MINIMUM_SEEDS} seeds or more, not {len(set(seeds))}")
    wanted: dict[Arm, set[str]] = {}
    for claim in card.claims:
        for arm, metric in zip(arms(key, claim), (claim.metric, claim.baseline_metric or claim.metric), strict=True):
            wanted.setdefault(arm, set()).add(metric)
    jobs = [(arm, seed, sorted(metrics)) for seed in seeds for arm, metrics in wanted.items()]
    tables = []
    # A process an arm: `code_version` covers the modules that are loaded, and the arm before may have loaded others.
    with (
        one_thread_a_process(),
        ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        futures = [pool.submit(run_arm, arm, seed, metrics, params) for arm, seed, metrics in jobs]
        try:
            for future in track(as_completed(futures), f"claims of {key}", total=len(futures)):
                tables.append(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    table = pd.concat(tables).sort_values(["arm", "seed", "metric", "replicate"], kind="stable")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "replicates.parquet", index=False)
    return f"{key}: {len(card.claims)} claims, {len(wanted)} arms x {len(seeds)} seeds"


def run_arm(arm: Arm, seed: int, metrics: Sequence[str], params: Path) -> pd.DataFrame:
    """Train an arm with a seed, unless its weights are kept already, and score it.

    Returns:
        arm, seed, metric, replicate, value; see `run_claims`.
    """
    experiment = load_experiment(arm.system, params, seed)
    experiment = with_changes(experiment, **_as_fields(experiment, arm))
    evaluation, _, _ = assess(experiment, trained(experiment))
    missing = sorted(set(metrics) - set(evaluation.replicates))
    if missing:
        known = ", ".join(sorted(evaluation.replicates))
        raise UserError(f"a claim of {arm.system} compares {missing[0]!r}; its family has replicates of {known}")
    tables = []
    for metric in metrics:
        samples = np.asarray(evaluation.replicates[metric], np.float64)
        values = np.concatenate([[evaluation.metrics[metric]], samples])
        replicate = np.arange(-1, len(samples), dtype=np.int32)
        about = {"arm": arm.label(), "seed": seed, "metric": metric}
        tables.append(pd.DataFrame({**about, "replicate": replicate, "value": values}))
    return pd.concat(tables, ignore_index=True)


def ledger(folder: Path, cards: Iterable[Card]) -> pd.DataFrame:
    """A row a claim, from what `run_claims` wrote.

    Args:
        folder: ``reports/claims``, with a folder a system.
        cards: whose claims are listed.

    Raises:
        UserError: a system's claims have not run.
    """
    rows = []
    for card in cards:
        path = folder / card.key / "replicates.parquet"
        if not path.exists():
            raise UserError(f"{path} is missing: run `make claims`")
        table = pd.read_parquet(path)
        for claim in card.claims:
            variant, baseline = arms(card.key, claim)
            won, lost = (
                _replicates(table, arm, metric)
                for arm, metric in ((variant, claim.metric), (baseline, claim.baseline_metric or claim.metric))
            )
            difference, low, high = paired_difference(won, lost)
            names = [variant.label(), baseline.label()]
            if claim.baseline_metric:
                names = [f"{name} ({m})" for name, m in zip(names, (claim.metric, claim.baseline_metric), strict=True)]
            rows.append(
                (card.key, claim.name, claim.metric, claim.direction, *names, difference, low, high, len(won))
                + (verdict(low, high, claim.direction), claim.paper_claim)
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def paired_difference(variant: Array, baseline: Array) -> tuple[float, float, float]:
    """Mean difference of two arms, and its 95 % interval over subjects and seeds.

    Args:
        variant: (S, 1 + R) values of S seeds: first on all subjects, then on R draws of subjects.
        baseline: the same of the other arm, with the same seeds and draws.

    Returns:
        difference, low, high.
    """
    differences = variant - baseline
    n_seeds, n_replicates = differences.shape[0], differences.shape[1] - 1
    drawn = generator(0, "claims", n_seeds).integers(n_seeds, size=(n_replicates, n_seeds))
    samples = np.take_along_axis(differences[:, 1:].T, drawn, axis=1).mean(axis=1)
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return float(differences[:, 0].mean()), float(low), float(high)


def verdict(low: float, high: float, direction: str) -> str:
    """What an interval of (variant - baseline) says of the claim that the variant is ``higher`` or ``lower``."""
    if direction == "lower":
        low, high = -high, -low
    if low > 0:
        return "confirmed"
    return "contradicted" if high < 0 else "not confirmed"


def claiming(params: Path) -> dict[str, Any]:
    """The section ``claims`` of the claims preset: the systems whose claims are run, with ``seeds`` beside them.

    Raises:
        UserError: the section or the seeds are missing.
    """
    values = load_params(params)
    if not values.get("claims") or not values.get("seeds"):
        raise UserError(f"{params} needs the sections claims and seeds")
    return values


def _replicates(table: pd.DataFrame, arm: Arm, metric: str) -> Array:
    own = table[(table["arm"] == arm.label()) & (table["metric"] == metric)]
    return own.pivot_table(index="seed", columns="replicate", values="value", dropna=False).to_numpy(np.float64)


def _as_fields(experiment: Experiment, arm: Arm) -> dict[str, Any]:
    """Changes as they were declared: JSON has made lists of tuples."""
    changes = json.loads(arm.changes)
    return {
        name: tuple(value) if isinstance(getattr(experiment.config, name), tuple) else value
        for name, value in changes.items()
    }
