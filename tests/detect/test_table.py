from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.detect.conftest import Lookup, WithIntensity, reader
from vultus.detect import detect
from vultus.detect.table import columns


def test_columns_are_openfaces_in_its_order(real_folder: Path) -> None:
    """Gaze, 3D points and the point model's parameters are OpenFace's own and left out."""
    real = pd.read_csv(real_folder / "au/OpenFace_Test.csv", skipinitialspace=True, nrows=1).columns.tolist()
    aus = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28)
    ours = list(columns(aus, has_intensity=True))
    shared = [name for name in ours if name in real]
    assert shared == [name for name in real if name in ours]
    left_out = [name for name in real if name not in ours]
    assert {name.split("_")[0] for name in left_out} == {"gaze", "X", "Y", "Z", "p", "AU45"}
    added = [name for name in ours if name not in real]
    assert added[:2] == ["face_id", "AU28_r"]
    assert set(added[2:]) == {f"AU{au:02d}_{kind}" for au in aus for kind in "pu"} | {"input"}


def test_units_stand_in_rising_order_whatever_the_systems_order() -> None:
    assert columns((12, 1, 4), has_intensity=False)[-10:] == (
        "AU01_c", "AU04_c", "AU12_c", "AU01_p", "AU04_p", "AU12_p", "AU01_u", "AU04_u", "AU12_u", "input",
    )  # fmt: skip


@pytest.mark.parametrize("system", [None, WithIntensity])
def test_intensity_and_doubt_are_the_systems_where_it_has_them(
    pictures: tuple[Path, Lookup], tmp_path: Path, system: type[WithIntensity] | None
) -> None:
    folder, detector = pictures
    detect([folder], reader(system) if system else reader(), detector, tmp_path / "aus.csv")
    table = pd.read_csv(tmp_path / "aus.csv").query("success == 1")
    for au in (1, 4, 12):
        probability = table[f"AU{au:02d}_p"]
        assert (table[f"AU{au:02d}_c"] == (probability >= 0.5)).all()
        if system:
            assert (table[f"AU{au:02d}_r"] - (probability * 10).clip(upper=5)).abs().max() < 2e-3
            assert (table[f"AU{au:02d}_u"] == 0.25).all()
        else:
            assert f"AU{au:02d}_r" not in table
            assert table[f"AU{au:02d}_u"].between(0, 1).all()
