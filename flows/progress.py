"""What a stage says, in the log of its run and as bars among its artifacts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

PAUSE_S = 60.0
"""After a server that was away, before bars are tried again: a stage must not wait for them."""

_PROGRESS = re.compile(r"(?P<what>[^:]+): (?P<done>\d+)/(?P<total>[1-9]\d*)$")


def log_with_progress() -> Callable[[str], None]:
    """The log of the present run, a line at a time; lines such as ``computing world/crops: 30/300`` move a bar."""
    log = get_run_logger()
    bars: dict[str, UUID] = {}
    not_before = 0.0

    def say(line: str) -> None:
        nonlocal not_before
        log.info(line)
        found = _PROGRESS.search(line)
        if found is None or time.monotonic() < not_before:
            return
        percent = min(100.0, 100 * int(found["done"]) / int(found["total"]))
        what = found["what"].strip()
        try:
            if what in bars:
                update_progress_artifact(bars[what], percent)
            else:
                made = create_progress_artifact(percent, description=what)
                assert isinstance(made, UUID)
                bars[what] = made
        except httpx.HTTPError:
            not_before = time.monotonic() + PAUSE_S

    return say
