"""The sheets are drawn for any world, and say that they are synthetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vultus.data.media import probe, read_picture
from vultus.world import sheets
from vultus.world.population import PerGroup, WorldConfig


@pytest.mark.slow
def test_sheets_of_a_world_without_families(tmp_path: Path) -> None:
    config = WorldConfig(people=PerGroup(train=1, test=1), extra_people=PerGroup(), families=PerGroup())
    written = sheets.write_sheets(tmp_path / "sheets", config, 1)
    captions = json.loads((tmp_path / "sheets/captions.json").read_text())
    assert [path.name for path in written] == list(captions)
    assert "family.jpg" not in captions
    assert all(caption.startswith("Synthetic.") for caption in captions.values())
    for path in written:
        if path.suffix == ".jpg":
            assert read_picture(path).std() > 10
    info = probe(tmp_path / "sheets/talking.mp4")
    assert info.kind == "video"
    assert info.sample_rate == 16_000
    assert info.n_frames == 75


def test_family_tree_shows_three_generations(tmp_path: Path) -> None:
    tree = sheets.family_tree(1, "train-f00", size_px=64)
    assert tree.shape[0] > 3 * 64
    assert tree.std() > 10
