from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from vultus.audio.local_dynamics import BLOCKS, LocalDynamics, block_samples, columns, histogram, local_dynamics
from vultus.audio.pitch import track_autocorrelation
from vultus.audio.prosody import Tracks, semitones, voiced_runs

RUN, GAP = 20, 5


def spoken(*runs_st: np.ndarray, energy_db: np.ndarray | None = None) -> Tracks:
    """Voiced runs, in semitones above 100 Hz, with gaps around them."""
    pieces = [np.zeros(GAP)]
    for run in runs_st:
        pieces += [100.0 * 2.0 ** (run / 12.0), np.zeros(GAP)]
    f0_hz = np.concatenate(pieces)
    energy = np.where(f0_hz > 0, -20.0, -40.0) if energy_db is None else energy_db
    n = len(f0_hz)
    return Tracks(f0_hz, np.zeros(n), energy, np.zeros(n), np.zeros((n, 13)))


def glide(rate_st_s: float, start_st: float = 0.0) -> np.ndarray:
    return start_st + rate_st_s * 0.01 * np.arange(RUN)


def block(name: str, tracks: Tracks, **settings: object) -> np.ndarray:
    return local_dynamics(tracks, LocalDynamics(blocks=(name,), **settings))  # type: ignore[arg-type]


def samples(name: str, tracks: Tracks, **settings: object) -> np.ndarray:
    runs = voiced_runs(tracks.f0_hz)
    level = semitones(runs.f0_hz, 100.0)
    config = LocalDynamics(**settings)  # type: ignore[arg-type]
    return block_samples(name, level, tracks.energy_db[runs.frame], runs, config)[0][0]  # type: ignore[arg-type]


def test_a_steady_glide_fills_one_bin() -> None:
    # 20 bins of 6 st/s from -60: bin 0 is open, 27 st/s lies in bin 1 + (60 + 27) // 6 = 15.
    vector = block("ldp", spoken(*[glide(27.0)] * 4))
    assert vector.shape == (22,)
    assert vector[15] > 0.7  # the median at the ends of a run flattens some
    assert vector.sum() == pytest.approx(1.0)
    inner = samples("ldp", spoken(*[glide(27.0)] * 4))
    assert np.median(inner) == pytest.approx(27.0)


def test_local_differences_never_cross_a_gap_unless_told() -> None:
    tracks = spoken(glide(0.0, 0.0), glide(0.0, 6.0), glide(0.0, 0.0))
    assert np.abs(samples("ldp", tracks)).max() < 1e-9
    assert len(samples("ldp", tracks)) == 3 * (RUN - 3)
    crossing = samples("ldp", tracks, cross_gap=True)
    assert len(crossing) == 3 * RUN - 3
    assert np.abs(crossing).max() == pytest.approx(200.0)  # 6 st in 30 ms


def test_step_changes_the_time_over_which_is_subtracted() -> None:
    tracks = spoken(*[glide(12.0)] * 3)
    assert len(samples("ldp", tracks, local_step=5)) == 3 * (RUN - 5)
    assert np.median(samples("ldp", tracks, local_step=5)) == pytest.approx(12.0)


def test_slopes_are_least_squares_and_weighted_by_length() -> None:
    rng = np.random.default_rng(0)
    tracks = spoken(*(glide(rate) + rng.normal(0, 0.1, RUN) for rate in (-20.0, 5.0, 35.0)))
    runs = voiced_runs(tracks.f0_hz)
    level = semitones(runs.f0_hz, 100.0)
    [(slopes, weights)] = block_samples("slope", level, tracks.energy_db, runs, LocalDynamics())
    expected = [np.polyfit(0.01 * np.arange(RUN), part, 1)[0] for part in np.split(level, runs.start[1:])]
    np.testing.assert_allclose(slopes, expected)
    assert weights is not None
    assert weights.tolist() == [RUN] * 3


def test_jumps_are_steps_of_the_median_level() -> None:
    tracks = spoken(glide(0, 0), glide(0, 3.5), glide(0, 1.5), glide(0, 1.5))
    np.testing.assert_allclose(samples("jump", tracks), [3.5, -2.0, 0.0], atol=1e-5)
    # Edges at -8, -6, ..., 8: 3.5, -1 and 0.5 lie in the bins 6 (2..4), 4 (-2..0) and 5 (0..2).
    assert block("jump", spoken(glide(0, 0), glide(0, 3.5), glide(0, 2.5), glide(0, 3.0)))[[4, 5, 6]] == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3]
    )


def test_levels_do_not_depend_on_the_voice() -> None:
    rng = np.random.default_rng(1)
    runs = [rng.normal(0, 2, RUN) for _ in range(4)]
    low, high = spoken(*runs), spoken(*(run + 9.0 for run in runs))
    every = LocalDynamics(blocks=BLOCKS)
    np.testing.assert_allclose(local_dynamics(low, every), local_dynamics(high, every), atol=1e-6)
    # ... unless the reference is a fixed pitch: the level moves into the open bin.
    fixed = LocalDynamics(blocks=("ppd",))
    assert local_dynamics(high, fixed, reference_hz=100.0)[-1] > 0.5 > local_dynamics(low, fixed, 100.0)[-1]


def test_loud_frames_count_more_with_energy() -> None:
    runs = [glide(-30.0), glide(30.0), glide(-30.0), glide(30.0)]
    energy = np.full(5 * GAP + 4 * RUN, -60.0)
    for k in range(4):
        energy[GAP + k * (RUN + GAP) :][:RUN] = -20.0 if k % 2 else -40.0
    weighted = block("ldp_e", spoken(*runs, energy_db=energy))
    plain = block("ldp", spoken(*runs, energy_db=energy))
    assert plain[:11].sum() == pytest.approx(plain[11:].sum())
    assert weighted[11:].sum() / weighted[:11].sum() == pytest.approx(10.0, rel=1e-3)


def test_durations_of_runs_and_gaps() -> None:
    runs, gaps = np.split(block("dur", spoken(*[glide(0)] * 4)), 2)
    # Six bins a factor of 20^(1/6) wide from 30 ms: 200 ms lies in bin 3, 50 ms in bin 1.
    assert runs.tolist() == [0, 0, 0, 1, 0, 0]
    assert gaps.tolist() == [0, 1, 0, 0, 0, 0]


def test_shuffling_keeps_levels_and_destroys_steps() -> None:
    tracks = spoken(*(glide(0, 5.0 * (k % 2)) for k in range(6)))
    rng = np.random.default_rng(0)
    kept, shuffled = LocalDynamics(blocks=("ppd",)), LocalDynamics(blocks=("ppd",), shuffle_time=True)
    np.testing.assert_array_equal(local_dynamics(tracks, kept), local_dynamics(tracks, shuffled, rng=rng))
    jumps = local_dynamics(tracks, LocalDynamics(blocks=("jump",), shuffle_time=True), rng=rng)
    assert block("jump", tracks)[[2, 7]].sum() == pytest.approx(1.0)  # steps of -5 and 5 st
    assert jumps[[2, 7]].sum() < 0.9
    with pytest.raises(ValueError, match="needs a generator"):
        local_dynamics(tracks, shuffled)


def test_too_little_voice_is_zeros() -> None:
    size = len(columns(LocalDynamics()))
    assert size == 60
    for tracks in (spoken(glide(5.0), glide(5.0)), spoken()):
        assert local_dynamics(tracks, LocalDynamics()).tolist() == [0.0] * size


def test_names_follow_the_blocks() -> None:
    names = columns(LocalDynamics(blocks=("jump", "ldp"), n_bins=10))
    assert names[0] == "jump_00"
    assert names[10:] == tuple(f"ldp_{i:02d}" for i in range(10))
    every = LocalDynamics(blocks=BLOCKS)
    rng = np.random.default_rng(2)
    vector = local_dynamics(spoken(*(rng.normal(0, 3, RUN) for _ in range(5))), every)
    assert len(columns(every)) == len(vector) == 22 + 22 + 18 + 10 + 10 + 12 + 22
    assert vector.min() >= 0.0


def test_histogram_examples() -> None:
    edges = np.array([0.0, 1.0])
    assert histogram(np.array([0.5, 3.0]), edges).tolist() == [0.0, 0.5, 0.5]
    assert histogram(np.array([0.0, 1.0]), edges).tolist() == [0.0, 0.5, 0.5]
    assert histogram(np.array([-1.0, 0.5]), edges, np.array([3.0, 1.0])).tolist() == [0.75, 0.25, 0.0]
    assert histogram(np.zeros(0), edges).tolist() == [0.0, 0.0, 0.0]
    assert histogram(np.zeros(2), edges, np.zeros(2)).tolist() == [0.0, 0.0, 0.0]


def test_soft_bins_hold_the_mass_of_a_gaussian() -> None:
    edges = np.arange(-4.0, 5.0, 2.0)
    soft = histogram(np.array([0.3]), edges, soft=True)
    expected = np.diff(norm(0.3, 1.0).cdf(np.concatenate([[-np.inf], edges, [np.inf]])))
    np.testing.assert_allclose(soft, expected)
    assert soft.sum() == pytest.approx(1.0)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="once each, not ldp, ldp"):
        LocalDynamics(blocks=("ldp", "ldp"))
    with pytest.raises(ValueError, match="n_bins >= 4"):
        LocalDynamics(n_bins=3)


def test_a_synthetic_voice_moves_as_it_was_told() -> None:
    """From sound to histogram: a vibrato of +-30 st/s has its mass out there, a steady voice in the middle."""
    rate = 16_000
    time = np.arange(2 * rate) / rate
    masses = []
    for depth_st in (0.0, 2.0):
        f0_hz = 150.0 * 2.0 ** (depth_st * np.sin(2 * np.pi * 2.5 * time) / 12.0)
        phase = 2 * np.pi * np.cumsum(f0_hz) / rate
        wav = 0.2 * sum(np.sin(k * phase) / k for k in range(1, 11)) * (np.sin(2 * np.pi * 2 * time) > -0.7)
        pitch = track_autocorrelation(wav)
        n = len(pitch.f0_hz)
        tracks = Tracks(pitch.f0_hz, pitch.voicing, np.full(n, -20.0), np.zeros(n), np.zeros((n, 13)))
        vector = block("ldp", tracks)
        masses.append(vector[:8].sum() + vector[14:].sum())  # faster than 18 st/s
    assert masses[0] < 0.1
    assert masses[1] > 0.4
