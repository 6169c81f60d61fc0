"""What is special in the hybrid recogniser, on the toy speaker."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.contract.toys import smoke_experiment
from vultus.core import registry
from vultus.core.errors import UserError
from vultus.core.history import History
from vultus.core.loop import Run
from vultus.recognition import training
from vultus.recognition.recogniser import Recogniser
from vultus.systems.silent_speech.common import FAMILY, SessionFold, start_errors_ms


def made(root: Path, key: str = "ssc_dnn", **changes: Any) -> tuple[Recogniser, SessionFold, Any]:
    experiment = smoke_experiment(key, root)
    experiment = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, **changes))
    fold = FAMILY.folds(experiment)[0]
    system = experiment.build()
    assert isinstance(fold, SessionFold)
    assert isinstance(system, Recogniser)
    return system, fold, experiment


def fitted(root: Path, folder: Path, key: str = "ssc_dnn", **changes: Any) -> tuple[Recogniser, SessionFold, Any]:
    system, fold, experiment = made(root, key, **changes)
    folder.mkdir(exist_ok=True)
    system.fit(Run(fold, experiment.train, experiment.seed, folder, History()))
    return system, fold, experiment


def test_posteriors_are_divided_by_the_priors_of_the_alignment(roots: dict[str, Path]) -> None:
    system, fold, _ = made(roots["silent_speech"])
    system.prepare(fold)
    window = torch.randn(4, 2 * system.reach + 1, system.n_features)
    system.eval()
    likelihood, posterior = system.acoustic(window)
    torch.testing.assert_close(likelihood, posterior - system.log_prior)
    torch.testing.assert_close(posterior.exp().sum(1), torch.ones(4))
    assert float(system.log_prior.exp().sum()) == pytest.approx(1, abs=1e-5)
    plain, _, _ = made(roots["silent_speech"], prior_division=False)
    scores, same = plain.eval().acoustic(window)
    assert scores is same


def test_gmm_recognises_toy_sentences_and_puts_phones_where_they_are(roots: dict[str, Path], tmp_path: Path) -> None:
    system, fold, _ = fitted(roots["silent_speech"], tmp_path / "run", "ssc_gmm")
    said = fold.utterances["test"]
    found = system.recognise(fold, said)
    sounds = [[fold.lexicon.pronunciations[w][0] for w in u.words] for u in said]
    heard = [[fold.lexicon.pronunciations[w][0] for w in r.words] for r in found]
    assert sum(a == b for a, b in zip(sounds, heard, strict=True)) >= 3
    errors = np.concatenate([start_errors_ms(r.aligned, u.phone_units) for r, u in zip(found, said, strict=True)])
    assert np.median(np.abs(errors)) < 25


def test_a_killed_alignment_ends_with_the_same_bytes(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = fitted(roots["silent_speech"], tmp_path / "whole")
    written, write = [], training._write

    def dies(*arguments: Any) -> None:
        write(*arguments)
        written.append(arguments)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted(roots["silent_speech"], tmp_path / "killed")
    again, _, _ = fitted(roots["silent_speech"], tmp_path / "killed")
    assert len(written) == 4, "the passes that were done are not repeated"
    state, other = whole.state_dict(), again.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": "dae", "dae_hidden": (16,), "dae_epochs": 1},
        {"features": "dcae", "dae_hidden": (16,), "dae_epochs": 1},
        {"streams": "tongue", "context": 0},
        {"frame_rate_hz": 100, "topology": "skip", "lm": "uniform"},
        {"alignment": "truth", "normalise": "utterance"},
        {"alignment": "mono", "lm": "general", "lm_order": 3},
        {"realign_with_dnn": True, "prior_division": False},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_every_switch_runs(roots: dict[str, Path], tmp_path: Path, changes: dict[str, Any]) -> None:
    system, fold, _ = fitted(roots["silent_speech"], tmp_path / "run", **changes)
    (one,) = system.recognise(fold, fold.utterances["test"][:1])
    assert one.frames > 0
    assert all(torch.isfinite(value).all() for value in system.state_dict().values())


def test_lists_share_no_sentence_and_words_come_from_the_training_list(roots: dict[str, Path]) -> None:
    _, fold, _ = made(roots["silent_speech"])
    sessions = [u.session for part in fold.utterances.values() for u in part]
    assert len(sessions) == len(set(sessions)) == 17
    assert [u.session for u in fold.utterances["train"]][:3] == ["train-0", "train-1", "train-2"]
    assert fold.split.unit == "session"
    assert fold.rate_hz == pytest.approx(60)


def test_a_missing_text_is_said(roots: dict[str, Path]) -> None:
    _, fold, _ = made(roots["silent_speech"], task_text="nothing.txt")
    with pytest.raises(UserError, match=r"nothing.txt is missing: place the text"):
        fold.language_model("task")


def test_the_card_claims_what_the_paper_prints() -> None:
    card = registry.get("ssc_dnn")
    assert card.paper_values["ssc"] == {"WER": 0.0645, "WER@general_lm": 0.1144}
    assert [claim.name for claim in card.claims] == ["dnn_against_gmm", "task_language_model"]
