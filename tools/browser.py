"""Chromium without a window, for the tests of the pages and for printing.

Playwright drives the browser that the system has (Debian's package chromium): nothing is downloaded. It was chosen over
selenium, which needs a driver of the browser's version and has no view narrower than 500 pixels.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The path of an installed browser, None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser that is closed afterwards.

    Raises ValueError where none is installed.
    """
    path = find_browser()
    if path is None:
        raise ValueError(f"no browser is installed (looked for {', '.join(NAMES)}): sudo apt install chromium")
    with sync_playwright() as playwright:
        # Pages are the study's own, and a sandbox does not start in most containers.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()
