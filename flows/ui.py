"""MLflow, Prefect and a worker on this machine, until Ctrl-C.

    python -m flows.ui [--mlflow-port 5000] [--prefect-port 4200]

Two servers on loopback with SQLite; then, when they answer, the deployments of ``prefect.yaml``, a worker that runs
what is scheduled or started on Prefect's pages, and `vultus follow`, which shows trainings in MLflow while they run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.devices import gpus
from flows.processes import child

HOST = "127.0.0.1"
MLFLOW_PORT = 5000
PREFECT_PORT = 4200


@dataclass(frozen=True)
class Service:
    """A process that runs until the end; ``health`` is the page that answers when a server is up."""

    name: str
    command: list[str]
    address: str = ""
    health: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def mlflow_server(root: Path, port: int) -> Service:
    """MLflow's server over the repository's database and artifacts."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}"),
        *("--artifacts-destination", str(root / "mlartifacts")),
    ]
    return Service("MLflow", command, f"http://{HOST}:{port}", "/health")


def prefect_server(port: int) -> Service:
    """Prefect's server over its own database in the home folder (``PREFECT_HOME``)."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    address = f"http://{HOST}:{port}"
    return Service("Prefect", command, address, "/api/health", {"PREFECT_UI_API_URL": f"{address}/api"})


def helpers(root: Path, api: Mapping[str, str]) -> list[Service]:
    """The processes that work for the servers: a worker for each pool that this machine can serve, and the follower."""
    pools = ["cpu", "gpu"] if gpus() else ["cpu"]
    environment = {**api, "VULTUS_ROOT": str(root)}
    start = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    workers = [
        Service(
            f"worker-{pool}",
            [*start, "--pool", pool, "--name", f"{socket.gethostname()}-{pool}"],
            environment=environment,
        )
        for pool in pools
    ]
    return [*workers, Service("follower", ["vultus", "follow"])]


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


def is_taken(port: int) -> bool:
    """Whether another process listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def main() -> None:
    """Start everything, print where it is, stop it all when this process is told to."""
    parser = argparse.ArgumentParser(description="MLflow, Prefect and a worker on this machine, until Ctrl-C.")
    parser.add_argument("--mlflow-port", type=int, default=MLFLOW_PORT)
    parser.add_argument("--prefect-port", type=int, default=PREFECT_PORT)
    arguments = parser.parse_args()
    for port, option in ((arguments.mlflow_port, "--mlflow-port"), (arguments.prefect_port, "--prefect-port")):
        if is_taken(port):
            raise SystemExit(
                f"port {port} is in use, by another `make ui` perhaps: stop that, or choose another {option}"
            )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    root = Path.cwd()
    logs = root / ".cache" / "vultus" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    servers = [mlflow_server(root, arguments.mlflow_port), prefect_server(arguments.prefect_port)]
    api = {"PREFECT_API_URL": f"{servers[1].address}/api"}
    with contextlib.ExitStack() as stack:
        running: dict[str, subprocess.Popen[str]] = {}

        def start(service: Service) -> None:
            log = stack.enter_context((logs / f"{service.name.lower()}.log").open("w"))
            process = child(service.command, root, output=log, environment=service.environment)
            running[service.name] = stack.enter_context(process)

        for service in servers:
            start(service)
        for service in servers:
            up = wait_until_up(service.address + service.health)
            where = service.address if up else f"does not answer: see {logs / service.name.lower()}.log"
            print(f"{service.name:9} {where}", flush=True)
        log = stack.enter_context((logs / "deploy.log").open("w"))
        with child([sys.executable, "-m", "flows.deploy"], root, log, api) as deploying:
            deployed = deploying.wait() == 0
        for service in helpers(root, api):
            start(service)
        takes = (
            "takes runs of prefect.yaml"
            if deployed
            else f"has nothing to do, deploying failed: see {logs / 'deploy.log'}"
        )
        print(f"{'worker':9} {takes}")
        print(f"{'follower':9} shows trainings in MLflow while they run; logs of all are in {logs}")
        print(f"\nflows on this server: PREFECT_API_URL={api['PREFECT_API_URL']} python -m flows.reproduce")
        print("Ctrl-C stops them all.", flush=True)
        try:
            while not (ended := [name for name, process in running.items() if process.poll() is not None]):
                time.sleep(0.5)
        finally:  # tell all at once, wait for one after the other
            for process in running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        print(f"{ended[0]} has ended by itself: see {logs / ended[0].lower()}.log", file=sys.stderr)
        raise SystemExit(1)


def _stop(*_: object) -> None:
    """Leave, ending all children; a second Ctrl-C does not cut that short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    main()
