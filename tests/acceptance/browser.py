"""A headless Chromium without a GPU, by Playwright; each complaint and each request is kept."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray
from playwright.sync_api import Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_GL = ("--disable-3d-apis", "--disable-software-rasterizer")
OPENED = "[data-viewer=ready], [data-viewer=failed]"
FRAME = "new Promise(done => setTimeout(() => requestAnimationFrame(done), 150))"


class Browser:
    """One page; `faults` holds errors of the console and of scripts, `asked` each request."""

    def __init__(self, page: Page) -> None:
        self.page, self.faults, self.asked = page, [], []
        page.on("console", lambda told: told.type == "error" and self.faults.append(told.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, file: Path) -> None:
        """Open a case's page and wait until its viewer has drawn, or has given up."""
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(OPENED, state="attached", timeout=60_000)

    def ask(self, expression: str) -> Any:
        """What `expression` is in the page; a promise is awaited."""
        return self.page.evaluate(expression)

    def slide(self, slider: str, place: float) -> None:
        """Move a slider as a hand would, and wait until what follows is drawn."""
        self.page.locator(slider).fill(str(place))
        self.ask(FRAME)

    def click(self, selector: str) -> None:
        """Click, and wait until what follows is drawn."""
        self.page.locator(selector).first.click()
        self.ask(FRAME)

    def see(self, selector: str) -> NDArray[np.float32]:
        """The pixels (H W, RGB from 0 to 1) that an element fills."""
        self.ask("scrollTo(0, 0)")
        box = self.page.locator(selector).bounding_box()
        picture = self.page.screenshot(clip=box, full_page=True)
        return np.asarray(imread(BytesIO(picture))[..., :3])


@contextmanager
def open_browser(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """A fresh browser with one page."""
    options = {"executable_path": CHROMIUM, "args": ["--disable-gpu", *flags]}
    with playwright.chromium.launch(**options) as chromium:
        yield Browser(chromium.new_page(viewport={"width": 1280, "height": 900}))
