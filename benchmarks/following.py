"""What it costs a training to be followed: time of the training, alone and with MLflow up, slow, away, and dying.

    python benchmarks/following.py [--epochs 40] [--rounds 2]

The training is the shared loop on drawn faces, in a process of its own; the follower is `vultus follow`, as `make ui`
starts it. Clocks on a busy machine differ by more than what is looked for, so the processor time of the follower during
the training stands beside them, as a share of the training's own: on one core it is the most that a training can lose.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLLOW = [str(Path(sys.executable).parent / "vultus"), "follow"]
SLOW_S = 4.0
KINDS = ("alone", "up", "slow", "away", "dies")


def train(root: Path, epochs: int) -> None:
    """Train on the toy data below ``root`` and print the seconds of the clock and of the processor."""
    from tests.contract.toys import smoke_experiment
    from vultus.core.experiment import train

    experiment = smoke_experiment("plain_cnn", root)
    settings = dataclasses.replace(experiment.train, epochs=epochs, steps_per_epoch=20)
    wall, processor = time.perf_counter(), time.process_time()
    train(dataclasses.replace(experiment, train=settings), root / "models", root / ".cache/vultus/checkpoints")
    print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]))


@contextmanager
def slow_server() -> Iterator[str]:
    """A server that takes its time for every answer, which is an error."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(SLOW_S)
            self.send_error(503)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def mlflow_server(root: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """MLflow's own server on an SQLite file."""
    from flows.ui import wait_until_up

    port = 5987
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{root / 'server.db'}",
        "--artifacts-destination",
        str(root / "files"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            process.wait()


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(root: Path, epochs: int, uri: str, dies: subprocess.Popen[bytes] | None) -> tuple[float, float, float]:
    """Seconds of clock and processor of a training, and of its follower's processor while it ran."""
    follower, quiet = None, subprocess.DEVNULL
    if uri:
        follower = subprocess.Popen(
            FOLLOW, cwd=root, env={**os.environ, "MLFLOW_TRACKING_URI": uri}, stdout=quiet, stderr=quiet
        )
        time.sleep(12)  # its imports are paid once, when the user interface starts
    before = processor_seconds(follower.pid) if follower else 0.0
    command = [sys.executable, __file__, "--train", str(root), "--epochs", str(epochs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as training:
        if dies is not None:
            time.sleep(10)
            os.killpg(dies.pid, 9)
        said = training.communicate()[0]
    wall, processor = json.loads(said.splitlines()[-1])
    spent = processor_seconds(follower.pid) - before if follower else 0.0
    if follower:
        follower.terminate()
        follower.wait()
    return wall, processor, spent


def main() -> None:
    """Measure each kind in turn, as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    if arguments.train:
        train(arguments.train, arguments.epochs)
        return
    from tests.systems.toy_faces import write_toy

    print(f"{'MLflow':8} {'training s':>11} {'processor s':>12} {'follower s':>11} {'at most lost':>13}")
    for _ in range(arguments.rounds):
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                write_toy(root)
                if kind == "slow":
                    with slow_server() as uri:
                        seconds = measure(root, arguments.epochs, uri, None)
                elif kind in ("up", "dies"):
                    with mlflow_server(root) as (uri, process):
                        seconds = measure(root, arguments.epochs, uri, process if kind == "dies" else None)
                else:
                    seconds = measure(root, arguments.epochs, "http://127.0.0.1:9" if kind == "away" else "", None)
            wall, processor, spent = seconds
            print(f"{kind:8} {wall:11.1f} {processor:12.1f} {spent:11.2f} {spent / processor:13.2%}", flush=True)


if __name__ == "__main__":
    main()
