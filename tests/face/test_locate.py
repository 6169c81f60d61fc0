"""The landmark stage: annotated points are copied, the others detected, and every frame says how."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.core.config import section
from vultus.core.errors import UserError
from vultus.face import locate
from vultus.face.detection import Face
from vultus.face.locate import LandmarkConfig, LocateFaces, build_landmarks


class FakeDetector:
    """Finds two faces in every frame but those whose corner pixel is marked; remembers how it was asked."""

    method = "mediapipe"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.blind = False

    def detect(self, rgb):
        self.asked.append("detect")
        return [] if self.blind else self._faces(rgb)

    def track(self, rgb, first):
        self.asked.append("first" if first else "next")
        return [] if self.blind else self._faces(rgb)

    def _faces(self, rgb):
        large = np.full((68, 2), 7.0, np.float32)
        large[0] = rgb.shape[:2]
        return [Face(large, 0.75), Face(large / 2, 0.9)]


@pytest.fixture
def detector(monkeypatch) -> FakeDetector:
    fake = FakeDetector()
    monkeypatch.setattr(locate, "open_detector", lambda method, folder: fake)
    return fake


def finder(data, detector: str | None, **config) -> LocateFaces:
    return LocateFaces(data.tables, data.root, LandmarkConfig(**config), detector, data.root)


def test_annotated_points_are_copied_with_method_and_time(toy_data):
    found = finder(toy_data, None, mode="annotated")(toy_data.clip("a"))
    assert found.rows["frame"].tolist() == [3, 4, 5, 8]
    assert found.rows["method"].tolist() == ["annotated"] * 4
    np.testing.assert_allclose(found.rows["time_s"], (np.array([3, 4, 5, 8]) + 0.5) / 25)
    np.testing.assert_array_equal(found.arrays["landmarks_68"][3], toy_data.points["a", 8])
    assert found.arrays["visible"].all()
    np.testing.assert_array_equal(found.arrays["score"], 1)


def test_without_detection_absent_points_are_nan_and_method_none(toy_data):
    found = finder(toy_data, None, mode="annotated")(toy_data.clip("b"))
    assert found.rows["method"].tolist() == ["annotated", "none", "none"]
    assert found.rows["n_faces"].tolist() == [1, 0, 0]
    assert np.isnan(found.arrays["landmarks_68"][1:]).all()
    assert not found.arrays["visible"][1:].any()
    assert found.arrays["score"].tolist() == [1, 0, 0]


def test_auto_detects_what_is_not_annotated_and_takes_the_largest_face(toy_data, detector):
    found = finder(toy_data, "mediapipe")(toy_data.clip("b"))
    assert detector.asked == ["first", "next"]
    assert found.rows["method"].tolist() == ["annotated", "mediapipe", "mediapipe"]
    assert found.rows["frame"].tolist() == [0, 2, 4]
    assert found.rows["time_s"].tolist() == [0.02, 0.10, 0.18]
    assert found.rows["n_faces"].tolist() == [1, 2, 2]
    np.testing.assert_allclose(found.arrays["score"], [1, 0.75, 0.75])
    np.testing.assert_array_equal(found.arrays["landmarks_68"][1, 0], [160, 160])


def test_auto_decodes_nothing_when_all_is_annotated(toy_data, detector):
    locate_a = finder(toy_data, "mediapipe")
    key = locate_a.key(toy_data.clip("a"))
    locate_a(toy_data.clip("a"))
    assert detector.asked == []
    for picture in (toy_data.root / "a").iterdir():
        picture.write_bytes(b"changed")
    assert locate_a.key(toy_data.clip("a")) == key


def test_a_mode_that_always_detects_replaces_annotated_points(toy_data, detector):
    found = finder(toy_data, "mediapipe", mode="mediapipe")(toy_data.clip("a"))
    assert detector.asked == ["detect"] * 4, "numbered pictures are not a video"
    assert set(found.rows["method"]) == {"mediapipe"}


def test_frames_without_a_face_say_so(toy_data, detector):
    detector.blind = True
    found = finder(toy_data, "mediapipe", mode="mediapipe")(toy_data.clip("b"))
    assert found.rows["method"].tolist() == ["none"] * 3
    assert found.rows["n_faces"].tolist() == [0] * 3
    assert np.isnan(found.arrays["landmarks_68"]).all()


def test_every_n_thins_annotated_frames_and_whole_videos(toy_data, detector):
    assert finder(toy_data, None, every_n_frames=3)(toy_data.clip("a")).rows["frame"].tolist() == [3, 8]
    unlabelled = {**toy_data.clip("b"), "clip_id": "c"}
    found = finder(toy_data, "mediapipe", every_n_frames=4)(unlabelled)
    assert found.rows["frame"].tolist() == [0, 4]
    np.testing.assert_allclose(found.rows["time_s"], [0.02, 0.18], atol=1e-6)


def test_a_clip_without_frames_and_without_detection_is_empty(toy_data):
    found = finder(toy_data, None, mode="annotated")({**toy_data.clip("b"), "clip_id": "c"})
    assert len(found.rows) == 0
    assert found.arrays["landmarks_68"].shape == (0, 68, 2)


def test_key_follows_labels_settings_and_media(toy_data, detector):
    keys = {
        finder(toy_data, "mediapipe").key(toy_data.clip("b")),
        finder(toy_data, "mediapipe", every_n_frames=2).key(toy_data.clip("b")),
        finder(toy_data, "mediapipe").key({**toy_data.clip("b"), "subject": "s9"}),
        finder(toy_data, "mediapipe").key(toy_data.clip("a")),
    }
    assert len(keys) == 4
    (toy_data.root / "b.mp4").write_bytes((toy_data.root / "b.mp4").read_bytes() + b"\0")
    assert finder(toy_data, "mediapipe").key(toy_data.clip("b")) not in keys


def test_store_counts_the_frames_by_method(toy_data):
    store = build_landmarks(
        toy_data.root.parent / "landmarks", toy_data.tables, toy_data.root, LandmarkConfig("annotated"), jobs=1
    )
    assert store.meta["frames_by_method"] == {"annotated": 5, "none": 2}
    reopened = locate.Store(store.folder)
    assert reopened.meta == store.meta
    assert len(reopened) == 7


def test_settings_are_checked():
    with pytest.raises(UserError, match="every_n_frames must be at least 1"):
        section(LandmarkConfig, {"every_n_frames": 0}, "landmarks.d")
    with pytest.raises(UserError, match="must be one of"):
        section(LandmarkConfig, {"mode": "dlib"}, "landmarks.d")
