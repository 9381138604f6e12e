"""Headless Chromium, driven over the WebDriver protocol (W3C) by the standard library alone."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference
ARROW_RIGHT, ARROW_DOWN = "\ue014", "\ue015"


def require(*programs: str) -> None:
    """Skips the test, with a warning that the summary shows, where a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        warnings.warn(f"not tested: {', '.join(missing)} not installed", stacklevel=2)
        pytest.skip(f"{', '.join(missing)} not installed")


class Browser:
    """One window."""

    def __init__(self, session: str):
        self._session = session

    def open(self, address: str) -> None:
        _call(f"{self._session}/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        return _call(f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> str:
        found = _call(f"{self._session}/element", {"using": "css selector", "value": selector})
        return found[_ELEMENT]

    def click(self, selector: str) -> None:
        _call(f"{self._session}/element/{self.find(selector)}/click", {})

    def press(self, key: str) -> None:
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        _call(f"{self._session}/actions", {"actions": [keyboard]})

    def list_errors(self) -> list[str]:
        entries = _call(f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def resize(self, width: int, height: int) -> None:
        _call(f"{self._session}/window/rect", {"width": width, "height": height})

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        _call(f"{self._session}/goog/cdp/execute", command)

    def screenshot(self) -> bytes:
        with urllib.request.urlopen(f"{self._session}/screenshot") as answer:
            return base64.b64decode(json.load(answer)["value"])


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts a browser with an empty profile; skips the test aloud where there is none that can."""
    require("chromium", "chromedriver")
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as driver,
    ):
        try:
            port = next(
                match[1]
                for line in driver.stdout
                if (match := re.search(r"successfully on port (\d+)", line))
            )
            options = {"args": [*_FLAGS, f"--user-data-dir={profile}"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            root = f"http://127.0.0.1:{port}/session"
            try:
                made = _call(root, {"capabilities": {"alwaysMatch": wanted}})
            except urllib.error.HTTPError as error:
                reason = json.load(error)["value"]["message"].splitlines()[0]
                warnings.warn(f"not tested: the browser does not start: {reason}", stacklevel=2)
                pytest.skip(f"the browser does not start: {reason}")
            session = f"{root}/{made['sessionId']}"
            try:
                yield Browser(session)
            finally:
                urllib.request.urlopen(urllib.request.Request(session, method="DELETE")).close()
        finally:
            driver.terminate()


def _call(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["value"]
