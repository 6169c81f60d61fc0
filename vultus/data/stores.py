"""Feature stores: a few large memory-mapped arrays beside the rows that they belong to, built clip by clip.

`build_store` computes each clip once, in parallel processes of one thread, keeps the result by content hash under
``.cache/vultus/``, and streams all results into one folder (``docs/architecture.md`` 5). Adding a clip costs one clip;
memory holds the table of clips and one clip a process. A clip that fails is listed in ``failed.parquet``; the others go
on.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
import sqlite3
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.core.folders import partial_folder, replace_folder
from vultus.core.processes import one_thread_a_process
from vultus.data.parquet import read_frame

CACHE_ROOT = Path(".cache/vultus")
"""Per-clip results and file hashes; deleting it loses time only."""

Clip = Mapping[str, Any]
"""One row of the clips table, with ``clip_id``."""

_ROWS_PER_GROUP = 65_536


@dataclass(frozen=True)
class ClipArrays:
    """What a stage computes from one clip.

    Attributes:
        rows: one row an item (frame, feature frame), N in all; ``clip_id`` is added by the store.
        arrays: name -> array whose first axis is N; same dtype and trailing shape for every clip.
        tables: name -> further rows of the clip that are not 1:1 with the items; ``clip_id`` is added.
    """

    rows: pd.DataFrame
    arrays: Mapping[str, npt.NDArray[Any]]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


class Store:
    """A feature store on disk. Arrays are opened memory-mapped at first use; pickling carries the path alone.

    Attributes:
        folder: where the store lies.
        meta: what was done: sizes, units, rates, and ``arrays`` with dtype and shape.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.meta: dict[str, Any] = json.loads((self.folder / "meta.json").read_text())
        except FileNotFoundError:
            raise UserError(f"{self.folder} holds no feature store: run the stage that writes it (dvc repro)") from None
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return type(self), (self.folder,)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The array ``name``, read-only and memory-mapped."""
        if name not in self.meta["arrays"]:
            raise KeyError(f"{self.folder} has no array {name!r}; arrays: {', '.join(self.meta['arrays'])}")
        if name not in self._arrays:
            path = self.folder / f"{name}.npy"
            # An empty file cannot be mapped.
            self._arrays[name] = np.load(path, mmap_mode="r" if len(self) else None, allow_pickle=False)
        return self._arrays[name]

    def __len__(self) -> int:
        return int(self.meta["n_rows"])

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row a stored item, in the order of the arrays."""
        return read_frame(self.folder / "rows.parquet")

    @cached_property
    def clips(self) -> pd.DataFrame:
        """clip_id, start, stop (rows of the clip), content_hash."""
        return read_frame(self.folder / "clips.parquet")

    @cached_property
    def failed(self) -> pd.DataFrame:
        """clip_id and reason of the clips that could not be computed."""
        return read_frame(self.folder / "failed.parquet")

    def table(self, name: str) -> pd.DataFrame:
        """A further table of the store, such as ``video_frames``."""
        return read_frame(self.folder / f"{name}.parquet")

    def clip(self, clip_id: str) -> slice:
        """The rows of a clip.

        Raises:
            KeyError: the store has no such clip.
        """
        start, stop = self._spans[clip_id]
        return slice(start, stop)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        return {c: (int(a), int(b)) for c, a, b in self.clips[["clip_id", "start", "stop"]].itertuples(index=False)}


def open_store(folder: Path | str) -> Store:
    """Open a feature store.

    Raises:
        UserError: there is none; names the stage to run.
    """
    return Store(folder)


def build_store(
    folder: Path | str,
    clips: Sequence[Clip],
    compute: Callable[[Clip], ClipArrays],
    key: Callable[[Clip], str],
    *,
    meta: Mapping[str, Any] | None = None,
    code: Sequence[ModuleType] = (),
    cache: Path | None = None,
    jobs: int | None = None,
) -> Store:
    """Compute each clip that is not in the cache and pack all of them into ``folder``.

    Args:
        folder: the store, replaced as a whole; for example ``data/features/world/crops``.
        clips: rows of the clips table, in the order that the store keeps.
        compute: picklable (a module's function, a `functools.partial` of one, or an instance of a module's class);
            called in a process with one thread. Errors of a clip are listed, not raised.
        key: content hash of all that the clip's result depends on: media, labels, settings (`file_hash`, `table_hash`,
            `content_hash`). The source text of the module that holds ``compute``, and of ``code``, is added.
        meta: written into ``meta.json``: settings, units, rates.
        code: further modules whose source the result depends on.
        cache: folder of per-clip results; default ``.cache/vultus/<parent>/<name>`` of ``folder``.
        jobs: processes; default one a core; 1 computes in this process.

    Returns:
        The finished store.

    Raises:
        UserError: no clips, or every clip failed; gives the first reason.
        ValueError: clips disagree in their arrays.
    """
    folder = Path(folder)
    if not clips:
        raise UserError(f"{folder}: there is no clip to compute; look at the quarantine table of the data set")
    cache = cache or CACHE_ROOT / folder.parent.name / folder.name
    cache.mkdir(parents=True, exist_ok=True)
    code_hash = _source_hash([_module_of(compute), *code])
    entries = [cache / f"{content_hash(key(clip), code_hash)}.zip" for clip in clips]
    todo = [(clip, entry) for clip, entry in zip(clips, entries, strict=True) if not entry.exists()]
    failed = _compute_all(todo, compute, jobs or os.cpu_count() or 1, f"{folder.parent.name}/{folder.name}")
    done = [(str(clip["clip_id"]), entry) for clip, entry in zip(clips, entries, strict=True) if entry.exists()]
    if not done:
        raise UserError(f"{folder}: all {len(clips)} clips failed; the first, {clips[0]['clip_id']}: {failed[0][1]}")
    _pack(folder, done, failed, dict(meta or {}))
    return open_store(folder)


def content_hash(*parts: Any) -> str:
    """24 hex digits over JSON-able values (and dataclasses' ``asdict``), in a canonical order."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def table_hash(table: pa.Table) -> str:
    """24 hex digits over the columns and values of a table: the labels' part of a clip's key."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata(None).combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:24]


def file_hash(path: Path | str) -> str:
    """24 hex digits over the bytes of a file, or over names and bytes of the files of a folder.

    The digest is remembered by path, size and modification time, so that a large data set is read once. A missing file
    has the hash ``missing``: the computation that needs it reports it.
    """
    path = Path(path)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    try:
        stats = [(p.name, (s := p.stat()).st_size, s.st_mtime_ns) for p in files]
    except FileNotFoundError:
        return "missing"
    stamp = content_hash(str(path.resolve()), stats)
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(CACHE_ROOT / "file_hashes.sqlite", timeout=60)) as memo, memo:
        memo.execute("create table if not exists hashes (stamp text primary key, digest text)")
        found = memo.execute("select digest from hashes where stamp = ?", (stamp,)).fetchone()
        if found is not None:
            return str(found[0])
        digest = hashlib.sha256()
        for p in files:
            digest.update(p.name.encode() + b"\0" if path.is_dir() else b"")
            with p.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        memo.execute("insert or replace into hashes values (?, ?)", (stamp, digest.hexdigest()[:24]))
    return digest.hexdigest()[:24]


# --- computing ------------------------------------------------------------------------------------------------------


def _compute_all(
    todo: list[tuple[Clip, Path]], compute: Callable[[Clip], ClipArrays], jobs: int, name: str
) -> list[tuple[str, str]]:
    """Compute and cache each clip; returns (clip_id, reason) of those that failed, in their order."""
    if not todo:
        return []
    jobs = min(jobs, len(todo))
    outcomes = (_serial if jobs == 1 else partial(_parallel, jobs=jobs))(todo, compute)
    reasons: dict[str, str] = {}
    for clip_id, reason in track(outcomes, f"computing {name}", total=len(todo)):
        if reason is not None:
            reasons[clip_id] = reason
            print(f"{clip_id}: left out of {name}: {reason}", file=sys.stderr, flush=True)
    return [
        (str(clip["clip_id"]), reasons[str(clip["clip_id"])]) for clip, _ in todo if str(clip["clip_id"]) in reasons
    ]


def _serial(
    todo: Iterable[tuple[Clip, Path]], compute: Callable[[Clip], ClipArrays]
) -> Iterator[tuple[str, str | None]]:
    for clip, entry in todo:
        yield str(clip["clip_id"]), _compute_one(compute, clip, entry)


def _parallel(
    todo: list[tuple[Clip, Path]], compute: Callable[[Clip], ClipArrays], jobs: int
) -> Iterator[tuple[str, str | None]]:
    """Compute in ``jobs`` processes; clips caught by the death of a process are tried again in one process each."""
    with one_thread_a_process():
        suspects: list[tuple[Clip, Path]] = []
        with ProcessPoolExecutor(jobs, get_context("spawn"), _limit_threads) as pool:
            futures: dict[Future[str | None], tuple[Clip, Path]] = {
                pool.submit(_compute_one, compute, clip, entry): (clip, entry) for clip, entry in todo
            }
            for future in as_completed(futures):
                clip, entry = futures.pop(future)
                try:
                    yield str(clip["clip_id"]), future.result()
                except BrokenProcessPool:
                    suspects.append((clip, entry))
        for clip, entry in suspects:
            with ProcessPoolExecutor(1, get_context("spawn"), _limit_threads) as pool:
                try:
                    yield str(clip["clip_id"]), pool.submit(_compute_one, compute, clip, entry).result()
                except BrokenProcessPool:
                    yield (
                        str(clip["clip_id"]),
                        "the process that computed it died (out of memory, or a decoder crashed)",
                    )


def _compute_one(compute: Callable[[Clip], ClipArrays], clip: Clip, entry: Path) -> str | None:
    """Compute a clip into its cache entry; returns the reason if it failed."""
    try:
        result = compute(clip)
        _write_entry(entry, result)
    except UserError as error:
        return str(error)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        installed = (sys.prefix, sys.base_prefix)
        where = next((f for f in reversed(frames) if not f.filename.startswith(installed)), frames[-1])
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
    return None


def _limit_threads() -> None:
    import cv2

    cv2.setNumThreads(1)


def _module_of(compute: Callable[..., Any]) -> ModuleType | None:
    while isinstance(compute, partial):
        compute = compute.func
    return inspect.getmodule(compute if inspect.isroutine(compute) else type(compute))


def _source_hash(modules: Iterable[ModuleType | None]) -> str:
    files = sorted({str(m.__file__) for m in modules if m is not None and getattr(m, "__file__", None)})
    return content_hash([hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files])


# --- one cache entry: a zip of .npy and .parquet members, stored uncompressed ---------------------------------------


def _write_entry(entry: Path, result: ClipArrays) -> None:
    n_rows = len(result.rows)
    for name, array in result.arrays.items():
        if len(array) != n_rows:
            raise ValueError(f"array {name!r} has {len(array)} rows, the table of rows {n_rows}")
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects")
    with tempfile.NamedTemporaryFile(dir=entry.parent, prefix=".", suffix=".partial", delete=False) as file:
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, rows in {"rows": result.rows, **result.tables}.items():
                    with archive.open(f"{name}.parquet", "w", force_zip64=True) as member:
                        pq.write_table(_as_arrow(rows), member)
                for name, array in result.arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            file.close()
            os.replace(file.name, entry)
        except BaseException:
            os.unlink(file.name)
            raise


def _as_arrow(rows: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    if not table.num_rows:  # pandas gives an empty column any type; null agrees with every other clip
        return pa.table({name: pa.nulls(0) for name in table.column_names})
    return table


@dataclass(frozen=True)
class _Header:
    """What packing must know of an entry before it reads the arrays."""

    n_rows: int
    arrays: dict[str, tuple[Any, tuple[int, ...]]]
    schemas: dict[str, pa.Schema]


def _read_header(entry: Path) -> _Header:
    arrays, schemas, n_rows = {}, {}, 0
    with zipfile.ZipFile(entry) as archive:
        for member in archive.namelist():
            name, suffix = member.rsplit(".", 1)
            if suffix == "npy":
                with archive.open(member) as file:
                    np.lib.format.read_magic(file)
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                arrays[name] = (np.lib.format.dtype_to_descr(dtype), shape[1:])
            else:
                parquet = pq.ParquetFile(pa.BufferReader(archive.read(member)))
                schemas[name] = parquet.schema_arrow
                n_rows = parquet.metadata.num_rows if name == "rows" else n_rows
    return _Header(n_rows, arrays, schemas)


# --- packing --------------------------------------------------------------------------------------------------------


def _pack(folder: Path, done: list[tuple[str, Path]], failed: list[tuple[str, str]], meta: dict[str, Any]) -> None:
    """Stream the entries into one folder, one array of one clip in memory at a time."""
    first = _read_header(done[0][1])
    schemas = first.schemas
    stops: list[int] = []
    n_rows = 0
    for clip_id, entry in done:
        header = _read_header(entry)
        if header.arrays != first.arrays:
            raise ValueError(f"{folder}: clip {clip_id} has arrays {header.arrays}, the first clip {first.arrays}")
        if header.schemas.keys() != schemas.keys():
            raise ValueError(f"{folder}: clip {clip_id} has tables {[*header.schemas]}, the first clip {[*schemas]}")
        # A column that is empty in one clip has no type there.
        schemas = {
            name: pa.unify_schemas([schemas[name], header.schemas[name]], promote_options="permissive")
            for name in schemas
        }
        n_rows += header.n_rows
        stops.append(n_rows)
    partial_dir = partial_folder(folder)
    for name, (descr, shape) in first.arrays.items():
        _pack_array(partial_dir / f"{name}.npy", name, [entry for _, entry in done], descr, (n_rows, *shape))
    for name, schema in schemas.items():
        _pack_table(partial_dir / f"{name}.parquet", name, done, schema)
    starts = [0, *stops[:-1]]
    pq.write_table(
        pa.table(
            {
                "clip_id": [clip_id for clip_id, _ in done],
                "start": pa.array(starts, pa.int64()),
                "stop": pa.array(stops, pa.int64()),
                "content_hash": [entry.stem for _, entry in done],
            }
        ),
        partial_dir / "clips.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "clip_id": pa.array([clip_id for clip_id, _ in failed], pa.string()),
                "reason": pa.array([reason for _, reason in failed], pa.string()),
            }
        ),
        partial_dir / "failed.parquet",
    )
    meta |= {
        "n_rows": n_rows,
        "n_clips": len(done),
        "n_failed": len(failed),
        "arrays": {name: {"dtype": descr, "shape": [n_rows, *shape]} for name, (descr, shape) in first.arrays.items()},
    }
    (partial_dir / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")
    replace_folder(partial_dir, folder)


def _pack_array(path: Path, name: str, entries: list[Path], descr: str, shape: tuple[int, ...]) -> None:
    """Append the clips' arrays behind one header; written through the file, as mapped pages would count as memory."""
    with path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
        for entry in entries:
            with zipfile.ZipFile(entry) as archive, archive.open(f"{name}.npy") as member:
                np.lib.format.read_array(member, allow_pickle=False).tofile(out)


def _pack_table(path: Path, name: str, done: list[tuple[str, Path]], schema: pa.Schema) -> None:
    schema = schema.remove(schema.get_field_index("clip_id")) if "clip_id" in schema.names else schema
    schema = schema.insert(0, pa.field("clip_id", pa.string()))
    buffer: list[pa.Table] = []
    with pq.ParquetWriter(path, schema) as writer:
        for clip_id, entry in done:
            with zipfile.ZipFile(entry) as archive:
                table = pq.read_table(pa.BufferReader(archive.read(f"{name}.parquet")))
            if "clip_id" in table.column_names:
                table = table.drop_columns("clip_id")
            table = table.add_column(0, "clip_id", pa.array([clip_id] * table.num_rows, pa.string()))
            buffer.append(table.select(schema.names).cast(schema))
            if sum(t.num_rows for t in buffer) >= _ROWS_PER_GROUP:
                writer.write_table(pa.concat_tables(buffer))
                buffer.clear()
        if buffer:
            writer.write_table(pa.concat_tables(buffer))
