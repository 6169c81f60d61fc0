"""The pages: an overview, one page a data set and a system, the judges, the claims ledger, and their pictures."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from vultus.core import registry
from vultus.report import figures
from vultus.report.collect import (
    DatasetReport,
    Medium,
    SystemReport,
    read_claims,
    read_dataset,
    read_judges,
    read_system,
)

TEMPLATES = Path(__file__).parent / "templates"
QUARANTINE_SHOWN = 200
"""Rows of the quarantine table on a page; the whole table is in the data set's folder."""


@dataclass(frozen=True)
class Chart:
    """A drawn chart: two files relative to the site's root, and what a reader who cannot see it is told."""

    light: str
    dark: str
    alt: str


@dataclass(frozen=True)
class FamilyTable:
    """The systems and baselines of a family on one data set, compared."""

    family: str
    dataset: str
    synthetic: bool
    metrics: tuple[str, ...]
    systems: list[SystemReport]
    judged: frozenset[str]
    """Metrics that a judge trained here has measured."""
    doubted: frozenset[str]
    """Those of them whose judge missed its acceptance test."""
    parts: list[tuple[str, list[str], dict[str, dict[str, float]]]]
    """For each metric that has parts: (metric, names of the parts, {system: {part: value}})."""
    chart: Chart | None


def build_site(root: Path, out: Path, params: Mapping[str, Any]) -> int:
    """Write the site into ``out`` (which must not exist) and return its number of pages.

    Args:
        root: repository root; only result files below it are read.
        out: new folder; everything in it refers to itself by relative links.
        params: the content of ``params.yaml``.
    """
    for folder in (out / "datasets", out / "systems", out / "figures", out / "media"):
        folder.mkdir(parents=True)
    shutil.copy(TEMPLATES / "style.css", out / "style.css")

    datasets = _sheets_once([read_dataset(root, key, section) for key, section in params["datasets"].items()])
    synthetic = {dataset.key: dataset.synthetic for dataset in datasets}
    systems = [
        read_system(root, key, section, synthetic.get(section["dataset"], False))
        for key, section in params["systems"].items()
    ]
    systems.sort(key=lambda system: (system.card.family, system.card.role == "baseline", system.card.year))
    families = _family_tables(systems, out)
    judges, claims = read_judges(root), read_claims(root)
    pages = _Pages(
        out, datasets=datasets, systems=systems, judges=judges, claims=claims.to_dict("records"), seed=params["seed"]
    )

    shown = next((dataset for dataset in datasets if dataset.media), None)
    cover = _copied(_cover(shown.media), out, shown.key) if shown else []
    pages.write("index.html", "overview.html", families=families, cover=cover, shown=shown)
    if judges:
        pages.write("judges.html", "judges.html")
    if len(claims):
        pages.write("claims.html", "claims.html", ledger=_ledger_chart(claims, out))
    for dataset in datasets:
        pages.write(
            f"datasets/{dataset.key}.html",
            "dataset.html",
            dataset=dataset,
            media=_copied(dataset.media, out, dataset.key),
            crops=_crop_sheet(dataset, out),
            base_rates=_base_rate_chart(dataset, out),
            quarantine=dataset.quarantine.head(QUARANTINE_SHOWN).to_dict("records"),
            failed=dataset.failed.head(QUARANTINE_SHOWN).to_dict("records"),
        )
    aligned_by = {dataset.key: dataset.aligned_by for dataset in datasets}
    for system in systems:
        pages.write(
            f"systems/{system.card.key}.html",
            "system.html",
            system=system,
            media=_copied(system.media, out, system.card.key),
            curves=_curves(system, out),
            part_charts=_part_charts(system, [other for other in systems if _is_baseline_of(other, system)], out),
            compared=next((family for family in families if system in family.systems), None),
            paper=paper_tables(system),
            faces=how_faces_were_aligned(aligned_by.get(system.dataset, {})) if system.features == "crops" else "",
        )
    return pages.count


def _sheets_once(datasets: list[DatasetReport]) -> list[DatasetReport]:
    """The same, where only the first of several data sets that are read from one folder shows its sheets."""
    first = {dataset.root: dataset.key for dataset in reversed(datasets)}
    return [
        dataset if first[dataset.root] == dataset.key else replace(dataset, media=[], detector={})
        for dataset in datasets
    ]


@dataclass(frozen=True)
class PaperTable:
    """A paper's numbers on one data set, ours beside them, and why they differ.

    ``numbers`` are (metric, the paper's value, ours or NaN).
    """

    dataset: str
    numbers: list[tuple[str, float, float]]
    reason: str


def paper_tables(system: SystemReport) -> list[PaperTable]:
    """The paper's numbers by data set, that of the system's own data set first."""
    ours = dict(zip(system.rows["metric"], system.rows["value"], strict=True))
    tables = [
        PaperTable(
            dataset=dataset,
            numbers=[(metric, paper, float(ours.get(metric, math.nan))) for metric, paper in values.items()],
            reason=_why_different(system, dataset),
        )
        for dataset, values in system.card.paper_values.items()
    ]
    return sorted(tables, key=lambda table: table.dataset != system.dataset)


def _why_different(system: SystemReport, dataset: str) -> str:
    differing = [f"{name} {here or 'none'} (there {paper or 'none'})" for name, here, paper in system.differences()]
    if not system.config:
        settings = "Nothing has been trained here yet."
    elif differing:
        settings = f"Settings that differ from the paper's main ones: {', '.join(differing)}."
    else:
        settings = "All settings are the paper's main ones."
    if dataset == system.dataset:
        return (
            f"Same data set, protocol {system.protocol}. {settings} The parts named below are reconstructed, one seed "
            "was run, and the epoch is selected on held-out training people."
        )
    people = "synthetic people" if system.synthetic else system.dataset
    return (
        f"Not comparable: the paper measured on {dataset}, the numbers here are measured on {people}, with one seed. "
        f"{settings} With {dataset} in place, the settings in the folder params/ run the paper's own protocol."
    )


METHODS = {
    "annotated": "points annotated in the data set",
    "mediapipe": "points that MediaPipe found",
    "trained": "points that the detector trained on the embedded world found",
}
"""What a reader is told about a landmark method."""


def how_faces_were_aligned(methods: Mapping[str, int]) -> str:
    """One sentence on whose landmarks cut the faces out, for test people as well; empty where nothing is known."""
    if not methods:
        return ""
    by = " and ".join(
        f"{METHODS.get(method, method)} ({count:,} face{'' if count == 1 else 's'})"
        for method, count in methods.items()
    )
    return (
        f"All faces, those of the test people too, were aligned and cut out by {by}; landmark errors are measured "
        "against the same points."
    )


class _Pages:
    """Writes pages from templates with what all of them share."""

    def __init__(self, out: Path, **shared: Any) -> None:
        self.out = out
        self.count = 0
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.environment.filters |= {"number": number, "duration": duration, "words": words}
        self.environment.globals |= shared

    def write(self, name: str, template: str, **values: Any) -> None:
        """Render one page; ``up`` leads from it to the site's root."""
        up = "../" * name.count("/")
        html = self.environment.get_template(template).render(up=up, page=name, **values)
        (self.out / name).write_text(html)
        self.count += 1


def number(value: Any, digits: int = 3) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{float(value):.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as a reader says them."""
    if math.isnan(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def words(key: str) -> str:
    """``action_units`` -> ``action units``."""
    return key.replace("_", " ")


def _cover(media: Sequence[Medium]) -> list[Medium]:
    """What the overview opens with: a picture of people and something that plays."""
    pictures = sorted((one for one in media if not one.is_film), key=lambda one: "people" not in one.path.stem)
    return [*pictures[:1], *[one for one in media if one.is_film][:1]]


def _copied(media: Sequence[Medium], out: Path, owner: str) -> list[Medium]:
    """The same media, copied into the site; paths relative to its root."""
    folder = Path("media") / owner
    (out / folder).mkdir(parents=True, exist_ok=True)
    copies = []
    for medium in media:
        copy, poster = folder / medium.path.name, folder / f"{medium.path.stem}_poster.jpg"
        if not (out / copy).exists():
            shutil.copy(medium.path, out / copy)
            if medium.is_film:
                figures.draw_poster(out / copy, out / poster)
        copies.append(Medium(copy, medium.caption, poster if (out / poster).exists() else None))
    return copies


def _chart(paths: Sequence[Path], out: Path, alt: str) -> Chart:
    light, dark = (str(path.relative_to(out)) for path in paths)
    return Chart(light, dark, alt)


def _family_tables(systems: Sequence[SystemReport], out: Path) -> list[FamilyTable]:
    tables = []
    for family in registry.families():
        members = [system for system in systems if system.card.family == family]
        for dataset in sorted({system.dataset for system in members}):
            here = [system for system in members if system.dataset == dataset]
            tables.append(_family_table(family, dataset, here, out))
    return tables


def _family_table(family: str, dataset: str, systems: list[SystemReport], out: Path) -> FamilyTable:
    metrics = tuple(dict.fromkeys(name for system in systems for name in system.card.headline))
    values: dict[str, dict[str, dict[str, float]]] = {}
    for system in systems:
        for whole, rows in system.parts().items():
            values.setdefault(whole, {})[system.card.key] = dict(zip(rows["part"], rows["value"], strict=True))
    parts = [
        (whole, list(dict.fromkeys(part for of_system in by_system.values() for part in of_system)), by_system)
        for whole, by_system in values.items()
        if whole in metrics
    ]
    return FamilyTable(
        family=family,
        dataset=dataset,
        synthetic=any(system.synthetic for system in systems),
        metrics=metrics,
        systems=systems,
        judged=_measured_by(systems, metrics, "embedded"),
        doubted=_measured_by(systems, metrics, "not accepted"),
        parts=parts,
        chart=_headline_chart(family, dataset, metrics, systems, out),
    )


def _measured_by(systems: Sequence[SystemReport], metrics: tuple[str, ...], label: str) -> frozenset[str]:
    """The metrics with a judge whose label says so."""
    rows = [row for system in systems for row in system.metrics(metrics).to_dict("records")]
    return frozenset(str(row["metric"]) for row in rows if label in row["judge"])


def _headline_chart(
    family: str, dataset: str, metrics: tuple[str, ...], systems: Sequence[SystemReport], out: Path
) -> Chart | None:
    shown = [(system, system.metrics(metrics[:1])) for system in systems if metrics]
    shown = [(system, rows) for system, rows in shown if len(rows)]
    if not shown:
        return None
    rows = pd.concat([rows for _, rows in shown])
    labels = [system.card.key for system, _ in shown]
    note = " (synthetic)" if shown[0][0].synthetic else ""
    series = figures.Series(metrics[0], list(rows["value"]), list(rows["low"]), list(rows["high"]))
    drawn = figures.draw_intervals(
        labels, series, f"{metrics[0]} on {dataset}{note}, 95 % interval", out / "figures", f"{family}-{dataset}"
    )
    told = ", ".join(f"{label} {value:.3f}" for label, value in zip(labels, rows["value"], strict=True))
    return _chart(drawn, out, f"{metrics[0]} of each system with its interval: {told}")


def _ledger_chart(claims: pd.DataFrame, out: Path) -> Chart:
    """Differences with their intervals, turned so that right of zero is the side that the paper claims."""
    sign = claims["direction"].map({"higher": 1.0, "lower": -1.0})
    ends = pd.concat([claims["low"] * sign, claims["high"] * sign], axis=1)
    labels = [f"{row.system}: {row.claim} ({row.metric})" for row in claims.itertuples(index=False)]
    series = figures.Series(
        "difference", list(claims["difference"] * sign), list(ends.min(axis=1)), list(ends.max(axis=1))
    )
    axis = "difference in the direction that the paper claims (synthetic)"
    drawn = figures.draw_intervals(labels, series, axis, out / "figures", "claims")
    told = ", ".join(f"{label} {verdict}" for label, verdict in zip(labels, claims["verdict"], strict=True))
    return _chart(drawn, out, f"Every claim with its interval: {told}")


def _base_rate_chart(dataset: DatasetReport, out: Path) -> Chart | None:
    rates = dataset.base_rates
    if rates.empty:
        return None
    series = figures.Series("rate", list(rates["rate"]), list(rates["low"]), list(rates["high"]))
    axis = "share of coded frames" + (" (synthetic)" if dataset.synthetic else "")
    drawn = figures.draw_bars(list(rates["au"]), [series], axis, out / "figures", f"rates-{dataset.key}")
    told = ", ".join(f"{au} {rate:.0%}" for au, rate in zip(rates["au"], rates["rate"], strict=True))
    return _chart(drawn, out, f"How often each action unit is present: {told}")


def _crop_sheet(dataset: DatasetReport, out: Path) -> str | None:
    if dataset.crops is None:
        return None
    name = f"media/{dataset.key}/aligned_faces{dataset.crops.suffix}"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(dataset.crops, out / name)
    return name


def _curves(system: SystemReport, out: Path) -> Chart | None:
    """What validation people see comes first, then the losses."""
    if system.history.empty:
        return None
    validated = system.history["split"] == "validation"
    names = list(dict.fromkeys([*system.history["name"][validated], *system.history["name"]]))
    title = f"{system.card.key} on {system.dataset}" + (" (synthetic)" if system.synthetic else "")
    stem = f"curves-{system.card.key}"
    drawn = figures.draw_curves(system.history, names, title, out / "figures", stem)
    return _chart(drawn, out, f"{', '.join(names)} after each epoch, for training and validation people")


def _is_baseline_of(other: SystemReport, system: SystemReport) -> bool:
    return (
        other.card.role == "baseline"
        and other is not system
        and (other.card.family, other.dataset, other.protocol) == (system.card.family, system.dataset, system.protocol)
    )


def _part_charts(system: SystemReport, baselines: Sequence[SystemReport], out: Path) -> list[tuple[str, Chart]]:
    """Bars of each headline metric that has parts, the family's baselines beside the system."""
    charts = []
    for whole, rows in system.parts().items():
        if whole not in system.card.headline:
            continue
        labels = list(rows["part"])
        series = [_series(one, whole, labels) for one in [system, *baselines] if whole in one.parts()]
        axis = whole + (" (synthetic)" if system.synthetic else "")
        stem = f"parts-{system.card.key}-{whole}".replace(" ", "_")
        drawn = figures.draw_bars(labels, series, axis, out / "figures", stem)
        told = ", ".join(f"{part} {value:.2f}" for part, value in zip(rows["part"], rows["value"], strict=True))
        charts.append((whole, _chart(drawn, out, f"{whole} of {system.card.key}: {told}")))
    return charts


def _series(system: SystemReport, whole: str, labels: Sequence[str]) -> figures.Series:
    rows = system.parts()[whole].set_index("part").reindex(list(labels))
    return figures.Series(system.card.key, list(rows["value"]), list(rows["low"]), list(rows["high"]))
