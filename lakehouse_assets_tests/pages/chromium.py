"""Headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

# A page that has not answered by then never will.
_PATIENCE = 120.0


@contextmanager
def chromium(folder: Path) -> Iterator[Callable[[], Tab]]:
    """Start Chromium with a profile in a folder, and yield a function that opens tabs.

    Skips the test where Chromium is not installed.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
                 "--remote-debugging-port=0", f"--user-data-dir={folder}",
                 "about:blank"]  # fmt: skip
    process = subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("DevTools listening on "):
                break
        else:
            pytest.fail("Chromium does not start: " + "".join(said))
        browser = line.split()[-1]
        with Tab(browser) as root:

            def open_tab() -> Tab:
                target = root.send("Target.createTarget", url="about:blank")["targetId"]
                address = browser.partition("/devtools/")[0]
                return Tab(f"{address}/devtools/page/{target}")

            yield open_tab
            root.send("Browser.close")
        process.wait(_PATIENCE)
    finally:
        process.kill()
        process.communicate()


class Tab:
    """A page of the browser.

    Attributes:
        complaints: What the page wrote to the console as an error or a warning, and its uncaught
            errors, such as breaches of the content policy.
        requests: The addresses that the page asked for.
    """

    def __init__(self, address: str) -> None:
        self._connection = connect(address, max_size=None, proxy=None)
        self._last = 0
        self._events: list[tuple[str, dict[str, Any]]] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> Tab:
        self._socket: ClientConnection = self._connection.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.__exit__(kind, error, trace)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self._last:
            pass
        assert "error" not in message, f"{method}: {message['error']}"
        return dict(message["result"])

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(_PATIENCE))
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, method: str, said: dict[str, Any]) -> None:
        self._events.append((method, said))
        if method == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in (
            "error",
            "warning",
            "assert",
        ):
            told = [str(part.get("value", part.get("description"))) for part in said["args"]]
            self.complaints.append(" ".join(told))
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def show(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Set the size of the screen and the reader's preferences."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=phone)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                    {"name": "prefers-reduced-motion", "value": "reduce"}]  # fmt: skip
        self.send("Emulation.setEmulatedMedia", features=features)

    def go(self, address: str, ready: str = "true") -> None:
        """Load an address, and wait until it has loaded and a condition in JavaScript holds."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.complaints.clear()
        self.requests.clear()
        self._events.clear()
        # Another part of the same page alone would load nothing.
        self.send("Page.navigate", url="about:blank")
        self.wait_for("Page.loadEventFired")
        self.send("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")
        self.until(ready)

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait for an event since the last such wait, and return what it says."""
        while not (
            found := [place for place, (name, _) in enumerate(self._events) if name == event]
        ):
            self._receive()
        said = self._events[found[0]][1]
        del self._events[: found[0] + 1]
        return said

    def run(self, script: str) -> Any:
        """Return the value of an expression; a promise's once it is kept."""
        done = self.send("Runtime.evaluate", expression=script, awaitPromise=True,
                         returnByValue=True, userGesture=True)  # fmt: skip
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait, frame by frame, until a condition in JavaScript holds; fail after a minute."""
        script = (
            "new Promise((done) => { const late = performance.now() + 60000; const look = () => "
            f"({condition}) ? done(true) : performance.now() > late ? done(false)"
            " : requestAnimationFrame(look); look(); })"
        )
        assert self.run(script), f"{condition} does not come true: {self.complaints}"

    def press(self, key: str, *, control: bool = False, drawn: bool = True) -> None:
        """Press a key, such as Tab, Enter or ArrowDown, and wait until the page is drawn."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38,
                "ArrowRight": 39, "ArrowDown": 40}.get(key, ord(key[0].upper()))  # fmt: skip
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 and not control else "")
        stroke = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 * control}
        if len(key) > 1:
            stroke["code"] = key
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **stroke)
        self.send("Input.dispatchKeyEvent", type="keyUp", **stroke)
        if drawn:
            self.drawn()

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a point of the window, click there perhaps, and let the page draw."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                          clickCount=1)  # fmt: skip
        self.drawn()

    def drawn(self) -> None:
        """Wait for two frames: what was asked for before is drawn then."""
        self.run("new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))")

    def picture(self, file: Path, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, to a PNG file."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))
