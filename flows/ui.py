"""MLflow's and Prefect's pages on this machine, until Ctrl-C.

python -m flows.ui
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

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
    """Start both servers, print where they are, stop both when this process is told to."""
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
        print(f"\nflows on this server: PREFECT_API_URL=http://{HOST}:{PREFECT_PORT}/api python -m flows.reproduce")
        print("Ctrl-C stops both.", flush=True)
        while all(process.poll() is None for process in started):
            time.sleep(0.5)
        print(f"a server has ended by itself: see {logs}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
