"""Adapters: one module a data set, from its original layout on disk to rows of the four tables.

An adapter is a module of this package with a dataclass ``Options`` and

    def read(root: Path, options: Options) -> Iterator[ClipRows]

which yields clip by clip, holds one clip in memory, and puts what it cannot read into quarantine with file, row and
reason (`rows.ClipRows`). It parses; ranges, doubles, references and decoding are checked by ``vultus.data.validation``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vultus.core.config import section
from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.data.parquet import TableWriter

SOURCES = tuple(
    sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "rows"))
)
"""The adapters, which are the modules of this package but for `rows`."""


@dataclass(frozen=True)
class ValidationConfig:
    """When a data set is too broken to go on with."""

    max_quarantined: float = 0.05
    """Share of the clips, 0..1; a clip that lost some of its frames counts as that part of a clip."""


@dataclass(frozen=True)
class DatasetConfig:
    """Section ``datasets.D`` of params.yaml."""

    source: str
    """One of `SOURCES`."""
    root: str
    """Folder of the data set as its owners distribute it."""
    options: dict[str, Any] = field(default_factory=dict)
    """The adapter's ``Options``."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """Read by the stage validate."""


def ingest(config: DatasetConfig, dataset: str, folder: Path) -> dict[str, int]:
    """Read a data set through its adapter into the four tables.

    Args:
        config: section ``datasets.<dataset>``.
        dataset: key of the data set, which becomes the column ``dataset``.
        folder: where the tables go, as a whole, at the end.

    Returns:
        Rows written by table.

    Raises:
        UserError: unknown source or option, the root is missing, or not one clip was found.
    """
    if config.source not in SOURCES:
        raise UserError(
            f"params.yaml: datasets.{dataset}.source is {config.source!r}; known sources: {', '.join(SOURCES)}"
        )
    root = Path(config.root)
    if not root.is_dir():
        raise UserError(
            f"datasets.{dataset}.root is {config.root!r}, which is no folder: place the data there as data/README.md "
            "says, or correct the path in params.yaml"
        )
    adapter = importlib.import_module(f"vultus.data.sources.{config.source}")
    options = section(adapter.Options, config.options, f"datasets.{dataset}.options")
    with TableWriter(folder) as writer:
        for rows in track(adapter.read(root, options), f"reading {dataset}"):
            if rows.clip is not None:
                writer.add("clips", [{**rows.clip, "dataset": dataset}])
                if rows.frames is not None:
                    writer.add("frames", rows.frames)
                writer.add("units", rows.units)
            writer.add("quarantine", rows.quarantine)
        if not writer.counts["clips"] and not writer.counts["quarantine"]:
            raise UserError(
                f"datasets.{dataset}: {config.root} holds nothing that source {config.source!r} reads; "
                "data/README.md shows the layout"
            )
    return writer.counts
