"""The layouts of Office-31 and ImageCLEF-DA become clips with domain and class."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.miniatures import picture, write_picture
from vultus.core.errors import UserError
from vultus.data.sources.image_folders import Options, read


def write_office(root: Path) -> None:
    for domain, classes in (("amazon", ("bike", "mug")), ("webcam", ("bike", "mug"))):
        for number, label in enumerate(classes):
            for frame in (1, 2):
                write_picture(root / domain / "images" / label / f"frame_{frame:04d}.jpg", picture(number))


def write_clef(root: Path) -> None:
    for domain in "cip":
        lines = []
        for number in range(3):
            write_picture(root / domain / f"{domain}_{number:04d}.jpg", picture(number))
            lines.append(f"{domain}/{domain}_{number:04d}.jpg {number % 2}")
        (root / "list").mkdir(exist_ok=True)
        (root / f"list/{domain}List.txt").write_text("\n".join(lines) + "\n\n")


def test_office_31(tmp_path: Path) -> None:
    write_office(tmp_path)
    clips = [rows.clip for rows in read(tmp_path, Options(licence="research"))]
    assert len(clips) == 8
    assert clips[0] == {
        "clip_id": "amazon/bike/frame_0001", "kind": "picture", "domain": "amazon", "label": "bike",
        "video": "amazon/images/bike/frame_0001.jpg", "n_frames": 1, "width_px": 48, "height_px": 36,
        "licence": "research",
    }  # fmt: skip
    assert [rows.clip["domain"] for rows in read(tmp_path, Options(domains=("webcam",))) if rows.clip] == ["webcam"] * 4


def test_imageclef_lists(tmp_path: Path) -> None:
    write_clef(tmp_path)
    clips = [rows.clip for rows in read(tmp_path, Options())]
    shown = [(c["clip_id"], c["label"]) for c in clips if c]
    assert len(shown) == 9
    assert shown[:3] == [("c/0/c_0000", "0"), ("c/1/c_0001", "1"), ("c/0/c_0002", "0")]


def test_lists_with_the_folder_of_their_author_are_understood(tmp_path: Path) -> None:
    write_clef(tmp_path)
    (tmp_path / "list/cList.txt").write_text("/home/someone/data/c/c_0000.jpg 1\n")
    clips = [rows.clip for rows in read(tmp_path, Options(domains=("c",)))]
    assert [(c["video"], c["label"]) for c in clips if c] == [("c/c_0000.jpg", "1")]


def test_a_folder_a_class_without_the_images_level(tmp_path: Path) -> None:
    write_picture(tmp_path / "Art/Alarm Clock/00001.jpg", picture(0))
    write_picture(tmp_path / "Art/Alarm Clock/00001.png", picture(1))
    clips = [rows.clip for rows in read(tmp_path, Options())]
    assert [(c["clip_id"], c["label"]) for c in clips if c] == [
        ("Art/Alarm_Clock/00001", "Alarm Clock"),
        ("Art/Alarm_Clock/00001_2", "Alarm Clock"),
    ]


def test_what_is_broken_is_quarantined_with_its_place(tmp_path: Path) -> None:
    write_clef(tmp_path)
    (tmp_path / "list/iList.txt").write_text("i/i_0000.jpg 0\ni/lost.jpg 1\nnothing\n")
    (tmp_path / "p/p_0001.jpg").write_text("no picture")
    faults = [fault for rows in read(tmp_path, Options(domains=("i", "p"))) for fault in rows.quarantine]
    assert [(f["file"], f["row"]) for f in faults] == [
        ("list/iList.txt", 2),
        ("list/iList.txt", 3),
        ("p/p_0001.jpg", 2),
    ]
    assert "names no picture with a label" in faults[0]["reason"]


def test_an_unknown_domain_is_an_error(tmp_path: Path) -> None:
    write_office(tmp_path)
    with pytest.raises(UserError, match=r"neither a folder dslr nor list/dslrList\.txt"):
        list(read(tmp_path, Options(domains=("dslr",))))
