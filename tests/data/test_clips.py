"""Films that are written: what they hold, what is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from vultus.data.clips import write_clip


def test_a_film_holds_its_frames_at_their_times_and_its_sound(tmp_path: Path) -> None:
    shades = [np.full((32, 48, 3), shade, np.uint8) for shade in (20, 90, 160, 230)]
    sound = np.sin(np.arange(3200) / 16_000 * 2 * np.pi * 440)
    for name in ("a.mp4", "b.mp4"):
        assert write_clip(tmp_path / name, shades, 12.5, sound) == (32, 48)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as film:
        frames = list(film.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24], abs=1e-6)
    means = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    assert means == pytest.approx([20, 90, 160, 230], abs=2)
    with av.open(str(tmp_path / "a.mp4")) as film:
        heard = np.concatenate([piece.to_ndarray()[0] for piece in film.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(heard[:3200] * np.hanning(3200)))
    assert np.argmax(spectrum) * 16_000 / 3200 == pytest.approx(440, abs=10)


def test_what_h264_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even width"):
        write_clip(tmp_path / "a.mp4", [np.zeros((15, 16, 3), np.uint8)], 25.0)
    with pytest.raises(ValueError, match="at least one frame"):
        write_clip(tmp_path / "b.mp4", [], 25.0)
    frames = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 32, 3), np.uint8)]
    with pytest.raises(ValueError, match="the first was"):
        write_clip(tmp_path / "c.mp4", frames, 25.0)
