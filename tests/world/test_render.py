"""Pictures and their labels: exact projections, visibility, masks, repeatability; two critics from outside."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vultus.face.landmarks import mesh_to_68
from vultus.world import shading
from vultus.world.camera import portrait_camera, rig, rotation
from vultus.world.genes import Genes, founder
from vultus.world.head import person_shape, topology
from vultus.world.muscles import AUS, deform
from vultus.world.render import Frame, FrameState, render_clip
from vultus.world.scene import STYLES, Occluder, Scene, Sensor, random_scene

SIZE = 96


def person(number: int) -> Genes:
    rng = np.random.default_rng([40, number])
    return founder(rng, "female" if number % 2 == 0 else "male", float(rng.integers(18, 66)))


def state(
    aus: dict[int, float] | None = None, gaze: tuple[float, float] = (0, 0), pose: tuple[float, ...] = (0,) * 6
) -> FrameState:
    intensity = np.zeros(len(AUS), np.float32)
    for au, value in (aus or {}).items():
        intensity[AUS.index(au)] = value
    return FrameState(intensity, np.array(gaze), np.array(pose, float))


def studio(size_px: int = SIZE, **changes: Any) -> Scene:
    return replace(Scene(portrait_camera(size_px), sensor=Sensor(noise=0, blur_px=0, vignette=0)), **changes)


def shoot(genes: Genes, scene: Scene, *states: FrameState) -> list[Frame]:
    return list(render_clip(genes, scene, states or (state(),)))


@pytest.fixture(scope="module")
def anna() -> Genes:
    return person(2)


def test_landmarks_are_the_projected_vertices(anna: Genes) -> None:
    """Independent of the renderer's own matrices: the labelled pose and the intrinsics must reproduce the points."""
    pose = (0.1, -0.3, 0.15, 1.0, -0.5, 2.0)
    for camera in rig(portrait_camera(SIZE), (-0.4, 0.3)):
        frame = shoot(anna, studio(camera=camera), state({12: 4, 26: 3}, pose=pose))[0]
        local = deform(person_shape(anna), state({12: 4, 26: 3}).au_intensity, (0.0, 0.0))
        points = local[topology().landmark_vertices].astype(float)
        seen = points @ rotation(*frame.pose[:3].astype(float)).T + frame.pose[3:]
        pixels = (seen * [1, -1, -1]) @ camera.intrinsics.T
        np.testing.assert_allclose(frame.landmarks_68, pixels[:, :2] / pixels[:, 2:], atol=0.02)


def test_the_pose_label_is_the_pose_when_the_camera_stands_in_front(anna: Genes) -> None:
    pose = (0.15, -0.35, 0.2)
    frame = shoot(anna, studio(), state(pose=(*pose, 0, 0, 0)))[0]
    np.testing.assert_allclose(frame.pose[:3], pose, atol=1e-5)


def test_a_frontal_face_shows_its_inner_points_a_turned_one_hides_the_far_side() -> None:
    bald = replace(person(3), hair_style="bald")
    front = shoot(bald, studio())[0]
    assert front.visible[17:].all()
    right, left = (shoot(bald, studio(), state(pose=(0, yaw, 0, 0, 0, 0)))[0] for yaw in (1.0, -1.0))
    assert not right.visible[12:17].any()
    assert right.visible[0:4].all()
    assert not left.visible[0:5].any()
    assert left.visible[13:17].all()


def test_points_outside_the_picture_are_not_visible(anna: Genes) -> None:
    frame = shoot(anna, studio(), state(pose=(0, 0, 0, 14.0, 0, 0)))[0]
    outside = frame.landmarks_68[:, 0] > SIZE - 0.5
    assert outside.any()
    assert not frame.visible[outside].any()


def test_depth_and_mask_agree_with_each_other_and_with_the_points(anna: Genes) -> None:
    frame = shoot(anna, studio(), state(pose=(0, 0.2, 0, 0, 0, 0)))[0]
    np.testing.assert_array_equal(np.isinf(frame.depth), frame.mask == shading.BACKGROUND)
    for index in (30, 33, 8, 27):
        x, y = np.rint(frame.landmarks_68[index]).astype(int)
        local = deform(person_shape(anna), state().au_intensity, (0.0, 0.0))[topology().landmark_vertices[index]]
        point = rotation(*frame.pose[:3].astype(float)) @ local + frame.pose[3:]
        assert frame.depth[y, x] == pytest.approx(-point[2], abs=0.5)
        assert frame.mask[y, x] == shading.SKIN
    eye = frame.landmarks_68[36:42].mean(0).round().astype(int)
    assert frame.mask[eye[1], eye[0]] == shading.SCLERA
    lip = frame.landmarks_68[[57, 66]].mean(0).round().astype(int)
    assert frame.mask[lip[1], lip[0]] == shading.LIPS


def test_the_box_holds_the_face(anna: Genes) -> None:
    for yaw in (-0.5, 0.0, 0.5):
        frame = shoot(anna, studio(), state({27: 5}, pose=(0, yaw, 0, 0, 0, 0)))[0]
        x0, y0, x1, y1 = frame.box
        inner = frame.landmarks_68[17:]
        assert (inner >= [x0, y0]).all()
        assert (inner <= [x1, y1]).all()
        assert 0 <= x0 < x1 <= SIZE - 1
        assert 0 <= y0 < y1 <= SIZE - 1


@pytest.mark.parametrize(
    ("kind", "code"), [("glasses", shading.GLASSES), ("mask", shading.MASK), ("hand", shading.HAND)]
)
def test_occluders_are_in_the_mask_and_hide_points(anna: Genes, kind: str, code: int) -> None:
    clean = shoot(anna, studio())[0]
    frame = shoot(anna, studio(occluders=(Occluder(kind, variant=0.1),)))[0]  # type: ignore[arg-type]
    assert not clean.occluded
    assert frame.occluded
    assert (frame.mask == code).sum() > 20
    np.testing.assert_array_equal(clean.landmarks_68, frame.landmarks_68)
    hidden = clean.visible & ~frame.visible
    if kind == "glasses":
        assert hidden.sum() < 15
    else:
        assert hidden[48:].all() == (kind == "mask")
        assert hidden[48:].sum() > 10
        assert frame.visible[[19, 24]].all()


def test_a_hand_comes_and_goes(anna: Genes) -> None:
    scene = studio(occluders=(Occluder("hand", 0.3, 0.7, 0.1),))
    covered = [frame.occluded for frame in shoot(anna, scene, *[state()] * 11)]
    assert covered[5]
    assert not covered[0]
    assert not covered[10]


def test_closed_lids_hide_the_eye_and_gaze_moves_the_iris(anna: Genes) -> None:
    scene = studio(192)
    opened, closed, right = shoot(anna, scene, state(), state({43: 5}), state(gaze=(0.45, 0)))
    assert (closed.mask == shading.SCLERA).sum() < 0.12 * (opened.mask == shading.SCLERA).sum()

    def iris_x(frame: Frame) -> float:
        x0, x1 = frame.landmarks_68[36, 0], frame.landmarks_68[39, 0]
        eye = (frame.mask == shading.SCLERA) & (np.arange(192)[None] < x1)
        dark = np.where(eye, 255.0 - frame.rgb.mean(-1), 0.0) ** 3
        return float((dark.sum(0) @ np.arange(192) / dark.sum() - x0) / (x1 - x0))

    assert iris_x(right) > iris_x(opened) + 0.1


def test_an_open_mouth_shows_its_inside(anna: Genes) -> None:
    closed, opened = shoot(anna, studio(), state(), state({25: 5, 26: 5}))
    inside = (shading.MOUTH, shading.TEETH, shading.TONGUE)
    assert np.isin(closed.mask, inside).sum() < 12
    assert np.isin(opened.mask, inside).sum() > 40


def test_the_shoulders_stay_when_the_head_turns() -> None:
    cropped = replace(person(3), hair_style="cropped")
    straight, turned = shoot(cropped, studio(), state(), state(pose=(0, 0.5, 0, 0, 0, 0)))
    np.testing.assert_array_equal(straight.mask[-3:] == shading.SHOULDERS, turned.mask[-3:] == shading.SHOULDERS)


def test_same_bytes_again_noise_differs_between_frames() -> None:
    scene = random_scene(np.random.default_rng(5), size_px=SIZE, occluder_rate=1.0)
    first, second = (shoot(person(6), scene, state(), state()) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.rgb.tobytes() == b.rgb.tobytes()
        assert a.depth.tobytes() == b.depth.tobytes()
    assert first[0].rgb.tobytes() != first[1].rgb.tobytes()


def test_styles_change_the_picture_and_not_the_labels(anna: Genes) -> None:
    frames = {style: shoot(anna, studio(style=style), state({12: 3}))[0] for style in STYLES}
    photo = frames["photo"]
    for style, frame in frames.items():
        np.testing.assert_array_equal(frame.landmarks_68, photo.landmarks_68)
        np.testing.assert_array_equal(frame.mask, photo.mask)
        assert frame.rgb.std() > 10
        if style != "photo":
            assert np.abs(frame.rgb.astype(int) - photo.rgb).mean() > 8, style


def test_views_of_a_rig_agree_in_three_dimensions(anna: Genes) -> None:
    cameras = rig(portrait_camera(SIZE), (-0.5, 0.5))
    frames = [shoot(anna, studio(camera=camera))[0] for camera in cameras]
    for index in (8, 30, 48):
        rows = []
        for camera, frame in zip(cameras, frames, strict=True):
            u, v = frame.landmarks_68[index]
            projection = camera.intrinsics @ np.linalg.inv(camera.matrix @ np.diag([1.0, -1, -1, 1]))[:3]
            rows += [u * projection[2] - projection[0], v * projection[2] - projection[1]]
        residual = np.linalg.svd(np.array(rows))[1]
        assert residual[-1] / residual[0] < 1e-6


def test_scenes_repeat_and_differ() -> None:
    assert random_scene(np.random.default_rng(1)) == random_scene(np.random.default_rng(1))
    assert random_scene(np.random.default_rng(1)) != random_scene(np.random.default_rng(2))
    kinds = [random_scene(np.random.default_rng(i), occluder_rate=1, glasses_rate=1).occluders for i in range(20)]
    assert {thing.kind for things in kinds for thing in things} == {"glasses", "hand", "mask", "lock"}
    assert not random_scene(np.random.default_rng(1), occluder_rate=0, glasses_rate=0).occluders


@pytest.fixture(scope="module")
def frontal() -> list[Frame]:
    """One frame of each of 100 people: |yaw| < 15 degrees, three random AUs, any light, room and hair; no occluder."""
    frames = []
    for number in range(100):
        rng = np.random.default_rng([41, number])
        scene = random_scene(rng, size_px=128, occluder_rate=0, glasses_rate=0)
        pose = (rng.normal(0, 0.06), rng.uniform(-0.26, 0.26), rng.normal(0, 0.05), 0, 0, 0)
        aus = {int(au): float(rng.uniform(1, 5)) for au in rng.choice((1, 2, 4, 6, 7, 9, 10, 12, 15, 17, 25, 26), 3)}
        yaw, pitch = rng.normal(0, 0.1, 2)
        frames += shoot(person(100 + number), scene, state(aus, (yaw, pitch), pose))
    return frames


@pytest.mark.slow
def test_opencv_finds_the_face(frontal: list[Frame]) -> None:
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))
    missed = [
        number
        for number, frame in enumerate(frontal)
        if len(cascade.detectMultiScale(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), 1.1, 3)) == 0
    ]
    assert len(missed) <= 3, missed


@pytest.mark.slow
def test_mediapipe_takes_it_for_a_real_face(frontal: list[Frame]) -> None:
    mediapipe = pytest.importorskip("mediapipe", reason="mediapipe is optional")
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
    missed, errors = [], []
    for number, frame in enumerate(frontal):
        large = cv2.resize(frame.rgb, (256, 256), interpolation=cv2.INTER_CUBIC)
        found = mesh.process(large).multi_face_landmarks
        if not found:
            missed.append(number)
            continue
        points = mesh_to_68(np.array([(p.x * 128 - 0.5, p.y * 128 - 0.5) for p in found[0].landmark]))
        span = np.linalg.norm(frame.landmarks_68[36] - frame.landmarks_68[45])
        errors.append(np.linalg.norm(points - frame.landmarks_68, axis=1).mean() / span)
    assert len(missed) <= 3, missed
    assert np.mean(errors) < 0.08
    assert np.mean(np.array(errors) < 0.08) >= 0.97
