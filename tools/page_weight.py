"""Weighs the pages of the rendered book: `python -m tools.page_weight [folder]`, default: _build/html.

A page weighs what a browser with an empty cache loads to show its top in a window of a laptop, without compression.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser

from tools.browser import open_browser
from tools.check_links import read_pages

WINDOW = {"width": 1280, "height": 900}


def first_load(browser: Browser, page: Path) -> int:
    """The bytes of a page and of all files that it loads at first."""
    loaded: set[Path] = set()
    opened = browser.new_page(viewport=WINDOW)
    opened.on("request", lambda request: loaded.add(_path(request.url)) if request.url.startswith("file:") else None)
    opened.goto(page.resolve().as_uri(), wait_until="networkidle")
    opened.close()
    return sum(path.stat().st_size for path in loaded if path.is_file())


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def site_size(html: Path) -> int:
    """The bytes of all files of a site."""
    return sum(path.stat().st_size for path in html.rglob("*") if path.is_file())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Weighs the pages of the rendered book.")
    parser.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    html = parser.parse_args(arguments).html
    try:
        pages = read_pages(html)
        with open_browser() as browser:
            weights = {path.relative_to(html.resolve()): first_load(browser, path) for path in pages}
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for page, weight in sorted(weights.items(), key=lambda item: item[1]):
        print(f"{weight / 1e6:6.2f} MB  {page}")
    print(f"{site_size(html) / 1e6:6.2f} MB  the whole site")
    return 0


if __name__ == "__main__":
    sys.exit(main())
