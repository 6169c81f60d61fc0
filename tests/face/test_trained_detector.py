"""The network's geometry in closed form, and a training on drawn faces in seconds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables, TableWriter
from vultus.face import detector_training as training
from vultus.face.alignment import invert_matrix, transform_points
from vultus.face.detection import Face, Window
from vultus.face.detector_training import DetectorConfig, Sample
from vultus.face.landmarks import FLIP_68
from vultus.face.trained_detector import (
    LandmarkNet,
    TrainedDetector,
    cascade_windows,
    cut_window,
    grid_windows,
    soft_argmax,
    to_network,
)

from .toy import random_face

TINY = DetectorConfig(width=8, steps=3, batch_size=16, train_frames=20, test_frames=6, frames_per_clip=4)


def test_soft_argmax_is_the_mean_position():
    maps = torch.full((1, 2, 16, 16), -1e9)
    maps[0, 0, 3, 11] = 0.0
    maps[0, 1, 5, 2] = maps[0, 1, 5, 4] = 0.0
    np.testing.assert_allclose(soft_argmax(maps).numpy(), [[[11, 3], [3, 5]]], atol=1e-5)


def test_a_heat_map_cell_lies_in_the_middle_of_its_pixels():
    net = LandmarkNet(8).eval()
    with torch.no_grad():
        net.maps[-1].weight.zero_()
        net.maps[-1].bias.zero_()
        points, logit = net(torch.zeros(2, 3, 64, 64))
    assert points.shape == (2, 68, 2)
    assert logit.shape == (2,)
    np.testing.assert_allclose(points.numpy(), 31.5, atol=1e-4)  # flat maps: the centre of 64 pixels


def test_window_pixels_stand_where_the_matrix_says():
    """Also where a large window is averaged down first."""
    for side in (60.0, 400.0):
        window = Window((400.0, 390.0), side, 0.3)
        wanted = transform_points(invert_matrix(window.matrix(64)), np.array([[20.0, 40.0]]))[0]
        rows, columns = np.mgrid[:800, :800]
        spread = side / 20
        spot = np.exp(-((columns - wanted[0]) ** 2 + (rows - wanted[1]) ** 2) / (2 * spread**2))
        cut = cut_window(np.repeat((spot * 250).astype(np.uint8)[..., None], 3, -1), window, 64)[..., 0].astype(float)
        centroid = [(cut * axis).sum() / cut.sum() for axis in np.mgrid[:64, :64][::-1]]
        np.testing.assert_allclose(centroid, [20, 40], atol=0.1)


def test_grid_covers_the_picture():
    windows = grid_windows(np.zeros((100, 180, 3), np.uint8))
    for side in (100, 70, 50):
        same = [w for w in windows if w.side_px == pytest.approx(side)]
        assert min(w.centre[0] for w in same) == pytest.approx(side / 2)
        assert max(w.centre[0] for w in same) == pytest.approx(180 - side / 2)
        assert max(w.centre[1] for w in same) == pytest.approx(100 - side / 2)
    assert cascade_windows(np.zeros((100, 180, 3), np.uint8)) == []


def contexts(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return training.gather_contexts(iter([Sample(*random_face(rng), False) for _ in range(count)]))


def test_augmented_landmarks_stay_on_their_pixels(monkeypatch):
    """A context that paints its own coordinates: the window's pixel at a landmark holds the landmark's place."""
    monkeypatch.setattr(training, "_disturb", lambda windows, rng: windows)
    _, landmarks = contexts(8)
    ramp = torch.arange(112.0)
    painted = torch.stack([ramp.expand(112, 112), ramp[:, None].expand(112, 112), torch.zeros(112, 112)])
    painted = painted.expand(8, 3, 112, 112) + 1
    rng = np.random.default_rng(1)
    config = DetectorConfig(batch_size=48)
    index = torch.from_numpy(np.random.default_rng(1).integers(8, size=48))
    windows, targets, is_face = training.draw_windows(painted, landmarks, config, rng)
    assert 25 < int(is_face.sum()) < 48
    checked = 0
    for k in np.flatnonzero(is_face.numpy()):
        place = landmarks[index[k]]
        for point in (30, 36, 45, 48, 54):
            x, y = targets[k, point].round().int().tolist()
            if not (1 <= x < 63 and 1 <= y < 63):
                continue
            seen = windows[k, :2, y, x] * 128 + 128 - 1
            options = place[[point, FLIP_68[point]]]  # mirrored windows show the other side's point there
            assert float((options - seen).abs().amax(1).min()) < 1.5
            checked += 1
    assert checked > 80


def test_windows_without_a_face_are_marked_and_the_batch_is_repeatable():
    pixels, landmarks = contexts(4)
    first, again = (training.draw_windows(pixels, landmarks, TINY, np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert first[0].shape == (16, 3, 64, 64)
    assert first[0].abs().max() <= 1


def test_training_on_drawn_faces_finds_unseen_ones():
    """Threads are held to one: small convolutions lose more in waiting than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pixels, landmarks = contexts(120)
        net = training.fit(pixels, landmarks, DetectorConfig(steps=60, batch_size=48), seed=1)
        detector = TrainedDetector.of(net, 64)
        rng = np.random.default_rng(99)
        samples = [Sample(*random_face(rng), k % 2 == 0) for k in range(20)]
        metrics = training.score_detector(detector, iter(samples), 20)
        noise = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
        detector.detect(noise)
    finally:
        torch.set_num_threads(threads)
    assert metrics["n"] == 20
    assert metrics["n_occluded"] == 10
    assert metrics["FoundRate"] > 0.85
    assert metrics["NME"] < 0.15
    assert metrics["NME_interocular"] < metrics["NME"]


def test_failures_count_missed_faces():
    class Blind:
        def __init__(self, faces):
            self.faces = faces

        def detect(self, rgb):
            return self.faces

    rng = np.random.default_rng(0)
    samples = [Sample(*random_face(rng), False) for _ in range(4)]
    metrics = training.score_detector(Blind([]), iter(samples), 4)  # type: ignore[arg-type]
    assert metrics["NME"] is None
    assert metrics["FailureRate"] == 1
    assert metrics["FoundRate"] == 0
    assert metrics["FailureRate_occluded"] is None


@pytest.fixture
def world(toy_data, tmp_path) -> ClipTables:
    """The toy pictures as a world of a training and a test person."""
    record = toy_data.clip("a")
    frames = toy_data.tables.frames("a").to_pylist()
    with TableWriter(tmp_path / "world") as writer:
        writer.add("clips", [{**record, "clip_id": k, "subject": k, "group": k} for k in ("test", "train")])
        for k in ("test", "train"):
            writer.add("frames", [{**row, "clip_id": k} for row in frames])
    return ClipTables(tmp_path / "world")


def test_stage_result_is_loaded_again_and_is_repeatable(world, toy_data, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    metrics = [training.train_detector(folder, world, toy_data.root, TINY, seed=3) for folder in folders]
    assert metrics[0] == metrics[1]
    assert json.loads((folders[0] / "metrics.json").read_text()) == metrics[0]
    assert (folders[0] / "weights.safetensors").read_bytes() == (folders[1] / "weights.safetensors").read_bytes()
    assert metrics[0]["train_frames"] == 4
    image = random_face(np.random.default_rng(2))[0]
    detector = TrainedDetector(folders[0])
    cuts = to_network(cut_window(image, Window((64, 64), 100), 64)[None])
    with torch.no_grad():
        points, _ = detector._net(cuts)
    assert torch.isfinite(points).all()


def test_absent_detector_and_absent_people_say_what_to_do(world, toy_data, tmp_path):
    with pytest.raises(UserError, match="run `dvc repro detector`"):
        TrainedDetector(tmp_path / "nothing")
    with pytest.raises(UserError, match="no frame of the group 'judge'"):
        next(training.annotated_samples(world, toy_data.root, "judge", 5, TINY, 1))


def test_tracking_follows_the_last_face():
    class Counting(TrainedDetector):
        """Reports the face at the first window it is given."""

        def __init__(self):
            self._last = None
            self.windows = []

        def settle(self, rgb, windows, looks=3):
            self.windows.append((len(windows), looks))
            points = random_face(np.random.default_rng(0))[1]
            return [Face(points, 0.9)] if windows else []

    detector = Counting()
    image = random_face(np.random.default_rng(0))[0]
    detector.track(image, first=True)
    calls = len(detector.windows)
    detector.track(image, first=False)
    assert detector.windows[calls:] == [(1, 1)]
    detector.track(image, first=True)
    assert detector.windows[-1][1] == 3
