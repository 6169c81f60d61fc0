from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.detect.conftest import CONFIG, reader
from tests.systems.toy_faces import write_toy
from vultus.core.errors import UserError
from vultus.core.experiment import load_experiment, train
from vultus.data.splits import Split
from vultus.detect.reader import AuReader, central_batch, entropy_bits
from vultus.systems.action_units.common import AuFold

PARAMS = {
    "seed": 1,
    "datasets": {"world": {"source": "world", "root": "raw"}},
    "crops": {"world": {"root": "raw", "size_px": 72}},
    "systems": {
        "hog_svm": {
            "family": "action_units", "dataset": "world", "features": "crops", "protocol": "world",
            "config": {"aus": [1, 4, 12], "image_px": 64, "hog_px": 32, "cell_px": 8},
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"resize_px": 0, "contrast_px": 0, "land_num": 68}])
def test_a_face_reaches_the_network_as_in_training(tmp_path: Path, changes: dict[str, int]) -> None:
    store, config = write_toy(tmp_path), dataclasses.replace(CONFIG, **changes)
    people = sorted(store.rows["subject"].unique())
    fold = AuFold(store, Split("toy", tuple(people[2:]), (people[0],), (people[1],)), config, seed=1)
    rows = np.arange(0, 40, 7)
    expected = fold.central(rows)
    batch = central_batch(config, np.asarray(store["face"][rows]), np.asarray(store["landmarks_68"][rows]))
    for name in ("image", "landmarks", "biocular"):
        assert torch.equal(batch[name], expected[name]), name
    assert set(batch) <= set(expected)


def test_folds_are_averaged() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, 54, 54, 3), np.uint8)
    points, level = rng.uniform(10, 40, (2, 68, 2)).astype(np.float32), np.tile(np.eye(2, 3), (2, 1, 1))
    both = reader(folds=2)
    single = [AuReader([system], 54, "one").read(faces, points, level) for system in both.systems]
    for k, reading in enumerate(both.read(faces, points, level)):
        np.testing.assert_allclose(reading.probability, (single[0][k].probability + single[1][k].probability) / 2)
        np.testing.assert_allclose(reading.uncertainty, entropy_bits(reading.probability))


def test_entropy_is_one_bit_at_a_half_and_nothing_at_the_ends() -> None:
    np.testing.assert_allclose(entropy_bits(np.array([0, 0.5, 1, 0.11])), [0, 1, 0, 0.4999], atol=1e-4)


def test_a_trained_system_is_opened_and_its_absence_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(PARAMS))
    with pytest.raises(UserError, match=r"no action unit system 'openface'; there is: .*hog_svm.*jaa_hat_net"):
        AuReader.open("openface", params)
    with pytest.raises(UserError, match=r"no trained system: run `dvc repro train@hog_svm` \(trained: none\)"):
        AuReader.open("hog_svm", params)
    train(load_experiment("hog_svm", params), Path("models/hog_svm"))
    opened = AuReader.open("hog_svm", params)
    assert (opened.aus, opened.aligned_px, opened.has_intensity) == ((1, 4, 12), 72, False)
    assert opened.about == "hog_svm, trained on synthetic people (world)"
    shutil.copytree("models/hog_svm/fold_0", "models/hog_svm/fold_1")
    assert AuReader.open("hog_svm", params).about.endswith("mean of 2 folds")
    PARAMS["systems"]["hog_svm"]["config"]["cell_px"] = 16
    params.write_text(yaml.safe_dump(PARAMS))
    with pytest.raises(UserError, match=r"differs from params\.yaml"):
        AuReader.open("hog_svm", params)
