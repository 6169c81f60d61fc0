import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import yaml

from vultus.audio.features import AudioConfig
from vultus.audio.store import build_audio
from vultus.data import stores
from vultus.data.parquet import ClipTables, TableWriter
from vultus.data.stores import open_store


def write_wav(path: Path, f0_hz: float, seconds: float, rate_hz: int = 16_000) -> None:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    sound = 0.2 * sum(np.sin(2 * np.pi * k * f0_hz * time) / k for k in range(1, 9))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((sound * 32_767).astype("<i2").tobytes())


def data_set(root: Path, tables: Path, with_sound: bool = True) -> ClipTables:
    """Two filmed clips with sound, a sound alone, a silent film."""
    root.mkdir()
    write_wav(root / "low.wav", 110.0, 3.0)
    write_wav(root / "high.wav", 220.0, 1.0, rate_hz=22_050)
    clips = [
        {"clip_id": "a", "subject": "p1", "video": "a.mp4", "audio": "low.wav", "n_frames": 75, "fps": 25.0},
        {"clip_id": "b", "subject": "p2", "video": "b.mp4", "audio": "high.wav", "n_frames": 60, "fps": 60.0},
        {"clip_id": "c", "subject": "p2", "audio": "high.wav"},
        {"clip_id": "d", "subject": "p3", "video": "d.mp4", "n_frames": 10, "fps": 25.0},
    ]
    if not with_sound:
        clips = clips[3:]
    with TableWriter(tables) as writer:
        writer.add("clips", [{"dataset": "tones", **clip} for clip in clips])
    return ClipTables(tables)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "CACHE_ROOT", tmp_path / "cache")


def test_store_holds_features_on_the_video_clock(tmp_path: Path) -> None:
    tables = data_set(tmp_path / "raw", tmp_path / "valid")
    store = build_audio(tmp_path / "tones" / "audio", tables, tmp_path / "raw", AudioConfig(), jobs=1)
    assert store.clips["clip_id"].tolist() == ["a", "b", "c"]
    assert [store.clip(c).stop - store.clip(c).start for c in "abc"] == [300, 100, 100]
    assert store["log_mel"].shape == (500, 80)
    assert store["mfcc"].shape == (500, 39)
    assert store["voicing"].shape == store["zero_crossings"].shape == store["energy_db"].shape == (500,)
    assert np.median(store["f0_hz"][store.clip("a")]) == pytest.approx(110, abs=1)
    assert np.median(store["f0_hz"][store.clip("b")]) == pytest.approx(220, abs=2)
    np.testing.assert_array_equal(store["f0_hz"][store.clip("b")], store["f0_hz"][store.clip("c")])
    assert store.rows["subject"].tolist()[::100] == ["p1", "p1", "p1", "p2", "p2"]
    assert store.meta["clips_without_sound"] == 1
    frames = store.table("video_frames")
    of_b = frames[frames["clip_id"] == "b"]
    assert len(of_b) == 60
    assert of_b["start"].iloc[0] == 0
    assert of_b["stop"].iloc[-1] == 100
    assert not (frames["clip_id"] == "c").any()


def test_a_sound_that_cannot_be_decoded_is_listed(tmp_path: Path) -> None:
    tables = data_set(tmp_path / "raw", tmp_path / "valid")
    (tmp_path / "raw" / "low.wav").write_bytes(b"")
    store = build_audio(tmp_path / "tones" / "audio", tables, tmp_path / "raw", AudioConfig(), jobs=1)
    assert store.failed["clip_id"].tolist() == ["a"]
    assert "empty" in store.failed["reason"].iloc[0]
    assert store.clips["clip_id"].tolist() == ["b", "c"]


def test_a_data_set_without_sound_gets_an_empty_store(tmp_path: Path) -> None:
    tables = data_set(tmp_path / "raw", tmp_path / "valid", with_sound=False)
    store = build_audio(tmp_path / "tones" / "audio", tables, tmp_path / "raw", AudioConfig(), jobs=1)
    assert len(store) == 0
    assert store["log_mel"].shape == (0, 80)
    assert store.meta["clips_without_sound"] == 1


def test_stage_reads_params_and_says_what_it_wrote(tmp_path: Path) -> None:
    data_set(tmp_path / "raw", tmp_path / "data/tables/tones/valid")
    params = {"audio": {"tones": {"root": "raw", "n_mels": 40}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    repository = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "stages.audio", "--dataset", "tones"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "5.0 s of sound from 3 clips; 1 clips without sound, 0 that cannot be decoded" in run.stdout
    assert open_store(tmp_path / "data/features/tones/audio")["log_mel"].shape == (500, 40)
