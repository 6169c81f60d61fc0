import numpy as np
import pytest

from vultus.audio.features import AudioConfig, compute_features, feature_times_s
from vultus.core.config import section
from vultus.core.errors import UserError


def test_features_follow_the_video() -> None:
    wav = np.random.default_rng(0).normal(0, 0.1, 47_000).astype(np.float32)
    heard = compute_features(wav, AudioConfig(), n_frames=75, fps=25.0)
    assert heard.log_mel.shape == (300, 80)
    assert heard.mfcc.shape == (300, 39)
    assert heard.f0_hz.shape == heard.energy_db.shape == heard.active.shape == (300,)
    assert all(a.dtype == np.float32 for a in (heard.log_mel, heard.mfcc, heard.f0_hz, heard.energy_db))


def test_missing_sound_is_silence() -> None:
    wav = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    heard = compute_features(wav, AudioConfig(), n_frames=50, fps=25.0)
    assert heard.log_mel[110:] == pytest.approx(np.log(1e-5))
    assert heard.energy_db[110:] == pytest.approx(-100.0)
    assert not heard.active[110:].any()


def test_surplus_sound_changes_nothing() -> None:
    wav = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    short = compute_features(wav[:32_000], AudioConfig(), n_frames=40, fps=25.0)
    long = compute_features(wav, AudioConfig(), n_frames=40, fps=25.0)
    np.testing.assert_array_equal(short.log_mel, long.log_mel)


def test_sound_without_video_keeps_its_length() -> None:
    assert compute_features(np.zeros(16_000, np.float32), AudioConfig()).log_mel.shape == (100, 80)
    assert compute_features(np.zeros(50, np.float32), AudioConfig()).log_mel.shape == (1, 80)


def test_feature_times_are_hops() -> None:
    np.testing.assert_allclose(feature_times_s(4), [0.0, 0.01, 0.02, 0.03])


def test_broken_sound_is_named() -> None:
    wav = np.zeros(1600, np.float32)
    wav[7] = np.nan
    with pytest.raises(ValueError, match="finite"):
        compute_features(wav, AudioConfig())


def test_configuration_is_checked() -> None:
    with pytest.raises(UserError, match="pitch range"):
        section(AudioConfig, {"pitch_low_hz": 10.0}, "audio.world")
    with pytest.raises(UserError, match="known keys"):
        section(AudioConfig, {"hop": 5}, "audio.world")
