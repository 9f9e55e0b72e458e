"""A browser for the tests of pages: Chromium without a window, one for all tests.

Where there is none, they are skipped. Screenshots are written to the folder that LMCORE_SCREENSHOTS
names, or to the folder of the test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")  # Debian's, Ubuntu's, that of GitHub
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        pytest.skip("needs Chromium: apt-get install chromium")
    # root has no sandbox
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open the HTML file `path` in a fresh profile; `options` are those of a browser's context.

    The test fails if a page has an error, writes one to the console, or asks for anything but its
    own file.
    """
    contexts, problems = [], []

    def visit(path: Path, **options) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(f"{line.type}: {line.text}"))
        page.on("request", lambda request: problems.append(request.url))
        page.goto(path.as_uri())
        return page

    yield visit
    allowed = {page.url.partition("#")[0] for context in contexts for page in context.pages}
    for context in contexts:
        context.close()
    assert set(problems) <= allowed


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder that screenshots are written to."""
    folder = Path(os.environ.get("LMCORE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
