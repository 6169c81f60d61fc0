"""Labelled pictures in one folder a domain: Office-31, Office-Home, and ImageCLEF-DA with its list files.

Three layouts of a domain D are understood, the first that is there:

* ``list/DList.txt`` (ImageCLEF-DA): a line a picture, ``path label``; the path from the root or the domain's folder
* ``D/images/CLASS/*.jpg`` (Office-31)
* ``D/CLASS/*.jpg`` (Office-Home, and copies of ImageCLEF-DA)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vultus.core.errors import UserError
from vultus.data.media import PICTURE_SUFFIXES, MediaError, probe
from vultus.data.sources.rows import ClipRows, quarantined, relative


@dataclass(frozen=True)
class Options:
    """Options of the source ``image_folders``."""

    domains: tuple[str, ...] = ()
    """Folders that are domains; empty = every folder of the root that holds pictures, but ``list``."""
    licence: str | None = None
    """Licence of the pictures, noted with every clip."""


@dataclass(frozen=True)
class _Entry:
    """A picture that the layout names, with the place that names it."""

    path: Path
    label: str
    source: str
    """File and line of a list, or the picture itself."""
    row: int | None


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield a clip for each picture, domain by domain.

    Raises:
        UserError: a domain of the options has no folder and no list.
    """
    domains = options.domains or tuple(sorted(path.name for path in root.iterdir() if _is_domain(path)))
    for domain in domains:
        lists = [path for path in sorted(root.glob("list/*.txt")) if path.stem.lower() == f"{domain}list".lower()]
        if not lists and not (root / domain).is_dir():
            raise UserError(f"{root} has neither a folder {domain} nor list/{domain}List.txt: correct options.domains")
        entries = _listed(root, domain, lists[0]) if lists else _in_folders(root, root / domain)
        seen: set[str] = set()
        for entry in entries:
            if isinstance(entry, ClipRows):
                yield entry
            else:
                yield _read_picture(root, domain, entry, options, seen)


def _is_domain(path: Path) -> bool:
    return (
        path.is_dir()
        and path.name != "list"
        and not path.name.startswith((".", "__MACOSX"))
        and any(picture.suffix.lower() in PICTURE_SUFFIXES for picture in path.rglob("*"))
    )


def _in_folders(root: Path, folder: Path) -> Iterator[_Entry]:
    inner = folder / "images"
    for path in sorted((inner if inner.is_dir() else folder).glob("*/*")):
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith("."):
            yield _Entry(path, path.parent.name, relative(path, root), None)


def _listed(root: Path, domain: str, listing: Path) -> Iterator[_Entry | ClipRows]:
    file = relative(listing, root)
    for number, line in enumerate(listing.read_text(errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        # Published lists begin with the folder in which their author unpacked the set: the last two parts count.
        places = [root / name, root / domain / name, root / domain / Path(name).name]
        path = next((place for place in places if name and place.is_file()), None)
        if path is None:
            shown = line.strip()[:60]
            reason = f"{shown!r} names no picture with a label: restore the picture or correct the line"
            yield ClipRows(quarantine=[quarantined("clips", file, reason, row=number)])
        else:
            yield _Entry(path, label, file, number)


def _read_picture(root: Path, domain: str, entry: _Entry, options: Options, seen: set[str]) -> ClipRows:
    name = re.sub(r"[^A-Za-z0-9_/-]", "_", f"{domain}/{entry.label}/{entry.path.stem}")
    clip_id, number = name, 2
    while clip_id in seen:
        clip_id, number = f"{name}_{number}", number + 1
    seen.add(clip_id)
    try:
        info = probe(entry.path)
    except MediaError as error:
        reason = f"{error.reason}: {error.cure}"
        file = relative(error.path, root)
        return ClipRows(quarantine=[quarantined("clips", file, reason, row=entry.row, clip_id=clip_id)])
    return ClipRows({
        "clip_id": clip_id, "kind": "picture", "domain": domain, "label": entry.label,
        "video": relative(entry.path, root), "n_frames": 1, "width_px": info.width, "height_px": info.height,
        "licence": options.licence,
    })  # fmt: skip
