"""The site is complete, links only to itself, escapes what it is told, and is the same twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.synthetic_results import write_dataset, write_detector, write_repository
from vultus.core import registry
from vultus.core.config import load_params
from vultus.core.loop import TrainConfig
from vultus.core.registry import Card
from vultus.core.system import System
from vultus.report.collect import read_dataset, read_media
from vultus.report.figures import draw_poster
from vultus.report.site import build_site, duration, how_faces_were_aligned, number, paper_tables


@dataclass(frozen=True)
class Config:
    unit: int = 8
    xi: float = 0.56


def _card(key: str) -> Card:
    return Card(
        key=key,
        family="action_units",
        title=f"The <{key}> paper",
        authors="A. Author",
        venue="Conference",
        year=2018,
        identifier="arXiv 1234.5678",
        config=Config,
        system=System,
        train=TrainConfig(),
        datasets=("world",),
        protocol="world",
        headline=("F1", "Accuracy", "NME"),
        role="baseline" if key == "hog_svm" else "system",
        paper_values={"bp4d": {"F1": 0.6, "PSNR": 30.0}},
        reconstructed=("The mask is drawn from detached points.",),
    )


class _Links(HTMLParser):
    """Collects what a page refers to, and pictures without words."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.wordless: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values[name]) for name in ("href", "src", "srcset") if values.get(name)]
        if tag == "img" and not values.get("alt"):
            self.wordless.append(str(values.get("src")))
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)


def _parse(page: Path) -> _Links:
    parser = _Links()
    parser.feed(page.read_text())
    return parser


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_repository(tmp_path, ("jaa_net", "hog_svm"))
    write_dataset(tmp_path)
    write_detector(tmp_path / "models" / "landmark_detector")
    monkeypatch.setattr(registry, "get", _card)
    return tmp_path


def _build(root: Path, name: str = "site") -> Path:
    build_site(root, root / name, load_params(root / "params.yaml"))
    return root / name


def test_every_link_leads_to_a_file_of_the_site(root: Path) -> None:
    site = _build(root)
    pages = sorted(site.rglob("*.html"))
    assert [str(page.relative_to(site)) for page in pages] == [
        "datasets/world.html",
        "index.html",
        "systems/hog_svm.html",
        "systems/jaa_net.html",
    ]
    for page in pages:
        for link in _parse(page).links:
            if not link.startswith("#"):
                assert (page.parent / link).resolve().is_relative_to(site.resolve()), link
                assert (page.parent / link).is_file(), link


def test_nothing_comes_from_the_network(root: Path) -> None:
    for file in _build(root).rglob("*"):
        if file.suffix in (".html", ".css"):
            assert not re.search(r"(https?:)?//\w", file.read_text()), file


def test_pictures_have_words_and_headings_descend_by_one(root: Path) -> None:
    for page in _build(root).rglob("*.html"):
        parsed = _parse(page)
        assert parsed.wordless == []
        levels = [int(tag[1]) for tag in parsed.headings]
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_film_shows_its_first_frame_before_it_plays(tmp_path: Path) -> None:
    grey = np.full((48, 64, 3), 130, np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(3):
        writer.write(grey)
    writer.release()
    assert draw_poster(tmp_path / "film.mp4", tmp_path / "poster.jpg")
    assert np.abs(cv2.imread(str(tmp_path / "poster.jpg")).astype(int) - 130).mean() < 4
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    assert not draw_poster(tmp_path / "broken.mp4", tmp_path / "none.jpg")
    assert not (tmp_path / "none.jpg").exists()


def test_numbers_stand_with_their_intervals(root: Path) -> None:
    site = _build(root)
    row = pd.read_csv(root / "reports/systems/jaa_net/results.csv").set_index("metric").loc["F1"]
    shown = f'<b>{row["value"]:.3f}</b><span class="interval">{row["low"]:.3f} – {row["high"]:.3f}</span>'
    assert shown in (site / "index.html").read_text()
    assert shown in (site / "systems/jaa_net.html").read_text()


def test_synthetic_results_say_so_on_every_page_that_shows_them(root: Path) -> None:
    for page in _build(root).rglob("*.html"):
        assert "ynthetic" in page.read_text(), page


def test_charts_say_so_too(root: Path) -> None:
    site = _build(root)
    charts = list((site / "figures").glob("*.svg"))
    assert {path.name.split("-")[0] for path in charts} == {"action_units", "curves", "parts", "rates"}
    assert all("(synthetic)" in path.read_text() for path in charts)


def test_text_from_files_is_escaped(root: Path) -> None:
    site = _build(root)
    assert "video/&lt;p99&gt;.mp4" in (site / "datasets/world.html").read_text()
    page = (site / "systems/jaa_net.html").read_text()
    assert "Where &lt;b&gt;it&lt;/b&gt; looks." in page
    assert "The &lt;jaa_net&gt; paper" in page


def test_configuration_marks_what_differs_from_the_paper(root: Path) -> None:
    page = (_build(root) / "systems/jaa_net.html").read_text()
    rows = re.findall(r"<tr( class=\"current\")?><th scope=\"row\"><code>([\w.]+)</code>", page)
    marks = {"unit": True, "xi": False, "train.epochs": True, "train.batch_size": False}
    assert {name: bool(mark) for mark, name in rows} == marks


def test_the_papers_numbers_come_with_a_reason(root: Path) -> None:
    from vultus.report.collect import read_system

    params = load_params(root / "params.yaml")
    system = read_system(root, "jaa_net", params["systems"]["jaa_net"], synthetic=True)
    (table,) = paper_tables(system)
    ours = pd.read_csv(root / "reports/systems/jaa_net/results.csv").set_index("metric").loc["F1", "value"]
    assert table.dataset == "bp4d"
    assert table.numbers[0] == ("F1", 0.6, pytest.approx(float(ours)))
    assert table.numbers[1][0] == "PSNR"
    assert math.isnan(table.numbers[1][2]), "what was not measured here is not invented"
    assert "Not comparable" in table.reason
    assert "unit 2 (there 8), train.epochs 3 (there 12)" in table.reason
    assert "xi" not in table.reason, "what is as in the paper explains nothing"


def test_a_page_names_whose_landmarks_cut_the_faces_out(root: Path) -> None:
    page = (_build(root) / "systems/jaa_net.html").read_text()
    assert how_faces_were_aligned({"annotated": 5, "mediapipe": 1}) in page
    assert "test people too" in page
    assert how_faces_were_aligned({}) == ""


def test_the_detectors_error_is_on_the_page_of_the_world(root: Path) -> None:
    page = (_build(root) / "datasets/world.html").read_text()
    shown = re.findall(r'<th scope="row">(?:all|occluded) frames</th>(.*?)</tr>', page)
    values = [re.findall(r'<td class="num">(.*?)</td>', row) for row in shown]
    assert values == [["0.039", "0.021", "0.995", "1,200"], ["–", "–", "–", "0"]]


def test_a_folder_of_the_readers_own_is_not_searched_for_sheets(root: Path) -> None:
    section = {"source": "folder", "root": "data/raw/world"}
    report = read_dataset(root, "world", section)
    assert report.media == []
    assert report.detector == {}


def test_the_cover_links_to_the_data_set_it_shows(root: Path) -> None:
    params = load_params(root / "params.yaml")
    params["datasets"] = {"mine": {"source": "folder", "root": "mine"}, **params["datasets"]}
    build_site(root, root / "site", params)
    overview = (root / "site/index.html").read_text()
    assert 'More on the page of <a href="datasets/world.html">' in overview


def test_sheets_of_one_root_are_shown_once(root: Path) -> None:
    params = load_params(root / "params.yaml")
    params["datasets"]["talking"] = params["datasets"]["world"]
    build_site(root, root / "site", params)
    assert list((root / "site/media/world").iterdir())
    assert not list((root / "site/media").glob("talking/*"))
    assert "Landmark detector" not in (root / "site/datasets/talking.html").read_text()


def test_a_site_without_data_sets_and_systems(tmp_path: Path) -> None:
    assert build_site(tmp_path, tmp_path / "site", {"seed": 1, "datasets": {}, "systems": {}}) == 1


def test_two_builds_have_the_same_bytes(root: Path) -> None:
    def digests(site: Path) -> dict[str, str]:
        files = [path for path in site.rglob("*") if path.is_file()]
        return {str(path.relative_to(site)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert digests(_build(root, "one")) == digests(_build(root, "two"))


def test_a_repository_where_nothing_ran_has_a_site_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    write_repository(tmp_path)
    shutil.rmtree(tmp_path / "models")
    shutil.rmtree(tmp_path / "reports")
    monkeypatch.setattr(registry, "get", _card)
    site = _build(tmp_path)
    assert "No results" in (site / "systems/jaa_net.html").read_text()
    assert "Not validated yet" in (site / "datasets/world.html").read_text()


def test_statistics_count_people_not_clips(root: Path) -> None:
    statistics = dict(read_dataset(root, "world").statistics)
    assert statistics["people"] == "6"
    assert statistics["people in group test"] == "2"
    assert statistics["annotated frames"] == "60"


def test_failed_checks_come_first(root: Path) -> None:
    checks = read_dataset(root, "world").checks
    assert [(check.demand, check.passed) for check in checks] == [
        ("the file decodes", False),
        ("fps is at most 1000", True),
    ]
    assert "1 of 2 checks hold" in (_build(root) / "datasets/world.html").read_text()


def test_base_rates_come_with_the_range_over_people(root: Path) -> None:
    rates = read_dataset(root, "world").base_rates.set_index("au")
    frames = pd.read_parquet(root / "data/tables/world/valid/frames.parquet")
    by_person = frames.groupby("clip_id")["au12_occurrence"].mean()
    assert rates.loc["AU12", "rate"] == pytest.approx(float(frames["au12_occurrence"].mean()))
    assert rates.loc["AU12", "low"] == pytest.approx(float(by_person.min()))
    assert rates.loc["AU12", "high"] == pytest.approx(float(by_person.max()))


def test_media_keep_the_order_of_their_captions(tmp_path: Path) -> None:
    for name in ("a.png", "b_two.png", "c.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "captions.json").write_text(json.dumps({"c.mp4": "Film", "a.png": "First"}))
    media = read_media(tmp_path)
    assert [(one.path.name, one.caption, one.is_film) for one in media] == [
        ("c.mp4", "Film", True),
        ("a.png", "First", False),
        ("b_two.png", "b two", False),
    ]


def test_numbers_and_durations_as_text() -> None:
    assert number(None) == number(float("nan")) == duration(float("nan")) == "–"
    assert number(0.12345) == "0.123"
    assert [duration(s) for s in (3.2, 200.0, 7200.0)] == ["3 s", "3 min", "2.0 h"]
