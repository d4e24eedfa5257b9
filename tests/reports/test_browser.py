"""The report in a browser, from the file system, with the network off."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from starscale.reports.page import report
from support.browser import Browser, axe_core, waited
from support.report_runs import make_run

pytestmark = pytest.mark.service
#: Width and scheme of the windows in which the page is looked at.
WINDOWS = [(1600, "light"), (1200, "dark"), (390, "light")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("chromium") is None and shutil.which("google-chrome") is None:
        pytest.skip("neither chromium nor google-chrome is installed")
    return report(make_run(tmp_path_factory.mktemp("browser") / "run", mock=True, n=1000))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(autouse=True)
def _silent(browser: Browser, page: Path) -> Iterator[None]:
    """No test leaves an error on the console, or asks for anything but the page."""
    yield
    assert browser.faults == []
    assert set(browser.requests) <= {page.as_uri()}


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_no_barriers_and_nothing_sticks_out(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.open(page, width=width, scheme=scheme)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.barriers(axe_core()) == []


@pytest.mark.parametrize("width", [1600, 1200, 390])
def test_the_contents_stay(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    browser.run("document.querySelector('#catalogue').scrollIntoView({behavior: 'instant'})")
    top, bottom = browser.run("(r => [r.top, r.bottom])(document.querySelector('nav').getBoundingClientRect())")
    assert 0 <= top < bottom <= 900
    # What says that the stars are simulated stays above them, or beside them.
    assert browser.run("document.querySelector('.banner').getBoundingClientRect().bottom") <= max(top, 70)
    browser.until("document.querySelector('nav a[aria-current]')?.hash === '#catalogue'")
    # The heading is not below what stays.
    heading = browser.run("document.querySelector('#catalogue h2').getBoundingClientRect().bottom")
    beside = browser.run("document.querySelector('nav').getBoundingClientRect().right < 300")
    assert 0 < heading < 900
    assert beside or heading > bottom


def test_data_and_vectors_are_saved(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('a[download=\"figure-3.csv.gz\"]').click()")
    assert browser.saved("figure-3.csv").startswith(b"panel,x_axis,y_axis,series,x,y,value\n")
    browser.run("document.querySelector('a[download=\"figure-3.pdf\"]').click()")
    assert browser.saved("figure-3.pdf").startswith(b"%PDF-")


def test_the_pointer_names_what_is_below_it(browser: Browser, page: Path) -> None:
    browser.open(page)

    def shown() -> bool:
        # The data are unpacked after the page is there; between the panels there is nothing to name.
        for down in (0.2, 0.4, 0.6, 0.7, 0.8):
            browser.point("img[alt^='Kiel']", 0.25, down)
            if browser.run("!document.querySelector('.tip').hidden"):
                return True
        return False

    waited(shown, "the name of what is below the pointer")
    assert re.search(r"teff.*log ?g", browser.run("document.querySelector('.tip').textContent"), re.IGNORECASE)


def test_a_picture_is_zoomed_by_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('button[aria-label^=\"Zoom: Kiel\"]').focus()")
    browser.key("Enter", number=13, text="\r")
    browser.until("document.querySelector('dialog')?.open")
    browser.key("+", text="+")
    browser.key("ArrowLeft", number=37)
    assert browser.run("document.querySelector('dialog img').style.transform") == "translate(60px, 0px) scale(1.4)"
    browser.run("document.querySelector('dialog button[aria-label=\"Zoom in\"]').click()")
    assert browser.run("document.querySelector('dialog img').style.transform").endswith("scale(1.96)")
    browser.key("Escape", number=27)
    browser.until("!document.querySelector('dialog')")
    assert browser.run("document.activeElement.getAttribute('aria-label')").startswith("Zoom: Kiel")


def test_the_keyboard_reaches_everything(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.unreached() == []


def test_print_unfolds_nothing_away(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert len(browser.send("Page.printToPDF", printBackground=False)["data"]) > 100_000
