"""The data set on disk: complete, exact, repeatable, and cheap to extend."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from vultus.data import tables
from vultus.data.media import probe, read_frames, read_picture
from vultus.world import dataset, directing, population
from vultus.world.delivery import DELIVERED_EMOTIONS
from vultus.world.performance import PROTOTYPES
from vultus.world.population import PerGroup, WorldConfig
from vultus.world.word_chains import may_be_spoken

TINY = WorldConfig(
    size_px=64,
    people=PerGroup(train=2, test=1),
    extra_people=PerGroup(test=1),
    families=PerGroup(),
    spontaneous_clips=PerGroup(train=2, test=2),
    spontaneous_frames=6,
    speech_clips=PerGroup(),
    emotion_clips=0,
    multiview_frames=2,
    domain_clips=0,
    utterance_people=PerGroup(train=1),
    utterance_takes=1,
    tongue_sentences=PerGroup(test=1),
    posed_takes=PerGroup(train=1),
    processes=1,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    written = dataset.write_world(TINY, 1, root, cache)
    spontaneous, multiview, posed, utterances, tongue = 3 * 2, 3, 2 * 7, 7, 2
    assert written.recorded == written.clips == spontaneous + multiview + posed + utterances + tongue
    assert written.people == 3 + 1
    return root


def files_of(root: Path) -> dict[str, str]:
    """Path from the root -> hash of the content."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tables_have_the_schemas_and_fit_together(world: Path) -> None:
    for name in ("clips", "frames", "units"):
        table = pq.read_table(world / f"{name}.parquet")
        assert table.schema.equals(tables.SCHEMAS[name]), name
        table.validate(full=True)
    clips, frames = pd.read_parquet(world / "clips.parquet"), pd.read_parquet(world / "frames.parquet")
    assert clips.clip_id.is_unique
    assert set(clips.licence) == {"synthetic"}
    faces = clips[~clips.kind.isin(population.FACELESS)].set_index("clip_id")
    assert frames.groupby("clip_id").size().to_dict() == faces.n_frames.to_dict()
    videos = frames[frames.clip_id.map(faces.kind) != "posed"]
    np.testing.assert_allclose(videos.time_s, (videos.frame + 0.5) / videos.clip_id.map(faces.fps))
    assert not frames.duplicated(["clip_id", "frame"]).any()
    assert clips.groupby("subject").group.nunique().max() == 1


def test_media_are_there_and_as_long_as_the_tables_say(world: Path) -> None:
    clips = pd.read_parquet(world / "clips.parquet")
    for clip in clips[~clips.kind.isin(("posed", "utterance"))].itertuples():
        info = probe(world / clip.video)
        assert (info.fps, info.n_frames) == (clip.fps, clip.n_frames)
        assert (info.width, info.height) == (clip.width_px, clip.height_px)
        if isinstance(clip.audio, str):
            sound = probe(world / clip.audio)
            assert sound.sample_rate == clip.sample_rate_hz
            assert sound.duration == pytest.approx(clip.duration_s, abs=1e-3)
            assert info.duration == pytest.approx(clip.duration_s, abs=0.05)
    assert "SYNTHETIC" in (world / "README.txt").read_text()


def test_occurrence_is_intensity_two(world: Path) -> None:
    frames = pd.read_parquet(world / "frames.parquet")
    for au in tables.ACTION_UNITS:
        present, intensity = frames[tables.occurrence_column(au)], frames[tables.intensity_column(au)]
        np.testing.assert_array_equal(present == 1, intensity >= 2)
    parameters = pd.read_parquet(world / "parameters.parquet").merge(frames, on=["clip_id", "frame"])
    assert len(parameters) == len(frames)
    labels = frames[[tables.intensity_column(au) for au in tables.ACTION_UNITS]].to_numpy()
    np.testing.assert_allclose(np.stack(parameters.au)[:, : len(tables.ACTION_UNITS)], labels, atol=1e-6)


def test_same_bytes_on_a_second_run(world: Path, tmp_path: Path) -> None:
    dataset.write_world(TINY, 1, tmp_path / "world", tmp_path / "cache")
    assert files_of(tmp_path / "world") == files_of(world)


def test_another_seed_is_another_world(world: Path, tmp_path: Path) -> None:
    small = dataclasses.replace(
        TINY, people=PerGroup(train=1), extra_people=PerGroup(), spontaneous_clips=PerGroup(train=1)
    )
    dataset.write_world(small, 2, tmp_path / "world", tmp_path / "cache")
    name = "video/train-000_spontaneous_T1-0.mp4"
    assert files_of(tmp_path / "world")[name] != files_of(world)[name]


def test_one_more_clip_and_person_record_only_themselves(world: Path, cache: Path, tmp_path: Path) -> None:
    before = files_of(world)
    more = dataclasses.replace(TINY, people=PerGroup(train=3, test=1))
    written = dataset.write_world(more, 1, tmp_path / "people", cache)
    assert written.recorded == 2 + 7
    after = files_of(tmp_path / "people")
    assert {name: after[name] for name in before if name.startswith(("video", "audio"))}.items() <= before.items()
    old, new = (pd.read_parquet(folder / "frames.parquet") for folder in (world, tmp_path / "people"))
    kept = new[new.clip_id.isin(old.clip_id.unique())].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.set_index(["clip_id", "frame"]), old.set_index(["clip_id", "frame"]))
    again = dataset.write_world(more, 1, tmp_path / "people", cache)
    assert again.recorded == 0
    assert files_of(tmp_path / "people") == after


@pytest.mark.slow
def test_processes_do_not_change_the_result(tmp_path: Path) -> None:
    few = dataclasses.replace(
        TINY,
        people=PerGroup(train=2),
        extra_people=PerGroup(),
        spontaneous_clips=PerGroup(train=1),
        spontaneous_frames=2,
    )
    dataset.write_world(few, 1, tmp_path / "one", tmp_path / "cache-one")
    dataset.write_world(dataclasses.replace(few, processes=2), 1, tmp_path / "two", tmp_path / "cache-two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_decoded_frames_are_the_rendered_ones(world: Path) -> None:
    plan = population.plan_clip(TINY, "train-001_spontaneous_T2-0")
    rendered = np.stack([frame.rgb for frame in directing.direct(TINY, 1, plan).frames()]).astype(np.float64)
    decoded = np.stack([picture for _, _, picture in read_frames(world / f"video/{plan.clip_id}.mp4")])
    error = np.sqrt(np.mean((rendered - decoded) ** 2))
    assert 20 * np.log10(255 / error) > 30


def test_views_of_a_recording_show_the_same_moment(world: Path) -> None:
    clips = pd.read_parquet(world / "clips.parquet")
    views = clips[clips.kind == "multiview"]
    assert list(views["view"]) == list(population.VIEWS)
    assert views.session.nunique() == 1
    parameters = pd.read_parquet(world / "parameters.parquet")
    by_view = [parameters[parameters.clip_id == clip_id] for clip_id in views.clip_id]
    np.testing.assert_array_equal(np.stack(by_view[0].au), np.stack(by_view[2].au))
    assert not np.array_equal(by_view[0].camera_to_world.iloc[0], by_view[2].camera_to_world.iloc[0])
    for clip_id in views.clip_id:
        geometry = np.load(world / f"geometry/{clip_id}.npz")
        assert geometry["depth_cm"].shape == geometry["part"].shape == (2, 64, 64)
        depth = geometry["depth_cm"][geometry["part"] == 0].astype(np.float64)
        assert 40 < np.median(depth) < 140


def test_silent_speech_has_both_cameras_and_phones(world: Path) -> None:
    clips, units = (pd.read_parquet(world / f"{name}.parquet") for name in ("clips", "units"))
    tongue = clips[clips.kind == "tongue"].set_index("view")
    assert set(tongue.index) == set(population.TONGUE_VIEWS)
    assert tongue.transcript.nunique() == 1
    assert set(tongue.group) == {"test"}
    assert set(tongue.subject) == {population.SILENT_SPEAKER}
    assert tongue.audio.isna().all(), "silent speech makes no sound"
    ends = units[units.clip_id == tongue.clip_id["lips"]].end_s.max()
    assert ends <= tongue.duration_s["lips"] < ends + 1 / 60
    phones = units[(units.clip_id == tongue.clip_id["ultrasound"]) & (units.tier == "phone")]
    assert len(phones) > 8
    np.testing.assert_allclose(phones.start_s[1:], phones.end_s[:-1])
    parameters = pd.read_parquet(world / "parameters.parquet")
    assert np.stack(parameters[parameters.clip_id == tongue.clip_id["lips"]].tongue).std(axis=0).max() > 0.05


def test_utterances_are_sound_alone(world: Path) -> None:
    clips = pd.read_parquet(world / "clips.parquet")
    utterances = clips[clips.kind == "utterance"]
    assert set(utterances.emotion) == set(DELIVERED_EMOTIONS)
    nothing_seen = ["video", "fps", "n_frames", "width_px", "height_px", "view", "domain"]
    assert utterances[nothing_seen].isna().all(axis=None)
    for clip in utterances.itertuples():
        sound = probe(world / clip.audio)
        assert (sound.kind, sound.sample_rate) == ("sound", clip.sample_rate_hz)
        assert sound.duration == pytest.approx(clip.duration_s, abs=1e-3)
    units = pd.read_parquet(world / "units.parquet").merge(utterances[["clip_id", "duration_s"]], on="clip_id")
    assert (units.end_s <= units.duration_s + 1e-9).all()
    assert not pd.read_parquet(world / "parameters.parquet").clip_id.isin(utterances.clip_id).any()


def test_acted_expressions_are_pictures_at_their_apex(world: Path) -> None:
    clips, frames = (pd.read_parquet(world / f"{name}.parquet") for name in ("clips", "frames"))
    posed = clips[clips.kind == "posed"].merge(frames, on="clip_id")
    assert posed.groupby("subject").domain.unique().map(list).to_dict() == {
        "train-000": ["photo"],
        "train-001": ["sketch"],
    }
    for picture in posed.itertuples():
        assert read_picture(world / picture.video).shape == (64, 64, 3)
        core = [au for au, share in PROTOTYPES[picture.emotion].items() if share == 1.0]
        shown = [getattr(picture, tables.intensity_column(au)) for au in core]
        assert min(shown, default=5.0) > 1.5, f"{picture.clip_id}: the expression has not come to its apex"
        assert np.isfinite(picture.landmarks_68).all()
    happy, neutral = (posed[(posed.emotion == name) & (posed.domain == "photo")] for name in ("happiness", "neutral"))
    assert happy.au12_intensity.min() > 1.5
    assert neutral[[tables.intensity_column(au) for au in tables.ACTION_UNITS]].to_numpy().max() == 0


def test_text_for_language_models_is_never_spoken(world: Path) -> None:
    texts = {name: (world / f"text/domain_{name}.txt").read_text().splitlines() for name in "ab"}
    assert [len(lines) for lines in texts.values()] == [directing.TEXT_SENTENCES] * 2
    for name, lines in texts.items():
        chain = directing.word_chain(1, name)
        assert all(chain.allows(line) and not may_be_spoken(line) for line in lines)


def test_people_table_holds_the_families(tmp_path: Path) -> None:
    nobody = PerGroup()
    family = dataclasses.replace(
        TINY, people=nobody, extra_people=nobody, tongue_sentences=nobody, families=PerGroup(train=1), portraits=1
    )
    dataset.write_world(family, 1, tmp_path / "world", tmp_path / "cache")
    people = pd.read_parquet(tmp_path / "world/people.parquet").set_index("subject")
    assert set(people.generation) == {0, 1, 2}
    clips = pd.read_parquet(tmp_path / "world/clips.parquet")
    assert clips.fps.isna().all()
    for clip in clips.itertuples():
        assert read_picture(tmp_path / "world" / clip.video).shape == (64, 64, 3)
        if isinstance(clip.father, str):
            assert clip.father in people.index
