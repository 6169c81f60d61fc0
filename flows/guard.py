"""Runs one command and ends its whole process group when whoever started it is gone, even by ``kill -9``.

    python -I -S flows/guard.py COMMAND ARGUMENT...

Standard input is a pipe that the starter holds open and never writes to: when it closes, the starter is dead. Started
as the leader of a group by `flows.processes.child`; imports the standard library alone, since it runs before every
stage.
"""

import os
import signal
import subprocess
import sys
import threading
import time

PATIENCE_S = 10.0
"""Between SIGTERM and SIGKILL."""


def main() -> None:
    """Start the command, wait for it, and exit with its code (128 + the signal that ended it)."""
    # The group's SIGTERM is meant for the command. A handler, unlike SIG_IGN, is not handed down to it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        print(f"{sys.argv[1]}: command not found", flush=True)
        os._exit(127)
    threading.Thread(target=_end_when_orphaned, args=(process,), daemon=True).start()
    code = process.wait()
    os._exit(code if code >= 0 else 128 - code)


def _end_when_orphaned(process: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
