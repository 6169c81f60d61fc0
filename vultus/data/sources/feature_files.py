"""Domains given as files of precomputed features (Office-Caltech10 SURF, Office-31 ResNet-50, digits): no media.

Every row of a file becomes a clip with its domain and class; the features themselves stay in the file, and the clip
says which row they are (`vultus.data.precomputed` reads them). A row with a value that is no number goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.core.errors import UserError
from vultus.data.precomputed import SUFFIXES, FeatureTable, read_feature_file
from vultus.data.sources.rows import ClipRows, quarantined, relative


@dataclass(frozen=True)
class Options:
    """Options of the source ``feature_files``."""

    files: tuple[str, ...] = ()
    """Names below the root; empty = all files of features there. Files of different encoders must not be mixed."""
    licence: str | None = None
    """Licence of the data, noted with every clip."""


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield a clip for each row of each file, files by name.

    Raises:
        UserError: a file cannot be read, two files give one domain, or the files differ in the number of features.
    """
    names = options.files or sorted(path.name for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    tables: dict[str, tuple[Path, FeatureTable]] = {}
    for name in names:
        for domain, table in read_feature_file(root / name).items():
            if domain in tables:
                raise UserError(
                    f"{root}: {tables[domain][0].name} and {name} both give the domain {domain}: name the files that"
                    " belong together in options.files"
                )
            tables[domain] = root / name, table
    _check_sizes(root, tables)
    for domain, (path, table) in tables.items():
        file = relative(path, root)
        finite = np.asarray(np.isfinite(table.feature).all(axis=1))
        for row, label in enumerate(table.label):
            clip_id = f"{domain}/{row:06d}"
            if not finite[row]:
                reason = "holds a feature that is NaN or infinite: correct the row"
                yield ClipRows(quarantine=[quarantined("clips", file, reason, row=row + 1, clip_id=clip_id)])
                continue
            yield ClipRows({
                "clip_id": clip_id, "kind": "feature", "domain": domain, "label": label, "feature_file": file,
                "feature_row": row, "licence": options.licence,
            })  # fmt: skip


def _check_sizes(root: Path, tables: Mapping[str, tuple[Path, FeatureTable]]) -> None:
    sizes = {domain: table.feature.shape[1] for domain, (_, table) in tables.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{domain} has {size}" for domain, size in sizes.items())
        raise UserError(f"{root}: the domains differ in the number of features ({told}): choose files of one encoder")
