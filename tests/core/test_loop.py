from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.core.line_fit import SETTINGS, LineFold, fit
from vultus.core.errors import UserError
from vultus.core.loop import TrainConfig, make_optimizer

SCRIPT = Path(__file__).with_name("line_fit.py")


def start(folder: Path, pause_s: float) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(pause_s)], stderr=subprocess.DEVNULL)


def wait_for_lines(path: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) >= lines):
        time.sleep(0.01)
    assert process.poll() is None, "the training ended before it could be killed"


def test_killed_at_several_moments_ends_with_the_same_weights_and_metrics(tmp_path: Path) -> None:
    assert start(tmp_path / "whole", 0.0).wait() == 0
    # 4 lines an epoch: killed in the 2nd epoch, then right at the start of the second phase, then near its end
    for lines in (4, 12, 20):
        process = start(tmp_path / "killed", 0.05)
        wait_for_lines(tmp_path / "killed/resume/history.jsonl", lines, process)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed/result.json").exists()
    assert start(tmp_path / "killed", 0.0).wait() == 0
    whole, killed = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed"))
    assert killed == whole
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "killed"))
    assert first == second


def test_same_seed_same_weights_other_seed_other_weights(tmp_path: Path) -> None:
    a, b, c = (fit(tmp_path / name, seed)[0].state_dict() for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["net.0.weight"], c["net.0.weight"])


def test_the_loss_falls_and_the_best_validation_epoch_is_kept(tmp_path: Path) -> None:
    system, run = fit(tmp_path)
    history = run.history.frame()
    totals = history[(history.name == "total") & (history.phase == "second")].value.to_numpy()
    assert totals[-1] < history[(history.name == "total") & (history.phase == "first")].value.to_numpy()[0] / 2
    validated = history[(history.split == "validation") & (history.phase == "second")]
    best = validated.loc[validated.value.idxmin()]
    assert run.selected["second"]["epoch"] == best.epoch
    assert run.fold.validate(system, 8)["MSE"] == best.value
    assert not system.training


def test_a_finished_run_trains_no_step_more(tmp_path: Path) -> None:
    _, first = fit(tmp_path)

    class Closed(LineFold):
        def training_batch(self, epoch: int, step: int, batch_size: int) -> dict[str, torch.Tensor]:
            raise AssertionError("a finished phase drew a batch")

    from tests.core import line_fit

    original = line_fit.LineFold
    line_fit.LineFold = Closed  # type: ignore[misc]
    try:
        _, second = fit(tmp_path)
    finally:
        line_fit.LineFold = original  # type: ignore[misc]
    assert second.selected == first.selected


def test_accumulated_steps_equal_one_large_batch(tmp_path: Path) -> None:
    """Two half batches averaged are the whole batch, where neither batch norm nor dropout looks across rows."""
    from tests.core.line_fit import Config, LineFit
    from vultus.core.history import History
    from vultus.core.loop import Run
    from vultus.core.seeds import seed_everything

    class Halves(LineFold):
        def training_batch(self, epoch: int, step: int, batch_size: int) -> dict[str, torch.Tensor]:
            whole = self._batch("train", epoch, step * batch_size // 8, size=8)
            at = step * batch_size % 8
            return {name: value[at : at + batch_size] for name, value in whole.items()}

    weights = []
    for size, accumulate in ((8, 1), (4, 2)):
        seed_everything(1)
        system = LineFit(Config(dropout=0.0))
        system.net[1] = torch.nn.Identity()
        train = dataclasses.replace(SETTINGS, batch_size=size, accumulate=accumulate, optimizer="sgd", epochs=1)
        folder = tmp_path / str(size)
        folder.mkdir()
        run = Run(Halves(1), train, 1, folder, History())
        run.train_phase(system, system.phases(train)[0])
        weights.append(system.net[0].weight.detach().clone())
    torch.testing.assert_close(weights[0], weights[1])


def test_a_loss_that_is_not_finite_stops_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss 'squared' of line is not finite at step \d+: lower"):
        fit(tmp_path, train=dataclasses.replace(SETTINGS, optimizer="sgd", learning_rate=1e30))


def test_an_unknown_selection_metric_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.select is 'F2'; the validation gives MSE"):
        fit(tmp_path, train=dataclasses.replace(SETTINGS, select="F2"))


def test_bf16_trains_and_predicts_in_float32(tmp_path: Path) -> None:
    system, run = fit(tmp_path, train=dataclasses.replace(SETTINGS, precision="bf16-mixed"))
    prediction = system.predict(run.fold._batch("validation", size=4))  # type: ignore[attr-defined]
    assert prediction.dtype == torch.float32
    assert run.selected["second"]["value"] < 1.0


@pytest.mark.parametrize(
    ("settings", "step", "factor"),
    [
        ({"schedule": "constant"}, 7, 1.0),
        ({"schedule": "constant", "warmup_steps": 4}, 1, 0.5),
        ({"schedule": "step", "decay_factor": 0.3, "decay_epochs": 2}, 19, 1.0),
        ({"schedule": "step", "decay_factor": 0.3, "decay_epochs": 2}, 20, 0.3),
        ({"schedule": "step", "decay_factor": 0.3, "decay_epochs": 2}, 40, 0.09),
        ({"schedule": "cosine", "decay_factor": 0.1, "epochs": 2}, 0, 1.0),
        ({"schedule": "cosine", "decay_factor": 0.1, "epochs": 2}, 19, 0.1),
        ({"schedule": "inverse", "epochs": 2}, 10, 6**-0.75),
    ],
)
def test_rate_factor(settings: dict[str, object], step: int, factor: float) -> None:
    assert TrainConfig(**settings).rate_factor(step, 10) == pytest.approx(factor)  # type: ignore[arg-type]


def test_parameter_groups_keep_their_own_rates() -> None:
    weight, bias = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    groups = [{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": 0.2, "weight_decay": 0.0}]
    optimizer = make_optimizer(groups, TrainConfig(weight_decay=0.5))
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.5), (0.2, 0.0)]
