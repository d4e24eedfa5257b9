"""A headless Chromium that shows pages of files, with the network off, and says what happened in it.

Commands and events of the DevTools protocol go through two pipes as JSON, each with a zero byte at its end
(``--remote-debugging-pipe``: the browser reads file 3 and writes file 4), so no other package is needed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

#: Longest wait for the browser, s: machines of tests are busy.
PATIENCE = 180
#: What the keyboard can reach, if it is shown.
FOCUSABLE = "a[href], button, summary, input, select, textarea, [tabindex='0']"
_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --disable-dev-shm-usage "
    "--disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe"
)


class Browser:
    """One browser with one page.

    Attributes
    ----------
    faults : list of str
        Errors that the pages wrote on the console, or did not catch.
    requests : list of str
        Addresses that the pages asked for, data in the page aside.
    downloads : Path
        Folder of what was saved.
    """

    def __init__(self, folder: Path) -> None:
        program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
        if program is None:
            pytest.skip("neither chromium nor google-chrome is installed")
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        self._number, self._unread, self._session = 0, b"", ""
        (to_read, self._to), (self._from, to_write) = os.pipe(), os.pipe()
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        words = [program, *_OPTIONS.split(), f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", *words],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Network.emulateNetworkConditions", offline=True, latency=0, **_NO_NETWORK)
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._to)
        os.close(self._from)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        for answer in self._answers():
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
        raise AssertionError(f"{method}: the browser has ended")

    def _answers(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" not in self._unread:
                if not (more := os.read(self._from, 1 << 20)):
                    return
                self._unread += more
            text, _, self._unread = self._unread.partition(b"\0")
            answer = json.loads(text)
            self._note(str(answer.get("method", "")), answer.get("params", {}))
            yield answer

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.faults.append(str(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.faults.append(str(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.faults.append(str(about["entry"]))
        elif event == "Network.requestWillBeSent":
            url = str(about["request"]["url"])
            self.requests += [] if url.startswith(("data:", "blob:")) else [url]

    def open(self, page: Path, *, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Show a page in a window of this size, in a light or dark scheme."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **screen)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=page.as_uri())
        self.until(f"document.readyState == 'complete' && location.href == {json.dumps(page.as_uri())}")

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, and return its value."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        waited(lambda: bool(self.run(script)), script)

    def saved(self, name: str) -> bytes:
        """Return what the page saved under this name."""
        waited((self.downloads / name).exists, name)
        return (self.downloads / name).read_bytes()

    def key(self, key: str, code: str = "", number: int = 0, text: str = "") -> None:
        """Press a key and let it go."""
        about = {"key": key, "code": code or key, "windowsVirtualKeyCode": number}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def point(self, place: str, across: float = 0.5, down: float = 0.5) -> None:
        """Scroll an element into the window, and move the pointer to a place in it, in shares of its sizes."""
        where = f"document.querySelector({json.dumps(place)})"
        self.run(f"{where}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(
            f"(r => [r.x + {across} * r.width, r.y + {down} * r.height])({where}.getBoundingClientRect())"
        )
        for at in (x - 1, x):
            self.send("Input.dispatchMouseEvent", type="mouseMoved", x=at, y=y)

    def picture(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def unreached(self) -> list[str]:
        """Return the elements that can be used, but that the tabulator key does not reach."""
        self.run(
            "window.reached = new Set(); document.activeElement.blur(); scrollTo(0, 0);"
            "document.addEventListener('focusin', e => window.reached.add(e.target))"
        )
        shown = (
            f"[...document.querySelectorAll({json.dumps(FOCUSABLE)})]"
            ".filter(e => e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true}))"
        )
        there = int(self.run(f"{shown}.length"))
        assert there
        for _ in range(there + 2):
            self.key("Tab", number=9)
        left = f"{shown}.filter(e => !window.reached.has(e)).map(e => e.outerHTML.slice(0, 200))"
        return [str(item) for item in self.run(left)]

    def barriers(self, axe: Path) -> list[str]:
        """Return the serious and critical findings of axe-core on the page, which it is not to load again."""
        self.run(axe.read_text(encoding="utf-8") + "; 0")
        options = "{preload: false, resultTypes: ['violations']}"
        found = self.run(f"axe.run(document, {options}).then(r => JSON.stringify(r.violations))")
        return [
            f"{item['id']} ({item['impact']}): {node['html'][:200]} {node.get('failureSummary', '')}"
            for item in json.loads(found)
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]


_NO_NETWORK = {"downloadThroughput": -1, "uploadThroughput": -1}


def waited(done: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def axe_core() -> Path:
    """Return the script of axe-core that `.ci/axe` fetched; skip without it."""
    path = os.environ.get("STARSCALE_AXE", "")
    if not path:
        pytest.skip("axe-core cannot be had here: STARSCALE_AXE does not name it")
    return Path(path)
