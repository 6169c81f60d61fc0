"""Decoding: right frames at right times, upright RGB, aligned sound, and one sentence for every broken file."""

from __future__ import annotations

import struct
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data.miniatures import cut, picture, write_picture, write_video, write_wav
from vultus.data import media
from vultus.data.media import MediaError, MediaInfo, numbered_pictures, probe, read_audio, read_frames, read_picture


def number_of(rgb: np.ndarray) -> int:
    """The number that `miniatures.picture` wrote into the red channel."""
    return round((float(rgb[..., 0].mean()) - 5) / 10)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "talk.mp4"
    write_video(path, [picture(n) for n in range(20)], 25, tone_hz=400.0)
    return path


def test_every_frame_with_its_centre_time(talk: Path) -> None:
    frames = list(read_frames(talk))
    assert [index for index, _, _ in frames] == list(range(20))
    assert [number_of(rgb) for _, _, rgb in frames] == list(range(20))
    np.testing.assert_allclose([t for _, t, _ in frames], (np.arange(20) + 0.5) / 25, atol=1e-4)
    assert frames[0][2].shape == (36, 48, 3)
    assert frames[0][2].dtype == np.uint8
    assert abs(int(frames[0][2][..., 1].mean()) - 128) < 4
    assert frames[0][2][..., 2].mean() < 10


def test_chosen_frames(talk: Path) -> None:
    assert [(i, number_of(rgb)) for i, _, rgb in read_frames(talk, [7, 3, 19, 3])] == [(3, 3), (7, 7), (19, 19)]
    assert list(read_frames(talk, [])) == []
    with pytest.raises(MediaError, match=r"talk\.mp4 has 20 frames and none at position 20"):
        list(read_frames(talk, [2, 20]))


def test_probe(talk: Path) -> None:
    assert probe(talk) == MediaInfo("video", 48, 36, 25.0, 20, 0.8, 44_100)


def test_variable_frame_rate_keeps_the_file_s_times(tmp_path: Path) -> None:
    starts = [0, 40, 80, 200, 240, 440]
    write_video(tmp_path / "v.mkv", [picture(n) for n in range(6)], 25, pts_ms=starts, codec="mpeg4")
    times = [t for _, t, _ in read_frames(tmp_path / "v.mkv")]
    # Matroska keeps starts, not lengths: each frame's centre lies half a nominal frame after its start.
    np.testing.assert_allclose(np.diff(times), np.diff(starts) / 1000, atol=2e-3)
    assert times[0] == pytest.approx(0.02, abs=2e-3)


def test_mpeg_program_stream_without_frame_count(tmp_path: Path) -> None:
    write_video(tmp_path / "grid.mpg", [picture(n, 64, 48) for n in range(15)], 25, codec="mpeg1video")
    assert probe(tmp_path / "grid.mpg").n_frames == 15
    assert [number_of(rgb) for _, _, rgb in read_frames(tmp_path / "grid.mpg")] == list(range(15))


def test_a_phone_s_video_comes_upright(tmp_path: Path) -> None:
    rgb = picture(0)
    rgb[:, :24] = (250, 250, 250)  # bright on the left; turned a quarter clockwise it is on top
    write_video(tmp_path / "p.mp4", [rgb] * 3, 25)
    data = bytearray((tmp_path / "p.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 36 << 16, 0, 1 << 30)
    (tmp_path / "p.mp4").write_bytes(data)
    info = probe(tmp_path / "p.mp4")
    assert (info.width, info.height) == (36, 48)
    _, _, upright = next(iter(read_frames(tmp_path / "p.mp4")))
    assert upright.shape == (48, 36, 3)
    assert upright[:20].mean() > 200 > 120 > upright[28:].mean()


def test_folder_of_numbered_pictures(tmp_path: Path) -> None:
    for number in (78, 79, 81, 100):
        write_picture(tmp_path / f"{number:04d}.png", picture(number % 24))
    (tmp_path / "notes.txt").write_text("no picture")
    assert list(numbered_pictures(tmp_path)) == [78, 79, 81, 100]
    frames = list(read_frames(tmp_path, fps=25))
    assert [index for index, _, _ in frames] == [78, 79, 81, 100]
    np.testing.assert_allclose([t for _, t, _ in frames], (np.array([0, 1, 3, 22]) + 0.5) / 25)
    assert [number_of(rgb) for _, _, rgb in read_frames(tmp_path, [81])] == [81 % 24]
    with pytest.raises(MediaError, match="has no picture number 80"):
        list(read_frames(tmp_path, [79, 80]))
    assert probe(tmp_path) == MediaInfo("pictures", 48, 36, n_frames=4)
    write_picture(tmp_path / "79.png", picture(1))
    with pytest.raises(MediaError, match=r"holds 0079\.png and 79\.png"):
        numbered_pictures(tmp_path)


def test_grey_deep_and_transparent_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 5), 77, np.uint8))
    assert (read_picture(tmp_path / "grey.png") == 77).all()
    assert read_picture(tmp_path / "grey.png").shape == (4, 5, 3)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 5, 3), 40_000, np.uint16))
    assert abs(int(read_picture(tmp_path / "deep.png")[0, 0, 0]) - 40_000 / 257) < 1.5
    bgra = np.zeros((1, 3, 4), np.uint8)
    bgra[0, :, 2], bgra[0, :, 3] = 255, (255, 0, 51)  # red: opaque, gone, a fifth
    cv2.imwrite(str(tmp_path / "alpha.png"), bgra)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "alpha.png")[0], [[255, 0, 0], [128, 128, 128], [153, 102, 102]]
    )


def test_exif_orientation(tmp_path: Path) -> None:
    rgb = picture(0)
    rgb[:, :24] = 250
    path = tmp_path / "phone.jpg"
    write_picture(path, rgb)
    jpeg = path.read_bytes()
    # One EXIF entry: orientation (0x0112) = 6, the camera was turned a quarter.
    tiff = b"MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    app1 = b"Exif\x00\x00" + tiff
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + jpeg[2:])
    upright = read_picture(path)
    assert upright.shape == (48, 36, 3)
    assert upright[:20].mean() > 200 > 120 > upright[28:].mean()


def test_sound_of_a_video_is_mono_at_the_asked_rate(talk: Path) -> None:
    samples = read_audio(talk, 16_000)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 0.8 * 16_000) < 1024 * 16_000 / 44_100 + 1
    spectrum = np.abs(np.fft.rfft(samples[2000:10000] * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(400, abs=2)
    assert np.sqrt(np.mean(samples[2000:10000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_resampling_keeps_length_and_averages_channels(tmp_path: Path) -> None:
    times = np.arange(22_050) / 22_050
    left, right = 0.6 * np.sin(2 * np.pi * 300 * times), np.zeros(22_050)
    write_wav(tmp_path / "s.wav", np.stack([left, right], axis=1), 22_050)
    samples = read_audio(tmp_path / "s.wav", 16_000)
    assert len(samples) == 16_000
    expected = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[200:-200], expected[200:-200], atol=2e-3)
    assert probe(tmp_path / "s.wav") == MediaInfo("sound", duration=1.0, sample_rate=22_050)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("moov_first", [False, True])
def test_truncated_mp4(tmp_path: Path, share: float, moov_first: bool) -> None:
    path = tmp_path / "cut.mp4"
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (36, 48, 3), np.uint8) for _ in range(30)]
    write_video(path, frames, 25)
    if moov_first:
        import av

        fast = tmp_path / "fast.mp4"
        with av.open(str(path)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        path = fast
    cut(path, share)
    with pytest.raises(MediaError, match=rf"{path.name} (cannot be|ends after \d+ of 30 frames)") as error:
        list(read_frames(path))
    assert "copy the file again" in str(error.value)
    assert error.value.path == path


def test_zero_bytes_missing_and_misnamed(tmp_path: Path) -> None:
    for name in ("a.wav", "a.mp4", "a.png", "a.jpg"):
        (tmp_path / name).touch()
        with pytest.raises(MediaError, match=rf"{name} is empty \(0 bytes\): copy the file again"):
            probe(tmp_path / name)
        with pytest.raises(MediaError, match="is missing"):
            probe(tmp_path / f"none_{name}")
    for name in ("t.png", "t.jpg", "t.mp4", "t.wav"):
        (tmp_path / name).write_text("this is a letter, not a recording\n" * 20)
        with pytest.raises(MediaError, match=rf"{name} (is not a picture|cannot be opened).*true suffix"):
            probe(tmp_path / name)
    with pytest.raises(MediaError, match="is no video, picture or sound by its suffix"):
        probe(tmp_path / "table.csv")


def test_truncated_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("t.png", "t.jpg"):
        write_picture(tmp_path / name, rng.integers(0, 255, (90, 90, 3), np.uint8))
        cut(tmp_path / name, 0.6)
        with pytest.raises(MediaError, match="ends before the picture does"):
            read_picture(tmp_path / name)


def test_truncated_wav_and_wav_without_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "none.wav", np.zeros(0))
    with pytest.raises(MediaError, match=r"none\.wav"):
        read_audio(tmp_path / "none.wav")
    write_wav(tmp_path / "half.wav", np.zeros(64_000))
    cut(tmp_path / "half.wav", 0.5)
    with pytest.raises(MediaError, match=r"half\.wav ends after 2\.00 of 4\.00 s"):
        read_audio(tmp_path / "half.wav")


def test_video_without_sound_and_sound_without_video(tmp_path: Path, talk: Path) -> None:
    write_video(tmp_path / "mute.mp4", [picture(0)] * 3)
    with pytest.raises(MediaError, match=r"mute\.mp4 has no sound"):
        read_audio(tmp_path / "mute.mp4")
    write_wav(tmp_path / "s.wav", np.zeros(100))
    with pytest.raises(MediaError, match="is a sound file"):
        list(read_frames(tmp_path / "s.wav"))


def test_media_errors_survive_a_process_border() -> None:
    error = media.MediaError(Path("a.mp4"), "is empty", "copy it")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, pytest.raises(media.MediaError) as caught:
        pool.submit(_raise, error).result()
    assert str(caught.value) == "a.mp4 is empty: copy it"


def _raise(error: Exception) -> None:
    raise error
