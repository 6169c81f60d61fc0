"""A page in headless Chromium, spoken to over its debugging protocol: what is on it, as text and as a picture."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)


def chromium() -> str | None:
    """Chromium's program, whatever the distribution calls it."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """The only page of a browser."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(timeout=120))).get("id") != number:
            pass
        return answer["result"]

    def visit(self, url: str) -> None:
        """Leave the page that is shown and open another; does not wait for what scripts put there."""
        self._ask("Page.navigate", url="about:blank")
        self._ask("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self._ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        """What a reader sees."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def count(self, selector: str) -> int:
        """Number of elements."""
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length") or 0)

    def click(self, words: str) -> None:
        """Press the mouse on the innermost element that says just these words."""
        says = f"element => element.innerText?.trim() === {json.dumps(words)}"
        found = f"[...document.querySelectorAll('body *')].filter({says}).at(-1)"
        box = self.evaluate(f"{found}?.getBoundingClientRect().toJSON()")
        assert box is not None, f"nothing on the page says just {words!r}"
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, **at)

    def wait_for(self, *words: str, selector: str = "body", at_least: int = 1, timeout_s: float = 240.0) -> None:
        """Wait until all words are on the page and the selector finds enough; fails with the page's text."""
        deadline = time.monotonic() + timeout_s
        missing: list[str] = list(words)
        while time.monotonic() < deadline:
            text = self.text()
            missing = [word for word in words if word not in text]
            if not missing and self.count(selector) >= at_least:
                return
            time.sleep(0.3)
        raise AssertionError(f"not on the page: {missing or selector}; the page says: {self.text()[:3000]}")

    def screenshot(self, path: Path) -> None:
        """A PNG of the window."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """A browser with one page, ended when the block is left.

    Args:
        profile: an empty folder.
    """
    from websockets.sync.client import connect

    command = [str(chromium()), *QUIET, "--window-size=1600,1000", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port_file = profile / "DevToolsActivePort"
            deadline = time.monotonic() + 60
            while not (port_file.is_file() and port_file.read_text().count("\n")) and time.monotonic() < deadline:
                time.sleep(0.1)
            port = port_file.read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as listed:
                (page,) = [target for target in json.load(listed) if target["type"] == "page"]
            with connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=60) as socket:
                yield Page(socket)
        finally:
            process.terminate()
