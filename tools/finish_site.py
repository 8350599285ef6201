"""Makes the rendered book light: `python -m tools.finish_site FOLDER`, after jupyter-book.

- Pictures and tables of numbers that a page contains become files, so that a browser loads pictures when they come into view.
- Fonts keep only the characters that the pages show (`site_fonts`). The theme's script of icons is left out, because its
  style sheet draws the same icons with a font.
- Only the page of the search loads the index of the search.
- Names and roles in the theme's pages are corrected for screen readers.
- Notebooks to download have no outputs, which are on the page.
- Files that nothing names are removed.
"""

import argparse
import base64
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from os.path import relpath
from pathlib import Path

from PIL import Image

from ribstudy.workflow.stripped import stripped
from tools.site_fonts import cut_fonts

ATTRIBUTES = r"""(?:[^>"']|"[^"]*"|'[^']*')*"""
IMAGE = re.compile(rf"<img\b{ATTRIBUTES}>")
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/svg+xml": "svg", "image/webp": "webp", "text/csv": "csv"}
CONTAINED = re.compile(rf"""(\b(?:src|href)=)"data:({"|".join(map(re.escape, SUFFIXES))});base64,([^"]+)\"""")
ICON_SCRIPT = "fontawesome.js"
SEARCH_SCRIPTS = ("searchtools.js", "language_data.js", "searchindex.js")
# Markup that a screen reader would announce wrongly, and its replacement.
CORRECTIONS = (
    (re.compile(rf"<th\b({ATTRIBUTES})>(?:\s|&nbsp;|<p>\s*</p>)*</th>"), r"<td\1></td>"),  # no header, only an empty cell
    (re.compile(r'(<summary\b[^>]*?) aria-label="Toggle hidden content"'), r"\1"),  # hides the visible name
    (re.compile(r'<summary>(?=<span class="toctree-toggle")'), '<summary aria-label="pages below">'),  # shows only an arrow
    (re.compile(r'(search-button__button[^>]*?) aria-label="Search"'), r'\1 aria-label="Search Ctrl+K"'),  # as it is shown
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),  # a deprecated role, in an element that is a list
    (re.compile(r'<div id="pst-primary-sidebar"'), '<div role="navigation" aria-label="Book" id="pst-primary-sidebar"'),
)
# A link from the source of a function to its documentation, and the entry of Python's own functions.
TO_DOCUMENTATION = re.compile(r'<a class="viewcode-back" href="([^"#]*)#([^"]*)">\[docs\]</a>')
OF_PYTHON = re.compile(r'<li><a href="builtins\.html">builtins</a></li>')
SOURCE_MAP = re.compile(r"^(?://# |/\*# )sourceMappingURL=.*$", re.MULTILINE)
SVG_SIZE = re.compile(r'<svg\b[^>]*\bviewBox="0 0 ([\d.]+) ([\d.]+)"')  # as matplotlib writes it, in points
PIXELS = 4 / 3  # of a point


def without_scripts(text: str, names: Iterable[str]) -> str:
    """A page that does not load the scripts with these names."""
    return re.sub(rf"<script\b[^>]*\b(?:{'|'.join(map(re.escape, names))})\b[^>]*></script>\n?", "", text)


def with_files(text: str, write: Callable[[str, bytes], str]) -> str:
    """A page whose contained pictures and tables are files.

    Args:
        write: stores a file with this suffix and content, and returns its address as seen from the page.
    """

    def moved(found: re.Match) -> str:
        return f'{found[1]}"{write(SUFFIXES[found[2]], base64.b64decode(found[3]))}"'

    return CONTAINED.sub(moved, text)


def with_lazy_images(text: str, size: Callable[[str], tuple[int, int] | None]) -> str:
    """A page whose images are loaded when they come into view, and whose text does not move then.

    Args:
        size: (width, height) in pixels of the image at an address, or None.
    """
    return IMAGE.sub(lambda found: _lazy(found[0], size), text)


def _lazy(tag: str, size: Callable[[str], tuple[int, int] | None]) -> str:
    known = dict(re.findall(r'\s([\w-]+)="([^"]*)"', tag))
    new = {} if "loading" in known else {"loading": "lazy", "decoding": "async"}
    if not {"width", "height"} & set(known) and (found := size(known.get("src", ""))):
        new |= dict(zip(("width", "height"), map(str, found), strict=True))
    return "".join(["<img", *(f' {name}="{value}"' for name, value in new.items()), tag.removeprefix("<img")])


def with_correct_names(text: str) -> str:
    """A page whose names and roles are right for screen readers (`CORRECTIONS`)."""
    for wrong, right in CORRECTIONS:
        text = wrong.sub(right, text)
    return text


def without_dead_links(text: str, read: Callable[[str], str]) -> str:
    """A page of source code without the links to names that no page documents, and to Python's own functions.

    Args:
        read: returns the text of the page at an address.
    """
    links = TO_DOCUMENTATION.sub(lambda link: link[0] if f'id="{link[2]}"' in read(link[1]) else "", text)
    return OF_PYTHON.sub("", links)


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of an image file in pixels; None if the file does not tell them."""
    if path.suffix == ".svg":
        found = SVG_SIZE.search(path.read_text(encoding="utf-8"))
        return (round(float(found[1]) * PIXELS), round(float(found[2]) * PIXELS)) if found else None
    with Image.open(path) as image:
        return image.size


def finish_page(path: Path, html: Path) -> None:
    """Rewrites one page of the book in `html`."""

    def write(suffix: str, content: bytes) -> str:
        file = html / "_images" / f"{sha256(content).hexdigest()[:16]}.{suffix}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        return relpath(file, path.parent)

    def size(address: str) -> tuple[int, int] | None:
        file = path.parent / address
        return size_of(file) if address and file.is_file() else None

    @cache  # many functions of a module are documented on one page
    def read(address: str) -> str:
        return (path.parent / address).read_text(encoding="utf-8")

    unused = [ICON_SCRIPT, *(SEARCH_SCRIPTS if path != html / "search.html" else ())]
    text = with_files(without_scripts(path.read_text(encoding="utf-8"), unused), write)
    path.write_text(with_correct_names(with_lazy_images(without_dead_links(text, read), size)), encoding="utf-8")


def remove_unused(static: Path, pages: list[Path]) -> None:
    """Removes the files of `static` that no page, style sheet or script names."""
    texts = [*pages, *(path for path in static.rglob("*") if path.suffix in (".css", ".js"))]
    for path in texts[len(pages) :]:
        path.write_text(SOURCE_MAP.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    named = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    for path in static.rglob("*"):
        if path.is_file() and path.name not in named:
            path.unlink()
    for path in sorted(static.rglob("*"), reverse=True):  # a folder after its files
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def finish(html: Path) -> None:
    """Finishes the book in `html`.

    Raises ValueError if there is none.
    """
    pages = [path for path in sorted(html.rglob("*.html")) if html / "_static" not in path.parents]
    if not pages:
        raise ValueError(f"{html} contains no rendered book: run make book first")
    for page in pages:
        finish_page(page, html)
    for notebook in (html / "_sources").glob("*.ipynb"):
        notebook.write_text(stripped(notebook.read_text(encoding="utf-8")), encoding="utf-8")
    for script in html.rglob(ICON_SCRIPT):
        script.unlink()
    cut_fonts(html / "_static", pages)
    remove_unused(html / "_static", pages)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes the rendered book light.")
    parser.add_argument("html", type=Path)
    finish(parser.parse_args(arguments).html)
    return 0


if __name__ == "__main__":
    sys.exit(main())
