"""Real recordings go through the stages of the embedded world: GRID clips with sound, portraits, emotional speech."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

import stages.audio
import stages.crops
import stages.ingest
import stages.landmarks
import stages.report
import stages.validate
from vultus.core.console import run_stage
from vultus.data.stores import Store, open_store

REAL = Path(os.environ.get("VULTUS_REAL", Path(__file__).parents[3] / "shared/real")).resolve()
DATASETS = {"grid": "grid", "portraits": "faces", "emotion": "speech_emotion"}
"""Key of the data set -> folder of `REAL`."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which all stages ran on all three, and the report after them."""
    if not REAL.is_dir():
        pytest.skip(f"the real example files are not here: set VULTUS_REAL to their folder (looked in {REAL})")
    pytest.importorskip("mediapipe", reason="mediapipe is optional; without it these faces need a trained detector")
    folder = tmp_path_factory.mktemp("project")
    roots = {key: {"root": str(REAL / name)} for key, name in DATASETS.items()}
    params = {
        "seed": 1,
        "datasets": {key: {"source": "folder", **root} for key, root in roots.items()},
        "landmarks": roots,
        "crops": {key: {**root, "size_px": 128} for key, root in roots.items()},
        "audio": roots,
        "systems": {},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(os, "cpu_count", lambda: 1)  # in this process
        for key in DATASETS:
            for stage in (stages.ingest, stages.validate, stages.landmarks, stages.crops, stages.audio):
                _run(patch, stage, "--dataset", key)
        _run(patch, stages.report)
    return folder


def _run(patch: pytest.MonkeyPatch, stage: ModuleType, *arguments: str) -> None:
    patch.setattr(sys, "argv", [stage.__name__, *arguments])
    run_stage(stage.main)


def _store(project: Path, dataset: str, name: str) -> Store:
    return open_store(project / "data/features" / dataset / name)


def test_every_frame_of_the_videos_becomes_an_aligned_face(project: Path) -> None:
    crops = _store(project, "grid", "crops")
    assert len(crops) == 2 * 75
    assert set(crops.rows["method"]) == {"mediapipe"}
    inner = crops["landmarks_68"][:, 17:]
    assert ((inner > 0) & (inner < 127)).all()
    eyes = inner[:, 19:25].mean(1), inner[:, 25:31].mean(1)
    np.testing.assert_allclose(eyes[0][:, 1], eyes[1][:, 1], atol=1e-2, err_msg="the eye line is level")
    assert crops["au_centres_jaa"].shape[1:] == crops["au_centres_eac"].shape[1:] == (23, 2, 2)


def test_portraits_keep_their_given_points_and_get_the_others(project: Path) -> None:
    landmarks = _store(project, "portraits", "landmarks")
    assert landmarks.meta["frames_by_method"] == {"annotated": 1, "mediapipe": 5}
    assert len(_store(project, "portraits", "crops")) == 6


def test_sound_of_videos_lies_on_their_clock(project: Path) -> None:
    audio = _store(project, "grid", "audio")
    assert audio["log_mel"].shape == (2 * 300, 80)
    frames = audio.table("video_frames")
    assert (frames["stop"] - frames["start"] == 4).all()
    voiced = audio["f0_hz"][audio["f0_hz"] > 0]
    assert 80 < np.median(voiced) < 180, "both talkers are men"
    assert 0.3 < audio.rows["active"].mean() < 0.9


def test_speech_without_faces_ends_with_empty_face_stores(project: Path) -> None:
    audio = _store(project, "emotion", "audio")
    assert len(audio.clips) == 10
    assert np.isfinite(audio["mfcc"]).all()
    assert len(_store(project, "emotion", "landmarks")) == len(_store(project, "emotion", "crops")) == 0


def test_the_report_shows_the_faces_and_calls_nobody_synthetic(project: Path) -> None:
    pages = {key: (project / f"reports/site/datasets/{key}.html").read_text() for key in DATASETS}
    assert "aligned_faces.png" in pages["grid"]
    assert "aligned_faces.png" in pages["portraits"]
    assert "aligned_faces.png" not in pages["emotion"]
    assert not any("synthetic" in page.lower() for page in pages.values())
