"""Prints the rendered book as one PDF: `python -m tools.print_book [folder]`, default: _build/html.

All pages are joined into one page in the order of the table of contents, except the API, which one searches on a screen. Their
links are changed to stay within it, and links to other files of the folder become text, because a PDF travels alone. Chromium
prints it to `ribstudy.pdf` in the folder, and the front page gets a link to it. The style sheet `custom.css` hides the parts
that make no sense on paper, and opens what is folded.
"""

import argparse
import base64
import io
import re
import sys
from pathlib import Path
from urllib.parse import urldefrag

import yaml
from bs4 import BeautifulSoup, Tag
from PIL import Image

from tools.browser import open_browser

NAME = "ribstudy.pdf"
API = "api/"  # folder of the pages that are not printed
STYLED = "T_"  # ids in a styled table of pandas begin so; its style sheet names them, so they stay
ELSEWHERE = ("http:", "https:", "data:", "mailto:", "//")  # beginnings of links that lead out of the book
PLACE = "print-version"  # id of the element of the front page for the link
QUALITY = 90  # of the JPEGs: Chromium stores pictures of other kinds without loss, which takes several times as much


def page_names(html: Path) -> list[str]:
    """The printed pages of a book in the order of its table of contents, which is in the folder `src` next to `html`."""
    contents = yaml.safe_load((html.resolve().parent / "src" / "_toc.yml").read_text())
    chapters = [chapter for part in contents["parts"] for chapter in part["chapters"]]
    names = [contents["root"], *(page["file"] for chapter in chapters for page in (chapter, *chapter.get("sections", ())))]
    return [name for name in names if not name.startswith(API)]


def _moved(link: str, page: str, names: list[str]) -> str:
    """A link of `page`, changed for the joined page in the book's root folder."""
    if link.startswith(ELSEWHERE):
        return link
    target, anchor = urldefrag(link)
    parts: list[str] = []
    for part in (*Path(page).parts[:-1], *Path(target).parts) if target else Path(f"{page}.html").parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    path = "/".join(parts)
    name = path.removesuffix(".html")
    if name in names:
        return f"#{name}--{anchor}" if anchor else f"#{name}"
    return path + (f"#{anchor}" if anchor else "")


def _prepare_for_paper(article: Tag, soup: BeautifulSoup) -> None:
    """Loads all images at once, and makes citations links to the list of references."""
    for image in article.find_all("img", loading="lazy"):
        del image["loading"]
    for button in article.select("button.citation"):
        opened = article.find(id=button["popovertarget"])
        link = soup.new_tag("a", href=opened.a["href"])
        link.string = button.get_text()
        button.replace_with(link)
        opened.decompose()


def _as_jpegs(whole: Tag, html: Path) -> None:
    """Replaces the pictures in WebP by JPEGs that the page contains."""
    for image in whole.select('img[src$=".webp"]'):
        buffer = io.BytesIO()
        with Image.open(html / image["src"]) as picture:
            picture.convert("RGB").save(buffer, format="JPEG", quality=QUALITY)
        image["src"] = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _contents(sections: list[Tag], soup: BeautifulSoup) -> Tag:
    """The headings of the pages as links, without page numbers, which Chromium cannot know here."""
    contents = soup.new_tag("ul")
    for place in sections:
        row, link = soup.new_tag("li"), soup.new_tag("a", href=f"#{place['id']}")
        link.string = _title(place)
        row.append(link)
        contents.append(row)
    return contents


def _title(place: Tag) -> str:
    """The heading of a page without the sign of its link."""
    return place.h1.get_text().removesuffix("#") if place.h1 else place["id"]


def section(soup: BeautifulSoup, page: str, names: list[str]) -> Tag:
    """The text of a rendered page; its anchors and links are changed so that they stay unique and valid in the joined page."""
    article = soup.select_one("article.bd-article")
    assert article is not None, page
    _prepare_for_paper(article, soup)
    for tag in article.find_all(True):
        if tag.get("id") and not tag["id"].startswith(STYLED):
            tag["id"] = f"{page}--{tag['id']}"
        for attribute in ("href", "src"):
            if tag.get(attribute):
                tag[attribute] = _moved(tag[attribute], page, names)
    for link in article.find_all("a", href=True):
        if not link["href"].startswith(("#", *ELSEWHERE)):
            link.unwrap()
    holder = soup.new_tag("section", attrs={"class": "printed-page", "id": page})
    holder.append(article.extract())
    return holder


def joined(html: Path) -> str:
    """All printed pages of the book as one HTML page."""
    names = page_names(html)
    sections = [section(BeautifulSoup((html / f"{name}.html").read_text(), "html.parser"), name, names) for name in names]
    whole = BeautifulSoup((html / "index.html").read_text(), "html.parser")
    whole.title.string = _title(sections[0])
    whole.body.clear()
    whole.body.extend(sections)
    if place := whole.find(id=f"index--{PLACE}"):  # where the web page has the link to the PDF
        place.clear()
        place.append(_contents(sections[1:], whole))
    _as_jpegs(whole, html)
    return str(whole)


def link_from_front_page(html: Path) -> None:
    """Writes the link into its element of the front page. Calling it again changes nothing."""
    path = html / "index.html"
    link = f'<div id="{PLACE}"><a href="{NAME}">This book as a PDF</a></div>'
    text, count = re.subn(rf'<div id="{PLACE}">.*?</div>', link, path.read_text(), flags=re.DOTALL)
    assert count == 1, f"the front page has {count} elements with the id {PLACE}"
    path.write_text(text)


def print_book(html: Path) -> Path:
    """Prints the book in `html` and returns the path of the PDF.

    Raises ValueError if there is no book or no browser.
    """
    if not (html / "index.html").exists():
        raise ValueError(f"{html} contains no rendered book: run make book first")
    whole = html / "_printed.html"
    whole.write_text(joined(html))
    try:
        with open_browser() as browser:
            page = browser.new_page()
            page.goto(whole.resolve().as_uri(), wait_until="load", timeout=600_000)
            page.evaluate("() => document.fonts.ready.then(() => true)")
            page.pdf(path=html / NAME, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    finally:
        whole.unlink()
    link_from_front_page(html)
    return html / NAME


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("html", type=Path, nargs="?", default=Path("_build/html"))
    try:
        print(f"The PDF: {print_book(parser.parse_args(arguments).html).resolve().as_uri()}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
