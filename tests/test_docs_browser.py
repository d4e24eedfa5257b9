"""Pages of the documentation in a browser, from the file system, with the network off; `make docs` builds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import Browser, axe_core

pytestmark = pytest.mark.docs
BUILT = Path(__file__).resolve().parents[1] / "docs" / "_build" / "html"
PAGES = ["index", "tutorial", "gallery", "method", "tutorials/first_catalogue", "reference/Survey"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (BUILT / "index.html").exists():
        pytest.skip("the documentation is not built: make docs")
    with Browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_alone_and_for_everybody(browser: Browser, page: str) -> None:
    file = BUILT / f"{page}.html"
    axe = axe_core()
    for width, scheme in ((1400, "light"), (390, "dark")):
        browser.open(file, width=width, scheme=scheme)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.barriers(axe) == []
    browser.open(file, width=1400)
    assert browser.unreached() == []
    browser.run("scrollTo(0, document.body.scrollHeight)")
    # The contents of the site stay beside the page.
    assert browser.run("document.querySelector('.sidebar-sticky').getBoundingClientRect().top") > -1
    assert browser.faults == []
    # Nothing but files of the documentation.
    assert {url.split("/_build/html/")[0] for url in browser.requests} == {BUILT.parents[1].as_uri()}
