"""The features of recorded speech: plausible, on every container that the data sets use."""

from pathlib import Path

import numpy as np
import pytest

from vultus.audio.clock import n_video_frames, sync_windows
from vultus.audio.features import AudioConfig, compute_features
from vultus.audio.local_dynamics import LocalDynamics, local_dynamics
from vultus.audio.prosody import Tracks
from vultus.audio.spectra import sync_mel
from vultus.data.media import read_audio


@pytest.mark.parametrize("code", ["bbaf2n", "swwp2s"])
def test_grid_sound_fits_its_75_frames(real: Path, code: str) -> None:
    wav = read_audio(real / "grid" / f"{code}.mpg")
    assert 2.9 * 16_000 < len(wav) < 3.1 * 16_000
    heard = compute_features(wav, AudioConfig(), n_frames=75, fps=25.0)
    assert heard.log_mel.shape == (300, 80)
    windows = sync_windows(sync_mel(wav), n_video_frames(len(wav), 25.0), 25.0)
    assert windows.shape[1:] == (16, 80)
    assert 68 <= len(windows) <= 75
    assert windows.min() >= -4
    assert windows.max() <= 4
    assert windows.std() > 0.5
    assert 70 < np.median(heard.f0_hz[heard.f0_hz > 0]) < 260


def test_grid_sound_lies_between_the_aligned_words(real: Path) -> None:
    heard = compute_features(read_audio(real / "grid" / "swwp2s.mpg"), AudioConfig(), n_frames=75, fps=25.0)
    words = [line.split() for line in (real / "grid" / "swwp2s.align").read_text().splitlines()]
    spoken = [(int(start) / 25_000, int(stop) / 25_000) for start, stop, word in words if word not in ("sil", "sp")]
    time_s = np.arange(300) / 100
    inside = (time_s >= spoken[0][0]) & (time_s < spoken[-1][1])
    level = heard.energy_db
    assert np.median(level[inside]) > np.median(level[~inside]) + 12
    assert heard.f0_hz[inside].astype(bool).mean() > 3 * heard.f0_hz[~inside].astype(bool).mean()


def test_emodb_speakers_have_their_pitch(real: Path) -> None:
    medians: dict[str, list[float]] = {}
    for path in sorted((real / "speech_emotion" / "emodb_2s").glob("*.wav")):
        heard = compute_features(read_audio(path), AudioConfig())
        assert len(heard.f0_hz) == 200
        voiced = heard.f0_hz[heard.f0_hz > 0]
        assert len(voiced) > 30, path.name
        medians.setdefault(path.name[:2], []).append(np.median(voiced))
    assert len(medians) >= 2
    # 03 is a man of 31; 08 and 09 are women.
    assert all(75 < f0 < 260 for f0 in medians["03"])
    assert all(140 < f0 < 450 for speaker in ("08", "09") for f0 in medians.get(speaker, []))


def test_anger_is_higher_than_neutral_in_one_sentence_of_one_speaker(real: Path) -> None:
    def median_f0_hz(name: str) -> float:
        f0_hz = compute_features(read_audio(real / "speech_emotion" / "emodb_2s" / name), AudioConfig()).f0_hz
        return float(np.median(f0_hz[f0_hz > 0]))

    anger, neutral = median_f0_hz("03a01Wa.wav"), median_f0_hz("03a01Nc.wav")
    assert 12 * np.log2(anger / neutral) > 3


def test_both_trackers_agree_on_recorded_digits(real: Path) -> None:
    from vultus.audio.pitch import f0_autocorrelation, track_pyin

    paths = sorted((real / "spoken_digits" / "fsdd").glob("*.wav"))[:6]
    differences = []
    for path in paths:
        wav = read_audio(path)
        fast, slow = f0_autocorrelation(wav), track_pyin(wav).f0_hz
        both = (fast > 0) & (slow > 0)
        differences.append(np.abs(12 * np.log2(fast[both] / slow[both])))
    gross_errors = (np.concatenate(differences) > 1).mean()
    assert gross_errors < 0.1


def test_pitch_of_aroused_speech_moves_faster(real: Path) -> None:
    """One speaker of the Berlin database, one sentence: happiness and anger against neutral."""

    def share_of_fast_movements(name: str) -> float:
        heard = compute_features(read_audio(real / "speech_emotion" / "emodb_2s" / name), AudioConfig())
        tracks = Tracks(heard.f0_hz, heard.voicing, heard.energy_db, heard.zero_crossings, heard.mfcc[:, :13])
        vector = local_dynamics(tracks.without_silence(), LocalDynamics(blocks=("ldp",)))
        assert vector.sum() == pytest.approx(1.0, abs=1e-5)
        return float(vector[:7].sum() + vector[15:].sum())  # beyond 24 st/s

    happy, angry, neutral = (share_of_fast_movements(f"03a01{letter}.wav") for letter in ("Fa", "Wa", "Nc"))
    assert neutral < angry
    assert neutral < happy
