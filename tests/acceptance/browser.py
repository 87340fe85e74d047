"""A headless Chromium, driven over a pipe by its DevTools protocol; all that it says is kept."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_GL = ("--disable-3d-apis", "--disable-software-rasterizer")
PATIENCE_S = 60.0


class Browser:
    """One page; `faults` holds console errors, exceptions and refusals, `asked` each request."""

    def __init__(self, *flags: str, width: int = 1280, height: int = 900) -> None:
        self.faults: list[str] = []
        self.asked: list[str] = []
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._count, self._buffer = 0, b""
        self._start([*FLAGS, *flags, f"--window-size={width},{height}"])
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def __enter__(self) -> "Browser":
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the browser and remove what it has kept."""
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def _start(self, flags: list[str]) -> None:
        self._session = ""
        to_browser, self._write = map(_raise, os.pipe())
        self._read, from_browser = map(_raise, os.pipe())
        folder = self._profile.name
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(  # noqa: S603  (our own command)
            ["/bin/bash", "-c", command, CHROMIUM, *flags, f"--user-data-dir={folder}"],
            pass_fds=(to_browser, from_browser),
            cwd=folder,
            env={**os.environ, "HOME": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)

    def open(self, page: Path, *, until: str = "document.readyState === 'complete'") -> float:
        """Open `page` and return the seconds until `until` holds."""
        begun = time.monotonic()
        self._call("Page.navigate", url=page.as_uri())
        while not self.ask(until):
            if time.monotonic() - begun > PATIENCE_S:
                raise TimeoutError(f"{until} did not come true: {self.faults}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def ask(self, expression: str) -> Any:
        """Return what `expression` is in the page; a promise is awaited."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def slide(self, slider: str, place: float) -> None:
        """Move a slider as a hand would, and wait until what follows is drawn."""
        self.ask(
            f"(() => {{ const slider = document.querySelector({slider!r}); slider.value = {place};"
            "slider.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
        self.settle()

    def click(self, selector: str) -> None:
        """Click, and wait until what follows is drawn."""
        self.ask(f"document.querySelector({selector!r}).click()")
        self.settle()

    def settle(self) -> None:
        """Wait for the frames that the last change has asked for."""
        self.ask("new Promise(done => setTimeout(() => requestAnimationFrame(done), 150))")

    def see(self, selector: str) -> NDArray[np.float32]:
        """Return the pixels (H W, RGB from 0 to 1) that an element fills."""
        box = self.ask(
            f"(() => {{ const box = document.querySelector({selector!r}).getBoundingClientRect();"
            "return { x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height,"
            " scale: 1 }; })()"
        )
        return np.asarray(imread(BytesIO(self.photograph(clip=box)))[..., :3])

    def photograph(self, **options: Any) -> bytes:
        """Return a PNG of the page."""
        options.setdefault("captureBeyondViewport", True)
        return b64decode(self._call("Page.captureScreenshot", format="png", **options)["data"])

    def print(self) -> bytes:
        """Return the page as PDF."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
        return b64decode(self._call("Page.printToPDF", preferCSSPageSize=True, **paper)["data"])

    def emulate_print(self, printing: bool) -> None:
        """Style the page as for paper, or again as for a screen."""
        self._call("Emulation.setEmulatedMedia", media="print" if printing else "")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE_S)
            part = os.read(self._read, 2**20) if ready else b""
            if not part:
                raise TimeoutError("Chromium says nothing")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        kind, content = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.faults.append(str(content["exceptionDetails"]))
        elif kind == "Runtime.consoleAPICalled" and content["type"] in ("error", "assert"):
            self.faults.append(str(content["args"]))
        elif kind == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.faults.append(content["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.asked.append(content["request"]["url"])


def _raise(descriptor: int) -> int:
    """Out of the way of 3 and 4, where Chromium reads and writes."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return raised
