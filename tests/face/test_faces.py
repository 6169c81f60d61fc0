"""Faces through a box that stands still, and the sound of each frame."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vultus.audio.spectra import mfcc_from_starts
from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables, TableWriter
from vultus.face.faces import Box, FaceConfig, build_faces, frame_mfcc, still_box
from vultus.face.landmarks import POINTS_68
from vultus.face.locate import LandmarkConfig, build_landmarks

from .toy import template


def test_the_box_follows_its_definition_and_not_an_outlier():
    face = np.array([[40.0, 60.0], [100.0, 160.0]])[np.minimum(POINTS_68, 1)]
    landmarks = np.stack([face, face + 0.3, face - 0.3, face + 500.0, np.full((68, 2), np.nan)])
    box = still_box(landmarks[:3])
    assert box.side_px == 130, "1.3 times the height of 100"
    centre = np.array([box.left, box.top]) + (box.side_px - 1) / 2
    np.testing.assert_allclose(centre, [70, 110 + 0.05 * 130], atol=0.51)
    assert still_box(landmarks).side_px == 130
    with pytest.raises(UserError, match="no face was found in any frame"):
        still_box(landmarks[4:])


@pytest.mark.parametrize(("side_px", "size_px"), [(80, 20), (40, 80), (64, 64)])
def test_points_and_pixels_move_together(side_px, size_px):
    x, y = np.meshgrid(np.arange(200.0), np.arange(200.0))
    image = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    box = Box(30, 50, side_px)
    crop = box.cut(image, size_px)
    centre = np.array([30.0, 50.0]) + (side_px - 1) / 2
    at = box.to_crop(centre, size_px)
    np.testing.assert_allclose(at, (size_px - 1) / 2)
    low, high = int(np.floor(at[0])), int(np.ceil(at[0]))
    np.testing.assert_allclose(crop[[low, high], [low, high], :2].mean(0), centre, atol=1.0)


def test_a_box_beyond_the_picture_is_grey_there():
    crop = Box(-20, -20, 40).cut(np.full((64, 64, 3), 255, np.uint8), 40)
    assert (crop[20:, 20:] == 255).all()
    assert (crop[:20] == crop[0, 0]).all()
    assert 0 < crop[0, 0, 0] < 255


def test_a_frames_sound_begins_with_the_frame():
    wav = np.random.default_rng(1).normal(0, 0.1, 640 * 10).astype(np.float32)
    mfcc = frame_mfcc(wav, 8)
    assert mfcc.shape == (8, 4, 13)
    # Behind the pre-emphasis, which looks one sample back.
    later = mfcc_from_starts(wav[640 * 3 :])
    np.testing.assert_allclose(mfcc[3, 1], later[1], rtol=1e-5, atol=1e-4)
    assert frame_mfcc(wav[:700], 8).shape == (8, 4, 13), "silence follows a sound that is too short"


@pytest.fixture
def talking(tmp_path, monkeypatch) -> tuple[Path, ClipTables]:
    """A moving face of 10 frames with sound, the same at 5 frames a second without, and one whose face nobody saw."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "raw"
    root.mkdir()
    rng = np.random.default_rng(0)
    with wave.open(str(root / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(rng.integers(-9000, 9000, 6400).astype("<i2").tobytes())
    points = template() * 12 + [80, 70]
    rows = []
    for name, rate in (("a", 25), ("b", 5), ("c", 25)):
        with av.open(str(root / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "5"})
            stream.width = stream.height = 160
            stream.pix_fmt = "yuv444p"
            for frame in range(10):
                image = np.full((160, 160, 3), 90, np.uint8)
                cv2.circle(image, (80 + frame, 70), 6, (255, 40, 40), -1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                face = [None] * 136 if name == "c" else (points + [frame, 0]).ravel().tolist()
                rows.append({"clip_id": name, "frame": frame, "landmarks_68": face, "au12_intensity": frame / 3})
            container.mux(stream.encode())
    del rows[4]  # one frame of `a` is not annotated
    with TableWriter(tmp_path / "valid") as writer:
        common = {"dataset": "toy", "n_frames": 10, "width_px": 160, "height_px": 160, "subject": "s1", "group": "test"}
        writer.add("clips", [
            {**common, "clip_id": "a", "video": "a.mp4", "audio": "a.wav", "fps": 25.0, "kind": "speech"},
            {**common, "clip_id": "b", "video": "b.mp4", "fps": 5.0, "kind": "spontaneous", "emotion": "pain"},
            {**common, "clip_id": "c", "video": "c.mp4", "fps": 25.0, "kind": "speech"},
        ])  # fmt: skip
        for name in "abc":
            writer.add("frames", [row for row in rows if row["clip_id"] == name])
    return root, ClipTables(tmp_path / "valid")


def test_the_store_holds_every_frame(talking):
    root, tables = talking
    located = build_landmarks(Path("t/landmarks"), tables, root, LandmarkConfig("annotated"), jobs=1)
    store = build_faces(Path("t/faces"), tables, root, located, FaceConfig(64), jobs=1)
    assert store.failed["clip_id"].tolist() == ["c"]
    assert "no face" in store.failed["reason"][0]
    assert store["face"].shape == (20, 64, 64, 3)
    assert store.rows["frame"].tolist() == [*range(10)] * 2
    assert store.rows.loc[10, ["kind", "emotion", "group", "subject"]].tolist() == ["spontaneous", "pain", "test", "s1"]
    np.testing.assert_allclose(store.rows["time_s"][:10], (np.arange(10) + 0.5) / 25)

    landmarks, span = store["landmarks_68"], store.clip("a")
    assert np.isnan(landmarks[4]).all()
    assert np.isnan(store["au_intensity"][4]).all()
    assert (store["au_occurrence"] == -1).all()
    moved = np.diff(landmarks[span][[0, 9]], axis=0)
    assert moved[0, :, 0].min() > 1, "the box does not follow the face"
    for frame in (0, 9):
        x, y = np.round(landmarks[frame, 27]).astype(int)
        red = store["face"][frame, y, x]
        assert red[0] > 200, "the drawn spot lies at its landmark"
        assert red[1] < 100
    assert np.abs(store["mfcc"][span]).max() > 1
    assert (store["mfcc"][store.clip("b")] == 0).all()


def test_settings_are_checked():
    with pytest.raises(UserError, match=r"faces\.d: size_px must be at least 16, not 8"):
        section(FaceConfig, {"size_px": 8}, "faces.d")
