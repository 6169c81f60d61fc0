import numpy as np
import pytest

from vultus.audio import spectra

RATE = spectra.SAMPLE_RATE_HZ


def tone(frequency_hz: float, seconds: float = 1.0, rate_hz: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype("f4")


def test_frames_are_centred_on_multiples_of_the_hop() -> None:
    wav = np.arange(1.0, 1001.0)
    frames = spectra.centred_frames(wav, 400, 160)
    assert frames.shape == (1 + 1000 // 160, 400)
    assert (frames[:, 200] == wav[::160]).all()
    assert (frames[0, :200] == 0).all()


@pytest.mark.parametrize("bad", [np.zeros((2, 100)), np.zeros(0)])
def test_only_mono_sound_is_framed(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono"):
        spectra.centred_frames(bad, 400, 160)


def slaney_mel(frequency_hz: float) -> float:
    """Slaney's scale, written out: linear below 1 kHz, 27 steps to a factor 6.4 above."""
    if frequency_hz < 1000:
        return frequency_hz / (200 / 3)
    return 15 + 27 * np.log(frequency_hz / 1000) / np.log(6.4)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 3500.0])
def test_log_mel_of_a_tone_peaks_in_its_band(frequency_hz: float) -> None:
    mel = spectra.log_mel(tone(frequency_hz))
    assert mel.shape == (101, 80)
    expected = slaney_mel(frequency_hz) / slaney_mel(8000) * 81 - 1
    assert abs(int(mel[50].argmax()) - expected) <= 1


def test_log_mel_of_a_tone_has_the_magnitude_of_its_line() -> None:
    # A sine of amplitude a at a bin's centre has |X| = a/2 sum(window); here a/2 * 200, spread over three Hann bins.
    frequency_hz = 64 * RATE / 512
    mel = np.exp(spectra.log_mel(tone(frequency_hz))[50])
    filters = spectra.mel_filters(512, 80, 0.0, 8000.0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    phase = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    line = np.abs(phase @ (window * 0.5 * np.sin(2 * np.pi * frequency_hz / RATE * (np.arange(400) + 8000 - 200))))
    np.testing.assert_allclose(mel, np.maximum(filters @ line, 1e-5), rtol=1e-3)


def test_log_mel_of_silence_is_the_floor() -> None:
    assert spectra.log_mel(np.zeros(3200, np.float32)) == pytest.approx(np.log(1e-5))


@pytest.mark.parametrize(
    ("n_fft", "n_mels", "low_hz", "high_hz", "htk"),
    [(512, 80, 0.0, 8000.0, False), (800, 80, 55.0, 7600.0, False), (512, 26, 20.0, 8000.0, True)],
)
def test_mel_filters_are_librosas(n_fft: int, n_mels: int, low_hz: float, high_hz: float, htk: bool) -> None:
    import librosa

    expected = librosa.filters.mel(
        sr=RATE, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=high_hz, htk=htk, norm=None if htk else "slaney"
    )
    np.testing.assert_allclose(spectra.mel_filters(n_fft, n_mels, low_hz, high_hz, htk), expected, atol=1e-7)


def test_no_mel_band_is_empty() -> None:
    assert (spectra.mel_filters(512, 80, 0.0, 8000.0).max(axis=1) > 0).all()
    assert (spectra.mel_filters(512, 26, 20.0, 8000.0, htk=True).max(axis=1) > 0).all()


def test_long_sounds_are_worked_in_blocks_without_seams() -> None:
    rng = np.random.default_rng(0)
    wav = rng.normal(0, 0.1, 160 * 4200).astype(np.float32)
    whole = spectra.energy_db(wav)
    expected = 20 * np.log10(np.sqrt(np.square(wav[160 * 4096 - 200 : 160 * 4096 + 200].astype(float)).mean()) + 1e-5)
    assert whole.shape == (4201,)
    assert whole[4096] == pytest.approx(expected, abs=1e-4)


def test_sync_mel_equals_librosa() -> None:
    import librosa

    wav = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    emphasised = np.append(wav[0], wav[1:] - 0.97 * wav[:-1])
    magnitude = np.abs(librosa.stft(emphasised, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect"))
    mel = librosa.filters.mel(sr=RATE, n_fft=800, n_mels=80, fmin=55, fmax=7600) @ magnitude
    expected = np.clip(8 * (20 * np.log10(np.maximum(mel, 1e-5)) - 20 + 100) / 100 - 4, -4, 4)
    ours = spectra.sync_mel(wav)
    assert ours.shape == (81, 80)
    np.testing.assert_allclose(ours, expected.T, atol=2e-3)


def test_dct_is_orthonormal() -> None:
    full = spectra.dct_matrix(26, 26)
    np.testing.assert_allclose(full @ full.T, np.eye(26), atol=1e-12)


def test_mfcc_without_lifter_inverts_to_the_log_mel_spectrum() -> None:
    wav = np.random.default_rng(2).normal(0, 0.1, 4000).astype(np.float32)
    cepstra = spectra.mfcc(wav, n_coefficients=26, lifter=0)
    log_power = cepstra @ spectra.dct_matrix(26, 26)
    emphasised = np.append(wav[0], wav[1:].astype(float) - 0.97 * wav[:-1])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(emphasised[1600 - 200 : 1600 + 200] * window, 512)) ** 2
    expected = np.log(power @ spectra.mel_filters(512, 26, 20.0, 8000.0, htk=True).T)
    np.testing.assert_allclose(log_power[10], expected, atol=1e-3)


def test_louder_sound_moves_c0_alone() -> None:
    wav = np.random.default_rng(3).normal(0, 0.1, 4000).astype(np.float32)
    difference = spectra.mfcc(2 * wav)[5:-5] - spectra.mfcc(wav)[5:-5]
    np.testing.assert_allclose(difference[:, 0], np.sqrt(26) * np.log(4), rtol=1e-3)
    assert np.abs(difference[:, 1:]).max() < 1e-3


def test_deltas_of_a_ramp_are_its_slope() -> None:
    ramp = 3.0 * np.arange(20.0)[:, None] + np.array([[0.0, 5.0]])
    slope = spectra.deltas(ramp)
    np.testing.assert_allclose(slope[2:-2], 3.0)
    assert spectra.with_deltas(ramp).shape == (20, 6)
    np.testing.assert_allclose(spectra.with_deltas(ramp)[4:-4, 4:], 0.0, atol=1e-6)


def test_energy_of_a_square_wave_is_zero_db() -> None:
    square = np.sign(tone(100)).astype(np.float32)
    square[square == 0] = 1
    assert spectra.energy_db(square)[50] == pytest.approx(0.0, abs=1e-3)
    assert spectra.energy_db(np.zeros(1600, np.float32)) == pytest.approx(-100.0)
    assert spectra.energy_db(tone(200, amplitude=0.5))[50] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)


def test_voice_activity_holds_fifty_milliseconds() -> None:
    energy = np.full(100, -90.0)
    energy[20:60] = -20.0
    active = spectra.voice_activity(energy)
    assert np.flatnonzero(active).tolist() == list(range(20, 65))
    assert not spectra.voice_activity(np.full(50, -95.0)).any()


def direct_cepstra(wav: np.ndarray, at: int) -> np.ndarray:
    """One row as python_speech_features' documentation gives it, frame by frame and filter by filter."""
    signal = np.append(wav[0], wav[1:] - 0.97 * wav[:-1])
    frame = np.zeros(512)
    piece = signal[160 * at : 160 * at + 400]
    frame[: len(piece)] = piece
    spectrum = np.array([np.sum(frame * np.exp(-2j * np.pi * k * np.arange(512) / 512)) for k in range(257)])
    power = np.abs(spectrum) ** 2 / 512
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    corner = [int(np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16_000)) for mel in mels]
    bands = []
    for low, centre, high in zip(corner, corner[1:], corner[2:], strict=False):
        rising = sum(power[k] * (k - low) / (centre - low) for k in range(low, centre))
        falling = sum(power[k] * (high - k) / (high - centre) for k in range(centre, high))
        bands.append(np.log(rising + falling))
    scale = [np.sqrt(1 / 26)] + [np.sqrt(2 / 26)] * 12
    cepstra = np.array(
        [s * sum(b * np.cos(np.pi * n * (m + 0.5) / 26) for m, b in enumerate(bands)) for n, s in enumerate(scale)]
    )
    cepstra *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    cepstra[0] = np.log(power.sum())
    return cepstra


def test_mfcc_from_starts_is_the_definition_of_python_speech_features() -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(-3000, 3000, 2000) + np.round(8000 * np.sin(np.arange(2000) / 7))
    rows = spectra.mfcc_from_starts(integers / 32768)
    assert rows.shape == (13, 13)
    for at in (0, 5, 12):
        np.testing.assert_allclose(rows[at], direct_cepstra(integers, at), rtol=1e-4, atol=1e-4)


def test_mfcc_from_starts_of_silence_is_finite() -> None:
    rows = spectra.mfcc_from_starts(np.zeros(1600, np.float32))
    assert rows[:, 0] == pytest.approx(np.log(np.finfo(float).eps))
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("frequency_hz", [200.0, 1000.0])
def test_a_tone_crosses_zero_twice_a_period(frequency_hz: float) -> None:
    rate = spectra.zero_crossing_rate(tone(frequency_hz))
    assert rate.shape == (101,)
    np.testing.assert_allclose(rate[2:-2], 2 * frequency_hz / RATE, atol=1.5 / 400)
    assert not spectra.zero_crossing_rate(np.zeros(800, np.float32)).any()
