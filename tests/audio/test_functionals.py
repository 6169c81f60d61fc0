from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vultus.audio.functionals import (
    CHALLENGE_COLUMNS,
    FUNCTIONALS,
    SMALL_COLUMNS,
    functionals,
    global_384,
    global_small,
)
from vultus.audio.prosody import Tracks


def tracks(n: int = 120, seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    f0_hz = np.zeros(n)
    f0_hz[10:40] = np.linspace(120, 180, 30)
    f0_hz[50:90] = 140.0
    return Tracks(f0_hz, rng.random(n), rng.normal(-30, 5, n), rng.random(n), rng.normal(0, 1, (n, 13)))


def test_small_set() -> None:
    heard = tracks()
    values = dict(zip(SMALL_COLUMNS, global_small(heard), strict=True))
    assert len(values) == 23
    assert values["f0_min"] == pytest.approx(120.0, abs=5)  # the median of five flattens the ends
    assert values["f0_range"] == pytest.approx(values["f0_max"] - values["f0_min"])
    assert values["energy_quartile_1"] == pytest.approx(np.percentile(heard.energy_db, 25))
    assert values["voiced_ratio"] == pytest.approx(70 / 120)
    assert values["runs_per_s"] == pytest.approx(2 / 1.2)
    assert values["run_length_s"] == pytest.approx(0.35)
    # The concatenated pitch jumps from the end of the first run to the second.
    assert values["f0_difference_min"] < -35


def test_a_whisper_has_energy_and_no_pitch() -> None:
    heard = tracks()
    mute = Tracks(np.zeros(120), heard.voicing, heard.energy_db, heard.zero_crossings, heard.mfcc)
    values = dict(zip(SMALL_COLUMNS, global_small(mute), strict=True))
    assert all(value == 0.0 for name, value in values.items() if not name.startswith("energy"))
    assert np.isfinite(global_384(mute)).all()


def test_twelve_functionals_against_numpy_and_scipy() -> None:
    rng = np.random.default_rng(1)
    contour = rng.gamma(2.0, 1.0, 80)
    values = dict(zip(FUNCTIONALS, functionals(contour[:, None])[0], strict=True))
    slope, offset = np.polyfit(np.arange(80), contour, 1)
    expected = {
        "max": contour.max(), "min": contour.min(), "range": np.ptp(contour), "argmax": contour.argmax(),
        "argmin": contour.argmin(), "mean": contour.mean(), "slope": slope, "offset": offset,
        "regression_mse": np.square(contour - np.polyval([slope, offset], np.arange(80))).mean(), "std": contour.std(),
        "skewness": stats.skew(contour), "kurtosis": stats.kurtosis(contour, fisher=False),
    }  # fmt: skip
    assert values == pytest.approx(expected)


def test_a_contour_that_does_not_vary() -> None:
    values = dict(zip(FUNCTIONALS, functionals(np.full((10, 1), 3.0))[0], strict=True))
    assert (values["slope"], values["std"], values["skewness"], values["kurtosis"]) == (0.0, 0.0, 0.0, 0.0)
    assert functionals(np.ones((1, 2))).shape == (2, 12)


def test_challenge_set_has_its_384_values() -> None:
    vector = global_384(tracks())
    assert len(CHALLENGE_COLUMNS) == len(set(CHALLENGE_COLUMNS)) == len(vector) == 384
    values = dict(zip(CHALLENGE_COLUMNS, vector, strict=True))
    heard = tracks()
    smooth = np.convolve(np.pad(heard.f0_hz, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    assert values["f0_mean"] == pytest.approx(smooth.mean(), rel=1e-5)
    assert values["f0_max"] == pytest.approx(smooth.max(), rel=1e-5)
    assert values["zcr_delta_mean"] == pytest.approx(0.0, abs=0.05)
