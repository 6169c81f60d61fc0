"""Labels and pictures say the same: action units where FACS puts them, exact landmarks, lips that meet in /p b m/.

Everything is measured on what a user of the data set gets: rendered or decoded pictures and the rows of the tables.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.world.facs_areas import region_of
from vultus.data.media import read_frames
from vultus.world import dataset, directing, population
from vultus.world.camera import Camera, portrait_camera
from vultus.world.genes import Genes
from vultus.world.head import PARTS, person_shape, topology
from vultus.world.muscles import AUS, deform
from vultus.world.population import WorldConfig
from vultus.world.render import PIVOT, Frame, FrameState, render_clip
from vultus.world.scene import Scene, Sensor

SIZE = 160
CAMERA = portrait_camera(SIZE, view_cm=24, aim_cm=(0.0, -2.5))
FRONTAL = np.zeros(6, np.float32)


def contraction(au: int | None, level: float = 5.0) -> np.ndarray:
    intensity = np.zeros(len(AUS), np.float32)
    if au is not None:
        intensity[AUS.index(au)] = level
    return intensity


def shot(genes: Genes, intensity: np.ndarray) -> Frame:
    scene = Scene(camera=CAMERA, sensor=Sensor(noise=0.0))
    return next(iter(render_clip(genes, scene, [FrameState(intensity, np.zeros(2, np.float32), FRONTAL)])))


def area(genes: Genes, au: int) -> np.ndarray:
    """(H, W) bool: pixels of the AU's FACS area, at rest or contracted, and one pixel around."""
    triangles = topology().triangles[region_of(au)[topology().triangles].all(axis=1)]
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    for intensity in (contraction(None), contraction(au)):
        points = np.rint(CAMERA.project(deform(person_shape(genes), intensity))[:, :2]).astype(np.int32)
        for corners in points[triangles]:
            cv2.fillConvexPoly(drawn, corners, 1)
    return cv2.dilate(drawn, np.ones((3, 3), np.uint8)).astype(bool)


@pytest.fixture(scope="module")
def model() -> tuple[Genes, Frame]:
    genes = population.person(1, "train-003").genes
    return genes, shot(genes, contraction(None))


@pytest.mark.parametrize("au", AUS)
def test_an_action_unit_changes_its_area_and_little_else(au: int, model: tuple[Genes, Frame]) -> None:
    genes, neutral = model
    full = shot(genes, contraction(au))
    change = np.abs(full.rgb.astype(float) - neutral.rgb).mean(axis=2)
    inside = area(genes, au)
    assert change[inside].mean() > 6 * change[~inside].mean()
    assert (change[inside] ** 2).sum() > 0.8 * (change**2).sum()
    assert (change[inside] > 10).sum() >= 30, "intensity 5 must be plain to see"
    moved = np.linalg.norm(full.landmarks_68 - neutral.landmarks_68, axis=1)
    of_area = region_of(au)[topology().landmark_vertices]
    assert moved[~of_area].max(initial=0) <= 0.5 * moved[of_area].max(initial=0)
    if au != 19:  # the tongue has no landmark
        assert moved.max() > 1.0


@pytest.mark.parametrize("au", [4, 12, 25, 26])
def test_more_intensity_changes_more(au: int, model: tuple[Genes, Frame]) -> None:
    genes, neutral = model
    moved = [np.abs(shot(genes, contraction(au, k)).landmarks_68 - neutral.landmarks_68).sum() for k in (1, 2, 3, 4, 5)]
    assert np.all(np.diff(moved) > 0)


SPEECH = WorldConfig()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """Two recorded sentences."""
    recorded = []
    for clip_id in ("train-001_speech_0", "train-003_speech_1"):
        folder = tmp_path_factory.mktemp("clip")
        dataset.record(directing.direct(SPEECH, 1, population.plan_clip(SPEECH, clip_id)), folder)
        recorded.append((clip_id, folder))
    return recorded


def frames_within(units: pd.DataFrame, labels: set[str], fps: float, first: float, last: float) -> list[int]:
    """Frames whose centre lies in the given share of a phone's duration, for all phones of a set."""
    found: list[int] = []
    for unit in units[(units.tier == "phone") & units.label.isin(labels)].itertuples():
        low, high = (unit.start_s + share * (unit.end_s - unit.start_s) for share in (first, last))
        found += range(int(np.ceil(low * fps - 0.5)), int(np.floor(high * fps - 0.5)) + 1)
    return found


def lip_gap(landmarks: np.ndarray) -> float:
    """Distance of the inner lips as a share of the mouth's width."""
    gap = np.linalg.norm(landmarks[[61, 62, 63]] - landmarks[[67, 66, 65]], axis=1).mean()
    return float(gap / np.linalg.norm(landmarks[48] - landmarks[54]))


def opening_evidence(rgb: np.ndarray, landmarks: np.ndarray) -> float:
    """How far the most unlike row between the lips' outer edges departs from the lips' own colour (CIE Lab).

    Teeth are bright and the mouth behind them is dark: either way a row of an open mouth is no lip.
    """
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    left, right = np.sort(np.rint(landmarks[[61, 63], 0])).astype(int)
    top, bottom = np.rint(landmarks[[51, 57], 1]).astype(int)
    rows = lab[top + 1 : bottom, left : right + 1].mean(axis=1)
    return float(np.linalg.norm(rows - np.median(rows, axis=0), axis=1).max())


def test_lips_meet_in_p_b_m_and_part_in_open_vowels(spoken: list[tuple[str, Path]]) -> None:
    closed_gaps, open_gaps, closed_looks, open_looks = [], [], [], []
    for _, folder in spoken:
        units, frames = (pd.read_parquet(folder / f"{name}.parquet") for name in ("units", "frames"))
        pictures = [picture for _, _, picture in read_frames(folder / "video.mp4")]
        points = np.stack(frames.landmarks_68).reshape(-1, 68, 2)
        # A stop opens after 60 % of its time or later: behind that the lips may be parting.
        closures = frames_within(units, {"P", "B", "M"}, 25.0, 0.25, 0.6)
        vowels = frames_within(units, {"AE", "AA", "AO", "AH", "AY", "AW", "EH", "EY"}, 25.0, 0.3, 0.7)
        for group, gaps, looks in ((closures, closed_gaps, closed_looks), (vowels, open_gaps, open_looks)):
            for frame in group:
                gaps.append(lip_gap(points[frame]))
                looks.append(opening_evidence(pictures[frame], points[frame]))
    assert len(closed_gaps) >= 3
    assert len(open_gaps) >= 8
    assert max(closed_gaps) < 0.03
    assert np.median(open_gaps) > 0.12
    ordered = np.array([[low < high for high in open_looks] for low in closed_looks])
    assert ordered.mean() > 0.9, "decoded pixels tell closed from open"


def test_a_closed_mouth_shows_neither_teeth_nor_throat() -> None:
    take = directing.direct(SPEECH, 1, population.plan_clip(SPEECH, "train-001_speech_0"))
    assert take.motion is not None
    inside = [PARTS.index(part) for part in ("mouth_inside", "teeth", "tongue")]
    shown = np.array([np.isin(frame.mask, inside).sum() for frame in take.frames()])
    assert take.motion.closed.sum() >= 1
    assert shown[take.motion.closed].max() <= 2
    wide = take.performance.au_intensity[:, AUS.index(25)] > 2.5
    assert np.median(shown[wide]) > 10


def test_landmarks_are_projections_of_the_published_parameters(spoken: list[tuple[str, Path]]) -> None:
    """From parameters.parquet alone, with the geometry written out anew."""
    clip_id, folder = spoken[0]
    frames, parameters = (pd.read_parquet(folder / f"{name}.parquet") for name in ("frames", "parameters"))
    genes = population.person(1, clip_id.split("_")[0]).genes
    np.testing.assert_allclose(parameters.identity[0], genes.traits(), atol=1e-6)
    shape, landmarks = person_shape(genes), topology().landmark_vertices
    hidden = 0
    for t in (0, 20, 41, 74):
        row = parameters.iloc[t]
        pitch, yaw, roll, *shift = np.asarray(row.pose, np.float64)
        around_x = cv2.Rodrigues(np.array([-pitch, 0, 0]))[0]
        around_y = cv2.Rodrigues(np.array([0, yaw, 0]))[0]
        around_z = cv2.Rodrigues(np.array([0, 0, -roll]))[0]
        local = deform(shape, np.asarray(row.au), np.asarray(row.gaze_rad))[landmarks].astype(np.float64)
        world = (local - PIVOT) @ (around_z @ around_y @ around_x).T + PIVOT + shift
        focal, x0, y0 = row.intrinsics
        camera = Camera(128, 128, focal, (x0, y0), tuple(map(tuple, np.reshape(row.camera_to_world, (4, 4)))))
        to_camera = np.linalg.inv(camera.matrix)
        seen = world @ to_camera[:3, :3].T + to_camera[:3, 3]
        expected = np.stack([x0 - focal * seen[:, 0] / seen[:, 2], y0 + focal * seen[:, 1] / seen[:, 2]], axis=1)
        written = np.asarray(frames.landmarks_68[t]).reshape(68, 2)
        np.testing.assert_allclose(written, expected, atol=0.01)
        hidden += (~np.asarray(frames.landmark_visible[t])).sum()
    assert hidden < 4 * 20


def test_turned_heads_hide_the_far_side() -> None:
    genes = population.person(1, "train-003").genes
    pose = np.array([0.0, 0.9, 0.0, 0.0, 0.0, 0.0], np.float32)
    state = FrameState(contraction(None), np.zeros(2, np.float32), pose)
    frame = next(iter(render_clip(genes, Scene(camera=CAMERA), [state])))
    far, near = frame.visible[[9, 10, 11, 12, 13, 14, 15, 16]], frame.visible[[0, 1, 2, 3, 4, 5, 6]]
    assert far.mean() < 0.3
    assert near.mean() > 0.7
