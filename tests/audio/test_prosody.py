from __future__ import annotations

import numpy as np

from vultus.audio.prosody import Tracks, semitones, voiced_runs


def tracks(energy_db: np.ndarray) -> Tracks:
    n = len(energy_db)
    return Tracks(np.arange(n) + 1.0, np.zeros(n), energy_db, np.zeros(n), np.zeros((n, 13)))


def test_silence_is_cut_at_both_ends_but_for_50_ms() -> None:
    energy = np.full(100, -80.0)
    energy[20:60] = -20.0
    energy[40] = -70.0
    cut = tracks(energy).without_silence()
    assert cut.f0_hz[[0, -1]].tolist() == [16.0, 65.0]
    assert len(cut) == len(cut.mfcc) == 50
    assert len(tracks(np.full(30, -100.0)).without_silence()) == 30


def test_runs_close_holes_of_one_frame_and_lose_short_ones() -> None:
    f0_hz = np.concatenate(
        [[0, 0], np.full(4, 100.0), [0], np.full(4, 121.0), [0, 0, 0], np.full(4, 90.0), [0, 0], [80.0]]
    )
    runs = voiced_runs(f0_hz)
    assert runs.frame.tolist() == list(range(2, 11))
    assert runs.start.tolist() == [0]
    assert runs.length.tolist() == [9]
    # The hole lies at the geometric mean, and the median of five leaves a step a step.
    assert np.isclose(runs.f0_hz[4], 110.0)
    assert runs.f0_hz[[0, -1]].tolist() == [100.0, 121.0]


def test_runs_know_their_lengths_and_gaps() -> None:
    f0_hz = np.zeros(60)
    for start, stop in ((3, 10), (14, 20), (50, 60)):
        f0_hz[start:stop] = 120.0
    runs = voiced_runs(f0_hz)
    assert runs.length.tolist() == [7, 6, 10]
    assert runs.gap.tolist() == [4, 30]
    assert runs.run.tolist() == [0] * 7 + [1] * 6 + [2] * 10


def test_a_whisper_has_no_runs() -> None:
    runs = voiced_runs(np.zeros(50))
    assert len(runs.start) == len(runs.frame) == len(runs.length) == len(runs.gap) == 0


def test_an_octave_error_inside_a_run_is_mended_and_never_across_a_gap() -> None:
    f0_hz = np.concatenate([np.full(8, 100.0), np.zeros(3), np.full(8, 200.0)])
    f0_hz[4] = 200.0
    runs = voiced_runs(f0_hz)
    assert runs.f0_hz.tolist() == [100.0] * 8 + [200.0] * 8


def test_semitones() -> None:
    np.testing.assert_allclose(semitones(np.array([110.0, 220.0, 440.0]), 220.0), [-12.0, 0.0, 12.0])
