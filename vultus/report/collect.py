"""What the report shows, read back from the files of the stages; one that is not there leaves a gap, no error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from vultus.core import registry
from vultus.core.registry import Card
from vultus.core.results import SYNTHETIC_SOURCE, read_rows
from vultus.data.tables import ACTION_UNITS, occurrence_column

PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".gif")
FILMS = (".mp4", ".webm")


@dataclass(frozen=True)
class Medium:
    """A picture or film with what a reader is told about it; a film has a picture to show before it plays."""

    path: Path
    caption: str
    poster: Path | None = None

    @property
    def is_film(self) -> bool:
        """Whether it plays."""
        return self.path.suffix.lower() in FILMS


@dataclass(frozen=True)
class Check:
    """One expectation of the validation: what it demands, how many values it saw, how many did not hold."""

    table: str
    columns: str
    demand: str
    checked: int
    failed: int

    @property
    def passed(self) -> bool:
        """Whether all values held."""
        return not self.failed


@dataclass(frozen=True)
class DatasetReport:
    """A data set after ingest, validation and feature stages.

    ``statistics`` are (name, value) pairs; ``base_rates`` has the columns au, rate, low, high (over subjects,
    fractions); ``failed`` lists clips that a feature stage could not compute; ``crops`` is a sheet of aligned faces;
    ``aligned_by`` counts the aligned faces by the method that found their landmarks; ``detector`` are the metrics of
    the landmark detector that was trained on this data set, empty for all but the embedded world.
    """

    key: str
    source: str
    root: str
    statistics: list[tuple[str, str]]
    base_rates: pd.DataFrame
    checks: list[Check]
    quarantine: pd.DataFrame
    failed: pd.DataFrame
    media: list[Medium]
    crops: Path | None
    aligned_by: dict[str, int]
    detector: dict[str, Any]

    @property
    def synthetic(self) -> bool:
        """Whether the people are made, not filmed."""
        return self.source == SYNTHETIC_SOURCE


@dataclass(frozen=True)
class SystemReport:
    """A system or baseline with its numbers.

    ``rows`` are those of ``results.csv``, ``history`` those of ``history.parquet``; ``config`` is what it was trained
    with.
    """

    card: Card
    dataset: str
    features: str
    protocol: str
    synthetic: bool
    rows: pd.DataFrame
    history: pd.DataFrame
    training: dict[str, Any]
    config: dict[str, Any]
    media: list[Medium] = field(default_factory=list)

    @property
    def evaluated(self) -> bool:
        """Whether there are numbers."""
        return not self.rows.empty

    @property
    def headline(self) -> pd.DataFrame:
        """The rows of the card's headline metrics, in the card's order."""
        return self.metrics(self.card.headline)

    def metrics(self, names: tuple[str, ...]) -> pd.DataFrame:
        """The rows of the named metrics, in that order, without those that are missing."""
        rows = self.rows.set_index("metric", drop=False)
        return rows.loc[[name for name in names if name in rows.index]]

    def parts(self) -> dict[str, pd.DataFrame]:
        """``{"F1": rows of F1/AU01, F1/AU02, ...}`` with a column ``part``; the parts of controls are left out."""
        split = self.rows["metric"].str.extract(r"^(?P<whole>[^@/]+)/(?P<part>[^@]+)$")
        rows = self.rows.join(split).dropna(subset=["part"])
        return {str(whole): group for whole, group in rows.groupby("whole", sort=False)}

    def controls(self) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """Rows such as ``SyncC@truth`` as metrics and ``{control: {metric: row}}``, the system itself first."""
        split = self.rows["metric"].str.extract(r"^(?P<metric>[^@/]+)@(?P<control>[^/]+)$")
        rows = self.rows.drop(columns="metric").join(split).dropna(subset=["control"])
        metrics = list(dict.fromkeys(rows["metric"]))
        table: dict[str, dict[str, Any]] = {}
        if metrics:
            own = self.metrics(tuple(metrics)).to_dict("records")
            table[self.card.key] = {row["metric"]: row for row in own}
        for row in rows.to_dict("records"):
            table.setdefault(str(row["control"]), {})[row["metric"]] = row
        return metrics, table

    @property
    def seconds(self) -> float:
        """Training time over all folds and phases; NaN when unknown."""
        if self.history.empty:
            return float("nan")
        return float(self.history.groupby(["fold", "phase"])["seconds"].max().sum())

    def changed(self) -> list[tuple[str, str, str]]:
        """(name, value, paper's value) of configuration and training.

        The paper's are those of its main experiment: the defaults of the Config and the card's training settings.
        """
        paper, training = vars(self.card.config()), vars(self.card.train)
        rows = [(name, _plain(value), _plain(paper.get(name))) for name, value in self.config.items()]
        trained = self.training.get("train", {})
        return rows + [(f"train.{name}", _plain(value), _plain(training.get(name))) for name, value in trained.items()]

    def differences(self) -> list[tuple[str, str, str]]:
        """The rows of `changed` whose values differ from the paper's, without those that change no number."""
        silent = ("train.device", "train.checkpoint_every", "train.channels_last")
        return [row for row in self.changed() if row[1] != row[2] and row[0] not in silent]


@dataclass(frozen=True)
class JudgeReport:
    """A judge and its acceptance test: (name, value, bound, whether it passed) of each part."""

    name: str
    label: str
    accepted: bool
    tests: list[tuple[str, float, str, bool]]


def read_judges(root: Path) -> list[JudgeReport]:
    """The judges that were trained, by name."""
    found = {path.parent.name: _json(path) for path in sorted((root / "models" / "judges").glob("*/acceptance.json"))}
    return [
        JudgeReport(
            name=name,
            label=f"{name} {said['origin']} {said['hash'][:8]}",
            accepted=bool(said["accepted"]),
            tests=[
                (
                    str(test["name"]),
                    float("nan") if test["value"] is None else float(test["value"]),
                    f"{test['direction']} {test['bound']:g}",
                    bool(test["passed"]),
                )
                for test in said["tests"]
            ],
        )
        for name, said in found.items()
    ]


def read_claims(root: Path) -> pd.DataFrame:
    """The ledger that was published last, with each claim's sentence; empty where none was."""
    path = root / "reports" / "claims.csv"
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path, dtype={"paper_claim": str}, keep_default_na=False)
    sentences = {
        f"{key}/{claim.name}": claim.sentence for key in table["system"].unique() for claim in registry.get(key).claims
    }
    table["sentence"] = (table["system"] + "/" + table["claim"]).map(sentences).fillna("")
    return table.astype({"difference": float, "low": float, "high": float})


def read_dataset(root: Path, key: str, section: Mapping[str, Any] | None = None) -> DatasetReport:
    """Read everything about one data set.

    Args:
        root: repository root.
        key: key in ``datasets``.
        section: its section; read from ``params.yaml`` when absent.
    """
    if section is None:
        section = yaml.safe_load((root / "params.yaml").read_text())["datasets"][key]
    valid = root / "data" / "tables" / key / "valid"
    clips = _table(valid / "clips.parquet")
    features = root / "data" / "features" / key
    sheet = features / "crops" / "sheet.png"
    source = str(section.get("source", key))
    embedded = source == "world"
    return DatasetReport(
        key=key,
        source=source,
        root=str(section.get("root", "")),
        statistics=_statistics(valid, clips, features),
        base_rates=_base_rates(valid / "frames.parquet", clips),
        checks=read_checks(valid / "validation.json"),
        quarantine=_table(valid / "quarantine.parquet"),
        failed=_failed(features),
        media=read_media(root / str(section.get("root", "")) / "sheets") if embedded else [],
        crops=sheet if sheet.is_file() else None,
        aligned_by=_methods(features / "crops" / "rows.parquet"),
        detector=_json(root / "models" / "landmark_detector" / "metrics.json") if embedded else {},
    )


def read_system(root: Path, key: str, section: Mapping[str, Any], synthetic: bool) -> SystemReport:
    """Read everything about one system; imports its file for the card."""
    results, models = root / "reports" / "systems" / key, root / "models" / key
    configs = sorted(models.glob("fold_*/config.yaml"))
    return SystemReport(
        card=registry.get(key),
        dataset=str(section["dataset"]),
        features=str(section["features"]),
        protocol=str(section["protocol"]),
        synthetic=synthetic,
        rows=read_rows(results / "results.csv") if (results / "results.csv").is_file() else _no_rows(),
        history=_table(models / "history.parquet"),
        training=_json(models / "training.json"),
        config=yaml.safe_load(configs[0].read_text()) if configs else {},
        media=read_media(results / "pictures"),
    )


def read_media(folder: Path) -> list[Medium]:
    """Pictures and films of a folder, in the order of its ``captions.json``, then those without a caption by name."""
    captions = _json(folder / "captions.json")
    files = {path.name: path for path in sorted(folder.glob("*")) if path.suffix.lower() in PICTURES + FILMS}
    order = [name for name in captions if name in files] + [name for name in files if name not in captions]
    return [Medium(files[name], captions.get(name) or _spoken(Path(name).stem)) for name in order]


def read_checks(path: Path) -> list[Check]:
    """The expectations in a ``validation.json``, those that failed first."""
    checks = [
        Check(
            table=table,
            columns=", ".join(entry["columns"]),
            demand=str(entry["demand"]),
            checked=int(entry["checked"]),
            failed=int(entry["failed"]),
        )
        for table, outcome in _json(path).get("tables", {}).items()
        for entry in outcome["expectations"]
    ]
    return sorted(checks, key=lambda check: check.passed)


def _statistics(valid: Path, clips: pd.DataFrame, features: Path) -> list[tuple[str, str]]:
    if clips.empty:
        return [("clips", "none: run `make repro`")]
    people = clips["subject"].nunique()
    lines = [("clips", f"{len(clips):,}"), ("people", f"{people:,}" if people else "not given")]
    for column, plural in (("group", "people in group"), ("kind", "clips of kind"), ("domain", "clips in domain")):
        counted = clips.dropna(subset=[column])
        if plural.startswith("people"):
            counted = counted.drop_duplicates("subject")
        for value, count in counted[column].value_counts(sort=False).items():
            lines.append((f"{plural} {value}", f"{count:,}"))
    frames = valid / "frames.parquet"
    if frames.is_file():
        lines.append(("annotated frames", f"{pq.read_metadata(frames).num_rows:,}"))
    units = _table(valid / "units.parquet")
    if not units.empty:
        for tier, count in units["tier"].value_counts().items():
            lines.append((f"{tier}s with times", f"{count:,}"))
    seconds = float(clips["duration_s"].sum())
    if seconds:
        lines.append(("length", f"{seconds / 60:.1f} min" if seconds > 60 else f"{seconds:.1f} s"))
    sizes = clips.dropna(subset=["width_px"])[["width_px", "height_px"]].drop_duplicates()
    if len(sizes):
        lines.append(("frame size", ", ".join(f"{w:.0f} x {h:.0f} px" for w, h in sizes.itertuples(index=False))))
    for name in sorted(path.parent.name for path in features.glob("*/meta.json")):
        rows = int(_json(features / name / "meta.json").get("n_rows", 0))
        if rows:
            lines.append((f"rows in {name}", f"{rows:,}"))
    methods = _methods(features / "landmarks" / "rows.parquet")
    if methods:
        lines.append(("landmarks by", ", ".join(f"{method} {count:,}" for method, count in methods.items())))
    return lines


def _methods(path: Path) -> dict[str, int]:
    """How many rows of a store each landmark method gave, the most frequent first."""
    if not path.is_file() or "method" not in pq.read_schema(path).names:
        return {}
    counts = pd.read_parquet(path, columns=["method"])["method"].value_counts()
    return {str(method): int(count) for method, count in counts.items()}


def _base_rates(path: Path, clips: pd.DataFrame) -> pd.DataFrame:
    """How often each coded action unit is present, with the smallest and largest rate of a person."""
    columns = ["au", "rate", "low", "high"]
    if not path.is_file() or clips.empty:
        return pd.DataFrame(columns=columns)
    names = [occurrence_column(au) for au in ACTION_UNITS]
    known = set(pq.read_schema(path).names)
    frames = pd.read_parquet(path, columns=["clip_id", *(name for name in names if name in known)])
    frames = frames.merge(clips[["clip_id", "subject"]], on="clip_id")
    rows = []
    for au, name in zip(ACTION_UNITS, names, strict=True):
        coded = frames.dropna(subset=[name]) if name in frames else frames.iloc[:0]
        if len(coded):
            people = coded.groupby("subject")[name].mean().astype(float)
            rows.append((f"AU{au}", float(coded[name].mean()), float(people.min()), float(people.max())))
    return pd.DataFrame(rows, columns=columns)


def _failed(features: Path) -> pd.DataFrame:
    tables = [_table(path).assign(stage=path.parent.name) for path in sorted(features.glob("*/failed.parquet"))]
    tables = [table for table in tables if not table.empty]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["stage", "clip_id", "reason"])


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=["metric", "value", "low", "high", "n", "judge", "split_hash", "paper_value"])


def _table(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _spoken(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "" if value is None else str(value)
