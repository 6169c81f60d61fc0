"""Files of precomputed features with class labels, where a data set brings no media.

Three published forms; each gives one or several domains:

* ``.mat`` (MATLAB 5), as the SURF and DeCAF features of Office-Caltech10: a matrix ``fts``, ``feas`` or ``X`` with a
  row a picture, and ``labels``, ``label``, ``Y`` or ``y``.
* ``.npz``: ``X`` and ``y`` of one domain, or for each domain D the pair ``D`` and ``D_label``.
* ``.csv`` without header, as the ResNet-50 features of Office-31: the last column is the label.

The domain of a file that holds one is the part of its name before the first ``_``: ``amazon_SURF_L10.mat`` is amazon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vultus.core.errors import UserError

SUFFIXES = (".mat", ".npz", ".csv")

_MATRIX_NAMES = ("fts", "feas", "X")
_LABEL_NAMES = ("labels", "label", "Y", "y")


@dataclass(frozen=True)
class FeatureTable:
    """Features of one domain."""

    feature: npt.NDArray[np.float32]
    """(N, d); a value may be NaN."""
    label: tuple[str, ...]
    """N class names, numbers as they stand in the file."""


@lru_cache(maxsize=4)
def read_feature_file(path: Path) -> Mapping[str, FeatureTable]:
    """The domains of a file; the last few files are remembered, since each clip asks for one row.

    Raises:
        UserError: the file is missing, is no such file, or features and labels differ in number.
    """
    readers = {".mat": _read_mat, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: features are read from {', '.join(SUFFIXES)} files")
    try:
        return readers[path.suffix.lower()](path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: restore the file") from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path} cannot be read as features: {error}") from None


def _read_mat(path: Path) -> dict[str, FeatureTable]:
    import scipy.io
    from scipy.io.matlab import MatReadError

    try:
        members = scipy.io.loadmat(path)
    except MatReadError as error:
        raise ValueError(str(error)) from None
    return {_domain_of(path): _table(path, members, _MATRIX_NAMES, _LABEL_NAMES)}


def _read_npz(path: Path) -> dict[str, FeatureTable]:
    with np.load(path, allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    pairs = [name for name in members if f"{name}_label" in members]
    if pairs:
        return {name: _table(path, members, (name,), (f"{name}_label",)) for name in pairs}
    return {_domain_of(path): _table(path, members, _MATRIX_NAMES, _LABEL_NAMES)}


def _read_csv(path: Path) -> dict[str, FeatureTable]:
    values = pd.read_csv(path, header=None).to_numpy(np.float64)
    if values.shape[1] < 2:
        raise ValueError(f"it has {values.shape[1]} columns, where features and a label belong")
    return {_domain_of(path): _table(path, {"X": values[:, :-1], "y": values[:, -1]}, ("X",), ("y",))}


def _domain_of(path: Path) -> str:
    return path.stem.split("_")[0]


def _table(
    path: Path, members: Mapping[str, Any], matrix_names: tuple[str, ...], label_names: tuple[str, ...]
) -> FeatureTable:
    found = {
        kind: next((members[name] for name in names if name in members), None)
        for kind, names in (("a matrix", matrix_names), ("labels", label_names))
    }
    for kind, names in (("a matrix", matrix_names), ("labels", label_names)):
        if found[kind] is None:
            there = ", ".join(name for name in members if not name.startswith("__")) or "nothing"
            raise ValueError(f"it needs {kind} named {' or '.join(names)}; it holds {there}")
    feature, label = np.asarray(found["a matrix"]), np.asarray(found["labels"]).reshape(-1)
    if feature.ndim != 2 or len(feature) != len(label):
        raise ValueError(f"its features are {feature.shape} and its labels {len(label)}")
    classes = tuple(str(int(v)) if isinstance(v, np.number) and v == int(v) else str(v) for v in label)
    return FeatureTable(feature.astype(np.float32), classes)
