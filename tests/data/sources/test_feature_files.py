"""Feature files in their published forms become clips; the features stay where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from vultus.core.errors import UserError
from vultus.data.precomputed import read_feature_file
from vultus.data.sources.feature_files import Options, read

REAL = Path(os.environ.get("VULTUS_REAL", "../shared/real")) / "uda/mnist2000_usps1800_256d.npz"


def write_surf(path: Path, features: np.ndarray, labels: list[int]) -> None:
    """As the Office-Caltech10 files: ``fts`` and a column ``labels``, counted from 1."""
    scipy.io.savemat(path, {"fts": features, "labels": np.array(labels, np.uint8)[:, None]})


def test_mat_files_give_a_clip_a_row(tmp_path: Path) -> None:
    features = np.arange(12, dtype=np.float64).reshape(3, 4)
    write_surf(tmp_path / "amazon_SURF_L10.mat", features, [1, 10, 2])
    write_surf(tmp_path / "dslr_SURF_L10.mat", features[:2] + 1, [10, 1])
    (tmp_path / "readme.txt").write_text("passed over")
    clips = [rows.clip for rows in read(tmp_path, Options(licence="research"))]
    assert all(clip is not None for clip in clips)
    shown = [(c["clip_id"], c["domain"], c["label"], c["feature_file"], c["feature_row"]) for c in clips if c]
    assert shown[:2] == [
        ("amazon/000000", "amazon", "1", "amazon_SURF_L10.mat", 0),
        ("amazon/000001", "amazon", "10", "amazon_SURF_L10.mat", 1),
    ]
    assert [entry[0] for entry in shown[3:]] == ["dslr/000000", "dslr/000001"]
    table = read_feature_file(tmp_path / "dslr_SURF_L10.mat")["dslr"]
    assert table.feature.dtype == np.float32
    np.testing.assert_array_equal(table.feature, features[:2] + 1)


def test_csv_has_its_label_last_and_npz_may_hold_several_domains(tmp_path: Path) -> None:
    (tmp_path / "amazon_amazon.csv").write_text("0.5,1.5,3.0\n2.5,-1,0.0\n")
    table = read_feature_file(tmp_path / "amazon_amazon.csv")["amazon"]
    assert table.label == ("3", "0")
    np.testing.assert_array_equal(table.feature, np.array([[0.5, 1.5], [2.5, -1]], np.float32))
    np.savez(tmp_path / "digits.npz", a=np.zeros((2, 3)), a_label=[1, 2], b=np.ones((1, 3)), b_label=[7])
    domains = read_feature_file(tmp_path / "digits.npz")
    assert {name: table.label for name, table in domains.items()} == {"a": ("1", "2"), "b": ("7",)}
    np.savez(tmp_path / "web_features.npz", X=np.zeros((1, 3)), y=np.array(["mug"]))
    assert read_feature_file(tmp_path / "web_features.npz")["web"].label == ("mug",)


def test_a_row_that_is_no_number_is_quarantined_with_its_place(tmp_path: Path) -> None:
    features = np.zeros((3, 2), np.float32)
    features[1, 0] = np.nan
    np.savez(tmp_path / "a.npz", X=features, y=[0, 1, 1])
    rows = list(read(tmp_path, Options()))
    assert [r.clip["feature_row"] for r in rows if r.clip] == [0, 2]
    fault = rows[1].quarantine[0]
    assert (fault["file"], fault["row"], fault["clip_id"]) == ("a.npz", 2, "a/000001")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.mat", lambda p: scipy.io.savemat(p, {"other": np.zeros(3)}), "needs a matrix named fts or feas or X"),
        ("a.npz", lambda p: np.savez(p, X=np.zeros((3, 2)), y=[1]), r"features are \(3, 2\) and its labels 1"),
        ("a.csv", lambda p: p.write_text("1\n2\n"), "has 1 columns"),
        ("a.mat", lambda p: p.write_text("no matrix"), "cannot be read as features"),
        ("a.npz", lambda p: np.savez(p, X=np.array([{}], object), y=[1]), "cannot be read as features"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, write, message: str) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / name)
    with pytest.raises(UserError, match=message):
        list(read(tmp_path, Options()))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "amazon_amazon.csv").write_text("1,2,0\n")
    (tmp_path / "amazon_webcam.csv").write_text("1,2,0\n")
    with pytest.raises(UserError, match=r"both give the domain amazon: name the files .* in options\.files"):
        list(read(tmp_path, Options()))
    assert len(list(read(tmp_path, Options(files=("amazon_webcam.csv",))))) == 1
    (tmp_path / "amazon_webcam.csv").unlink()
    (tmp_path / "dslr.csv").write_text("1,2,3,0\n")
    with pytest.raises(UserError, match="amazon has 2, dslr has 3"):
        list(read(tmp_path, Options()))


def test_the_real_digits_are_read() -> None:
    if not REAL.exists():
        pytest.skip("the real digit features are not on this machine (VULTUS_REAL)")
    rows = [rows.clip for rows in read(REAL.parent, Options())]
    counts = {
        domain: sum(clip is not None and clip["domain"] == domain for clip in rows) for domain in ("mnist", "usps")
    }
    assert counts == {"mnist": 2000, "usps": 1800}
    assert {clip["label"] for clip in rows if clip} == set("0123456789")
