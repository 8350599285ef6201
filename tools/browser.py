"""Headless Chromium, for the tests of the pages and for printing.

Playwright drives the installed browser (Debian's package chromium), so nothing is downloaded. We chose it over Selenium, which
needs a driver of the browser's version and cannot open a window narrower than 500 pixels.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 900_000  # milliseconds until the browser has to be there; guards against hanging, also on a busy machine


def find_browser() -> str | None:
    """The path of an installed browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser that is closed at the end of the block.

    Raises ValueError if no browser is installed.
    """
    path = find_browser()
    if path is None:
        raise ValueError(f"no browser is installed (looked for {', '.join(NAMES)}): sudo apt install chromium")
    with sync_playwright() as playwright:
        # The sandbox does not start in most containers, and the pages are the study's own and can be trusted.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()
