"""A real browser, and a page in it that tells of every error and every request."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck.reporters import write_report
from tests.reporters.html.pages import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Opened:
    """Hold a page that is open in the browser.

    Attributes:
        tab: of the browser.
        said: console messages and errors.
        requests: that the page made, itself included.
        url: of the page.
    """

    tab: Any
    url: str
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that is shown."""
        found = self.tab.locator(selector).all()
        return [" ".join(one.inner_text().split()) for one in found if one.is_visible()]

    def open(self, test: str) -> None:
        """Open a call from the overview."""
        self.tab.get_by_role("link", name=test).click()
        self.tab.wait_for_selector("#call .verdict")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start the Chromium of the distribution, or skip saying how to install it."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if chromium is None:
        pytest.skip(
            "NO PAGE WAS TESTED: no Chromium on the path; install it (apt-get install chromium) "
            "or name it in CHROMIUM"
        )
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("NO PAGE WAS TESTED: Playwright is missing; pip install playwright")
    from playwright.sync_api import sync_playwright

    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, headless=True
        )
        yield context
        context.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page once."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, report())
    return path


@pytest.fixture
def page(browser: Any, written: Path) -> Iterator[Opened]:
    """Open the page; afterwards nothing may have been complained of, nothing asked for."""
    tab = browser.new_page()
    opened = Opened(tab, written.as_uri())
    tab.on("console", lambda message: opened.said.append(message.text))
    tab.on("pageerror", lambda error: opened.said.append(str(error)))
    tab.on("request", lambda request: opened.requests.append(request.url))
    tab.goto(opened.url)
    yield opened
    leaving = [u for u in opened.requests if not u.startswith(("data:", "blob:", opened.url))]
    broken = tab.evaluate("window.broken")
    tab.close()
    assert (opened.said, leaving, broken) == ([], [], None)
