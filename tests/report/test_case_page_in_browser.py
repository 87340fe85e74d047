from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Playwright, sync_playwright

from monai_kd.report import write_case_page
from tests.acceptance.browser import CHROMIUM, FRAME, NO_GL, SOFTWARE_GL, Browser, open_browser
from tests.report.case import write_case

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a case, Żółć")
    case = write_case(folder, case="</script><b>42</b>", uncertainty={"file": "doubt.nii.gz"})
    output = folder / "report.html"
    return write_case_page(case.record, images=case.images, label=case.label, output=output)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright, page: Path) -> Iterator[Browser]:
    with open_browser(playwright, *SOFTWARE_GL) as browser:
        browser.open(page)
        browser.ask(FRAME)
        yield browser


def count_coloured(pixels: np.ndarray) -> int:
    """Pixels warmer than grey; the crosshair is cool."""
    return int((pixels[..., 0] - pixels[..., 2] > 0.12).sum())


def test_viewer_opens_without_a_fault(browser: Browser) -> None:
    assert browser.ask("document.documentElement.dataset.viewer") == "ready"
    assert browser.ask("document.querySelector('h1').textContent") == "</script><b>42</b>"


def test_mask_is_drawn_as_strongly_as_its_slider_says(browser: Browser) -> None:
    counts = []
    for opacity in (0, 50, 100):
        browser.slide("#opacity", opacity)
        counts.append(count_coloured(browser.see("#canvas")))
    assert counts[0] == 0
    assert 1000 < counts[1] <= counts[2]
    browser.slide("#opacity", 45)


def test_a_part_can_be_hidden_and_shown_again(browser: Browser) -> None:
    before = count_coloured(browser.see("#canvas"))
    browser.click("[data-value='2']")
    assert count_coloured(browser.see("#canvas")) < 0.8 * before
    browser.click("[data-value='2']")
    assert count_coloured(browser.see("#canvas")) == before


def test_uncertainty_appears_with_its_slider(browser: Browser) -> None:
    browser.slide("#opacity", 0)
    browser.slide("#doubt", 80)
    assert count_coloured(browser.see("#canvas")) > 1000
    browser.slide("#doubt", 0)
    assert count_coloured(browser.see("#canvas")) == 0
    browser.slide("#opacity", 45)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slice_slider_moves_the_picture_and_reset_brings_it_back(
    browser: Browser, plane: str
) -> None:
    before = browser.see("#canvas")
    browser.slide(f"#{plane}", 8)
    assert np.abs(browser.see("#canvas") - before).max() > 0.2
    assert browser.ask(f"document.querySelector('#{plane}').value") == "8"
    browser.click("#reset")
    np.testing.assert_allclose(browser.see("#canvas"), before, atol=0.02)


@pytest.mark.parametrize(
    "selector", ["[data-layer='image-3']", "[data-view='Axial']", "[data-view='3D']"]
)
def test_buttons_choose_what_is_shown(browser: Browser, selector: str) -> None:
    before = browser.see("#canvas")
    browser.click(selector)
    assert np.abs(browser.see("#canvas") - before).max() > 0.1
    assert browser.ask(f'document.querySelector("{selector}").ariaPressed') == "true"


def test_a_lesion_is_shown_where_it_lies(browser: Browser) -> None:
    browser.slide("#axial", 2)
    browser.click(".go")
    middle = browser.ask("Number(document.querySelector('#axial').max) / 2")
    assert abs(float(browser.ask("document.querySelector('#axial').value")) - middle) <= 1


def test_nothing_went_wrong_and_nothing_was_asked_of_a_network(browser: Browser) -> None:
    assert browser.faults == []
    assert browser.asked
    assert {address.split(":")[0] for address in browser.asked} <= {"file", "data", "blob"}
    assert sum(address.startswith("file:") for address in browser.asked) == 1


def test_print_shows_the_slices_in_place_of_the_viewer(browser: Browser) -> None:
    browser.page.emulate_media(media="print")
    seen = "getComputedStyle(document.querySelector('{}')).display"
    assert browser.ask(seen.format(".viewer")) == "none"
    assert browser.ask(seen.format(".slices")) == "grid"
    assert browser.page.pdf().startswith(b"%PDF")
    browser.page.emulate_media(media="screen")


def test_machine_without_webgl_is_told_so_in_words_and_sees_the_slices(
    playwright: Playwright, page: Path
) -> None:
    with open_browser(playwright, *NO_GL) as browser:
        browser.open(page)
        assert browser.ask("document.documentElement.dataset.viewer") == "failed"
        assert "no WebGL2" in browser.ask("document.querySelector('#message').textContent")
        whole = (
            "[...document.querySelectorAll('.slices img')].every(image => image.naturalWidth > 0)"
        )
        assert browser.ask(whole)


def test_a_script_that_came_in_could_reach_nobody(playwright: Playwright, page: Path) -> None:
    with open_browser(playwright, *NO_GL) as browser:
        browser.open(page)
        browser.ask("fetch('https://example.org/').catch(() => 0)")
        assert "Content Security Policy" in browser.faults[0]
        assert not any(address.startswith("http") for address in browser.asked)
