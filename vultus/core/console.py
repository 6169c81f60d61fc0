"""What a stage says on the terminal: a progress bar, one closing line, one-sentence errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from vultus.core.errors import UserError

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items behind a progress bar; in a log file a line every tenth of the way instead."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description, total=total, console=Console(stderr=True))
        return
    step = max(1, (total or 100) // 10)
    for done, item in enumerate(items, start=1):
        yield item
        if done % step == 0:
            print(f"{description}: {done}/{total or '?'}", file=sys.stderr, flush=True)


def wrote(path: Path | str, what: str) -> None:
    """One line a stage: what it wrote and where."""
    print(f"{path}: {what}", flush=True)


def stage_arguments(description: str | None, *keys: str) -> argparse.Namespace:
    """The command line of a stage: ``--KEY`` for each of ``keys``, and ``--params``, the path of the params file."""
    parser = argparse.ArgumentParser(description=description)
    for key in keys:
        parser.add_argument(f"--{key}", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser.parse_args()


def run_stage(main: Callable[[], None]) -> None:
    """Call a stage; a `UserError` becomes its sentence and exit code 1."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
