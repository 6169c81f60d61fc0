"""The GPUs of this machine, one stage on each at a time."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

from flows.schedule import stopping

LEASE_S = 60.0
"""A slot whose holder was killed is free again after this time."""


def gpus() -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` may be set to, one entry a device: its own entries, else what nvidia-smi lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (FileNotFoundError, subprocess.SubprocessError):
        return []
    return listed.split()


def slot_name(device: str) -> str:
    """Prefect's concurrency limit of a device of this machine."""
    return f"gpu-{socket.gethostname()}-{device}"


def offer_slots() -> list[str]:
    """Make a concurrency limit of one for each GPU of this machine; returns the devices."""
    from prefect.client.orchestration import get_client

    found = gpus()
    with get_client(sync_client=True) as client:
        for device in found:
            client.upsert_global_concurrency_limit_by_name(slot_name(device), limit=1)
    return found


@contextlib.contextmanager
def device_slot(resources: str, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Wait for a free GPU of this machine and hold it; a machine without one holds nothing up.

    Args:
        resources: of the stage; only ``gpu`` waits.
        say: is told which device it is.

    Yields:
        The variables for the stage's process: ``CUDA_VISIBLE_DEVICES``.

    Raises:
        RuntimeError: the run was ended while this stage waited.
    """
    from prefect.concurrency.sync import concurrency

    devices = offer_slots() if resources == "gpu" else []
    if not devices:
        yield {}
        return
    with contextlib.ExitStack() as stack:
        for device in itertools.cycle(devices):
            if stopping():
                raise RuntimeError("ended while it waited for a GPU")
            # A training outlives a server that is away for longer than the lease.
            slot = concurrency(
                slot_name(device),
                timeout_seconds=1,
                lease_duration=LEASE_S,
                strict=True,
                raise_on_lease_renewal_failure=False,
            )
            with contextlib.suppress(TimeoutError):
                stack.enter_context(slot)
                break
            time.sleep(1)
        say(f"on GPU {device}")
        yield {"CUDA_VISIBLE_DEVICES": device}
