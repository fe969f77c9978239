"""Debian's Chromium without a window, driven by its ChromeDriver over HTTP (W3C WebDriver)."""

import base64
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.running import free_ports, started

# Quiet: asks nobody for updates or settings, and keeps nothing.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1000",
)


class Page:
    """The one page of a browser."""

    def __init__(self, session: str):
        self._session = session

    def open(self, url: str) -> None:
        """Show `url`; what its scripts do goes on when this returns."""
        call(f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the JavaScript returns."""
        return call(f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, text: str) -> None:
        """Click on the element that reads so, as the mouse does."""
        sought = {"using": "xpath", "value": f"//*[normalize-space(text())='{text}']"}
        (element,) = call(f"{self._session}/element", sought).values()
        call(f"{self._session}/element/{element}/click", {})

    def click_at(self, x: float, y: float) -> None:
        """Move the mouse there, in pixels of the window, and click."""
        pointer = [
            {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {
            "type": "pointer",
            "id": "mouse",
            "parameters": {"pointerType": "mouse"},
            "actions": pointer,
        }
        call(f"{self._session}/actions", {"actions": [mouse]})

    def tell(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol (DevTools), such as `Emulation.setEmulatedMedia`."""
        return call(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(call(f"{self._session}/print", {}))

    def complaints(self) -> list[str]:
        """Warnings and errors of the console since this was last asked."""
        entries = call(f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    @property
    def text(self) -> str:
        """All that can be read on it."""
        text: str = self.run("return document.body ? document.body.innerText : ''")
        return text


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser of its own, which keeps what it needs in `profile`."""
    programs = [shutil.which(name) for name in ("chromedriver", "chromium")]
    assert all(programs), "Debian's chromium and chromium-driver are needed. Run: make host-tools"
    driver, browser = programs
    profile.mkdir()
    (port,) = free_ports(1)
    command = [str(driver), f"--port={port}"]
    with started(command, profile / "driver.log", "started successfully", HOME=str(profile)):
        options = {"binary": browser, "args": [*_FLAGS, f"--user-data-dir={profile / 'data'}"]}
        asked = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        wanted = {"capabilities": {"alwaysMatch": asked}}
        made = call(f"http://127.0.0.1:{port}/session", wanted)
        session = f"http://127.0.0.1:{port}/session/{made['sessionId']}"
        try:
            yield Page(session)
        finally:
            call(session, method="DELETE")


def call(url: str, content: Any = None, method: str | None = None) -> Any:
    """The `value` that ChromeDriver answers with."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode(errors="replace")[:1000]) from error
