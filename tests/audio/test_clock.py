from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.audio import clock


def test_at_25_frames_a_second_each_has_four_feature_frames() -> None:
    spans = clock.feature_spans(75, 25.0)
    assert (spans[:, 0] == 4 * np.arange(75)).all()
    assert (spans[:, 1] == 4 * np.arange(1, 76)).all()
    assert clock.n_feature_frames(75, 25.0) == 300


def test_rates_are_the_fractions_that_are_meant() -> None:
    assert clock.exact_rate(29.97) == Fraction(30_000, 1001)
    assert clock.exact_rate(59.94) == Fraction(60_000, 1001)
    assert clock.exact_rate(23.976) == Fraction(24_000, 1001)
    assert clock.exact_rate(25.0) == 25
    assert clock.exact_rate(60.0) == 60
    with pytest.raises(ValueError, match="positive"):
        clock.exact_rate(0.0)


@given(st.sampled_from([10.0, 23.976, 25.0, 29.97, 30.0, 50.0, 60.0, 81.5, 100.0]), st.integers(1, 500))
def test_spans_cover_every_feature_frame_once(fps: float, n_frames: int) -> None:
    spans = clock.feature_spans(n_frames, fps)
    assert spans[0, 0] == 0
    assert (spans[1:, 0] == spans[:-1, 1]).all()
    assert spans[-1, 1] == clock.n_feature_frames(n_frames, fps)


@given(st.sampled_from([24.0, 25.0, 29.97, 60.0]), st.integers(0, 200_000))
def test_no_drift_after_hours(fps: float, frame: int) -> None:
    start, stop = clock.feature_spans(frame + 1, fps)[-1]
    begins, ends = frame / clock.exact_rate(fps), (frame + 1) / clock.exact_rate(fps)
    assert begins <= Fraction(int(start), 100) < ends
    assert Fraction(int(stop) - 1, 100) < ends <= Fraction(int(stop), 100)


def test_video_faster_than_the_features_repeats_them() -> None:
    spans = clock.feature_spans(122, 122.0)
    assert (spans[:, 1] > spans[:, 0]).all()
    assert spans[-1, 1] == 100


def test_video_frames_of_a_sound() -> None:
    assert clock.n_video_frames(48_000, 25.0) == 75
    assert clock.n_video_frames(47_999, 25.0) == 74
    assert clock.n_video_frames(16_000, 60.0) == 60


def test_length_is_cut_or_filled_never_resized() -> None:
    features = np.arange(10.0, dtype=np.float32)[:, None]
    assert clock.fit_length(features, 4, 0.0)[:, 0].tolist() == [0, 1, 2, 3]
    assert clock.fit_length(features, 12, -7.0)[:, 0].tolist() == [*range(10), -7, -7]


def test_context_is_centred_on_the_video_frame() -> None:
    times_s = (np.arange(300) / 100).astype(np.float32)[:, None]
    windows = clock.context_windows(times_s, 75, 25.0, 28)
    assert windows.shape == (75, 28, 1)
    centres = windows[10:60, :, 0].mean(axis=1)
    # 28 points 10 ms apart cannot be centred better than half a step.
    assert np.abs(centres - (np.arange(10, 60) + 0.5) / 25).max() <= 0.0051


def test_sync_windows_start_at_the_frame() -> None:
    mel = np.repeat(np.arange(240, dtype=np.float32)[:, None], 80, axis=1)
    windows = clock.sync_windows(mel, 75, 25.0)
    assert windows.shape[1:] == (16, 80)
    assert (windows[:, 0, 0] == np.floor(80 * np.arange(len(windows)) / 25)).all()
    assert windows[-1, -1, 0] <= 239
