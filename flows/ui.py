"""MLflow's and Prefect's pages and a Prefect worker on this machine, until Ctrl-C.

    python -m flows.ui

The worker runs in this checkout what ``prefect.yaml`` describes: on schedule, or by a button of Prefect's pages.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from flows.devices import gpus
from flows.processes import child

HOST = "127.0.0.1"
MLFLOW_PORT = 5000
PREFECT_PORT = 4200


def mlflow_command(root: Path) -> list[str]:
    """MLflow's server over the repository's database and artifacts."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(MLFLOW_PORT), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}"),
        *("--artifacts-destination", str(root / "mlartifacts")),
    ]


def prefect_command() -> list[str]:
    """Prefect's server over its own database in the home folder."""
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(PREFECT_PORT)]


def worker_command(pool: str) -> list[str]:
    """A worker that takes runs from one work pool."""
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]


def wait_until_up(url: str, timeout_s: float = 180.0) -> bool:
    """Ask ``url`` until it answers."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(url, timeout=5),
        ):
            return True
        time.sleep(0.5)
    return False


def main() -> None:
    """Start servers and workers, print where the pages are, stop all when this process is told to."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    root = Path.cwd()
    logs = root / ".cache" / "vultus"
    logs.mkdir(parents=True, exist_ok=True)
    pages = {
        "MLflow": (mlflow_command(root), f"http://{HOST}:{MLFLOW_PORT}", "/health"),
        "Prefect": (prefect_command(), f"http://{HOST}:{PREFECT_PORT}", "/api/health"),
    }
    with contextlib.ExitStack() as stack:
        started = []
        for name, (command, _, _) in pages.items():
            log = stack.enter_context((logs / f"{name.lower()}.log").open("w"))
            started.append(stack.enter_context(child(command, root, output=log)))
        for name, (_, address, health) in pages.items():
            up = wait_until_up(address + health)
            print(
                f"{name:8} {address}" if up else f"{name:8} does not answer: see {logs / name.lower()}.log", flush=True
            )
        environment = {"PREFECT_API_URL": pages["Prefect"][1] + "/api", "VULTUS_ROOT": str(root)}
        log = stack.enter_context((logs / "worker.log").open("w"))
        with child([sys.executable, "-m", "flows.deploy"], root, output=log, environment=environment) as deploying:
            if deploying.wait():
                print(f"the flows of prefect.yaml are not on the server: see {logs / 'worker.log'}", flush=True)
        for pool in ("cpu", "gpu") if gpus() else ("cpu",):
            started.append(stack.enter_context(child(worker_command(pool), root, log, environment)))
            print(f"{'Worker':8} of the pool {pool}, in {root}", flush=True)
        address = f"PREFECT_API_URL={environment['PREFECT_API_URL']}"
        print(f"\nstart a flow on its page, or: {address} python -m flows.reproduce")
        print("Ctrl-C stops all.", flush=True)
        while all(process.poll() is None for process in started):
            time.sleep(0.5)
        print(f"a server or worker has ended by itself: see {logs}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
