import numpy as np
import pytest

from vultus.audio.pitch import f0_autocorrelation, track_autocorrelation, track_pyin

RATE = 16_000


def voice(f0_hz: np.ndarray) -> np.ndarray:
    """A buzz with twelve harmonics falling by 6 dB an octave."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    return (0.2 * sum(np.sin(k * phase) / k for k in range(1, 13))).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [62.0, 104.0, 199.0, 333.0, 440.0])
def test_pitch_of_a_steady_voice(f0_hz: float) -> None:
    track = f0_autocorrelation(voice(np.full(RATE, f0_hz)))
    assert track.shape == (101,)
    np.testing.assert_allclose(track[4:-4], f0_hz, rtol=0.01)


def test_pitch_follows_a_glide() -> None:
    f0_hz = np.linspace(120, 240, RATE)
    track = f0_autocorrelation(voice(f0_hz))
    np.testing.assert_allclose(track[5:-5], f0_hz[::160][5 : len(track) - 5], rtol=0.02)


def test_missing_fundamental_is_heard() -> None:
    time = np.arange(RATE) / RATE
    wav = sum(np.sin(2 * np.pi * 150 * k * time) for k in (3, 4, 5, 6)) * 0.1
    np.testing.assert_allclose(f0_autocorrelation(wav)[5:-5], 150.0, rtol=0.01)


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert (f0_autocorrelation(noise) > 0).mean() < 0.05
    assert not f0_autocorrelation(np.zeros(RATE, np.float32)).any()


def test_voicing_follows_the_sound() -> None:
    wav = np.concatenate([np.zeros(RATE // 2), voice(np.full(RATE // 2, 130.0))])
    track = f0_autocorrelation(wav)
    assert not track[:46].any()
    assert (track[54:96] > 0).all()


def test_a_click_of_the_pitch_is_mended_inside_a_run_only() -> None:
    # An octave error of one frame would stand out against its voiced neighbours.
    f0_hz = np.full(RATE, 110.0)
    wav = voice(f0_hz)
    wav[8000:8200] += voice(np.full(200, 220.0))
    np.testing.assert_allclose(f0_autocorrelation(wav)[4:-4], 110.0, rtol=0.02)


def test_range_is_checked() -> None:
    with pytest.raises(ValueError, match="pitch range"):
        f0_autocorrelation(np.zeros(RATE), low_hz=20)


def test_voicing_is_the_correlation_also_where_it_decides_against_a_voice() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    tone, hiss = track_autocorrelation(voice(np.full(RATE, 130.0))), track_autocorrelation(noise)
    assert tone.voicing.shape == tone.f0_hz.shape == (101,)
    assert tone.voicing[4:-4].min() > 0.98
    assert 0.0 <= hiss.voicing.min() <= hiss.voicing.max() <= 1.0
    assert 0.05 < np.median(hiss.voicing) < 0.5


def test_pyin_agrees_with_autocorrelation() -> None:
    wav = voice(np.linspace(180, 140, RATE // 2))
    fast, slow = track_autocorrelation(wav).f0_hz, track_pyin(wav).f0_hz
    assert fast.shape == slow.shape
    both = (fast > 0) & (slow > 0)
    assert both.mean() > 0.7
    assert np.median(np.abs(fast - slow)[both] / slow[both]) < 0.01
