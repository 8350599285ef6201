"""Finds broken links in the rendered book: `python -m tools.check_links [folder]`, default: _build/html.

Links and anchors within the book are always checked. With `--external`, addresses of other sites are requested too. Without it,
or if a site refuses requests from programs, an address is only listed.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urldefrag

import requests
from bs4 import BeautifulSoup

TIMEOUT = 20  # seconds
REFUSALS = (401, 403, 405, 406, 429)  # from sites that answer only browsers; the page may still exist
FORWARDS = 'http-equiv="refresh"'


class Page:
    """A rendered page: its links and its anchors."""

    def __init__(self, path: Path):
        soup = BeautifulSoup(path.read_text(), "html.parser")
        self.anchors = {tag["id"] for tag in soup.find_all(id=True)} | {
            tag["name"] for tag in soup.find_all("a", attrs={"name": True})
        }
        tags = soup.find_all(["a", "link", "img", "script", "source"])
        self.links = sorted({link for tag in tags if (link := tag.get("href") or tag.get("src"))})


def read_pages(html: Path) -> dict[Path, Page]:
    """Every page of a rendered book, without the theme's own pages and those that only lead to another page.

    Raises ValueError if there is no book.
    """
    paths = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.relative_to(html).parts]
    if not paths:
        raise ValueError(f"{html} contains no rendered book: run make book first")
    return {path.resolve(): Page(path) for path in paths if FORWARDS not in path.read_text(encoding="utf-8")[:200]}


def is_external(link: str) -> bool:
    return link.startswith(("http://", "https://", "//"))


def broken_within(html: Path) -> list[str]:
    """`page: link` for every link within the book whose file or anchor is missing."""
    pages, broken = read_pages(html), []
    for path, page in pages.items():
        for link in page.links:
            if is_external(link) or link.startswith(("mailto:", "data:", "javascript:")):
                continue
            target, anchor = urldefrag(link)
            file = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
            known = file not in pages or not anchor or unquote(anchor) in pages[file].anchors
            if not file.exists() or not known:
                broken.append(f"{path.relative_to(html.resolve())}: {link}")
    return broken


def external(html: Path) -> dict[str, list[str]]:
    """Each address of another site, and the pages that link to it."""
    found: dict[str, list[str]] = {}
    for path, page in read_pages(html).items():
        for link in filter(is_external, page.links):
            found.setdefault(urldefrag(link)[0], []).append(path.name)
    return dict(sorted(found.items()))


def answer(address: str) -> str:
    """The result of a request for an address: `ok`, `refused` (to a program), or the error."""
    try:
        with requests.get(address, timeout=TIMEOUT, stream=True, headers={"User-Agent": "Mozilla/5.0"}) as response:
            code = response.status_code
    except requests.RequestException as error:
        return type(error).__name__
    return "ok" if code < 400 else f"refused ({code})" if code in REFUSALS else f"HTTP {code}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    parser.add_argument("--external", action="store_true", help="request the addresses of other sites too; needs a network")
    options = parser.parse_args(arguments)
    try:
        broken, addresses = broken_within(options.html), external(options.html)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, addresses)) if options.external else [""] * len(addresses)
    for address, result in zip(addresses, answers, strict=True):
        print(f"{result:14} {address}  ({', '.join(sorted(set(addresses[address])))})")
        if result and result != "ok" and not result.startswith("refused"):
            broken.append(f"{address}: {result}")
    print("\n".join(["", *broken] if broken else ["", "no broken link"]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
