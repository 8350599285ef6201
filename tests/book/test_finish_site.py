"""The rendered book is made light: files in place of what pages contain, cut fonts, and no file that nothing names."""

import base64
import io
import json
import re

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from PIL import Image

from tools.finish_site import finish, size_of, with_correct_names, with_files, with_lazy_images, without_dead_links
from tools.site_fonts import MATH_FONT, cut, math_characters, used_icons


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, format="png")
    return buffer.getvalue()


def test_pictures_and_tables_become_files():
    written = {}

    def write(suffix, content):
        written[suffix] = content
        return f"file.{suffix}"

    page = (
        f'<img alt="a > b" src="data:image/webp;base64,{encoded(b"picture")}"><a href="data:text/csv;base64,{encoded(b"1,2")}">'
    )
    assert with_files(page, write) == '<img alt="a > b" src="file.webp"><a href="file.csv">'
    assert written == {"webp": b"picture", "csv": b"1,2"}


def test_images_wait_until_they_come_into_view_and_have_their_size():
    page = '<p><img alt="a > b" src="a.png"/><img src="b.png" width="9" loading="eager"></p>'
    assert with_lazy_images(page, {"a.png": (30, 20)}.get) == (
        '<p><img loading="lazy" decoding="async" width="30" height="20" alt="a > b" src="a.png"/>'
        '<img src="b.png" width="9" loading="eager"></p>'
    )


def test_the_size_of_an_image_file(tmp_path):
    (tmp_path / "a.png").write_bytes(png(30, 20))
    assert size_of(tmp_path / "a.png") == (30, 20)
    Figure(figsize=(3, 2)).savefig(tmp_path / "a.svg")
    assert size_of(tmp_path / "a.svg") == (288, 192)  # 96 pixels an inch, as in a browser
    (tmp_path / "b.svg").write_text("<svg/>")
    assert size_of(tmp_path / "b.svg") is None


def test_an_empty_header_becomes_a_cell():
    row = '<thead><tr><th class="x"></th><th>\n&nbsp;</th><th>name</th><th><img src="a"></th></tr></thead>'
    found = '<thead><tr><td class="x"></td><td></td><th>name</th><th><img src="a"></th></tr></thead>'
    assert with_correct_names(row) == found
    assert with_correct_names(found) == found


def test_names_and_roles_of_the_theme_are_corrected():
    page = (
        '<div id="pst-primary-sidebar"><button class="search-button__button" aria-label="Search">Search Ctrl+K</button></div>'
        '<summary aria-label="Toggle hidden content">Show</summary><summary><span class="toctree-toggle"></span></summary>'
        '<div role="list"><div role="doc-biblioentry"></div></div>'
    )
    found = with_correct_names(page)
    assert with_correct_names(found) == found
    soup = BeautifulSoup(found, "html.parser")
    assert soup.button["aria-label"] == soup.button.get_text()
    assert [summary.get("aria-label") for summary in soup.find_all("summary")] == [None, "pages below"]
    assert soup.find(role="list").div["role"] == "listitem"
    assert soup.find(id="pst-primary-sidebar")["role"] == "navigation"


def test_letters_of_equations_are_also_shown_in_italics():
    found = math_characters(["<p>no</p><math><mi>x</mi><mo>&lt;</mo></math>", "<math><mi>&#x3b8;</mi>\n<mi>h</mi></math>"])
    assert {"x", "<", "θ", "h", "\U0001d465", "\U0001d703", "ℎ"} <= found
    assert not {"n", "o", "m", "&"} & found


def test_source_code_leads_only_to_names_that_are_documented():
    link = '<a class="viewcode-back" href="api.html#{}">[docs]</a>'
    python = '<li><a href="builtins.html">builtins</a></li>'
    pages = {"api.html": '<dt id="gap"></dt>'}
    assert without_dead_links(link.format("gap") + link.format("gone") + python, pages.__getitem__) == link.format("gap")


def test_rules_of_icons_that_no_page_shows_are_left_out():
    style = '.a{color:red}.fa-up:before,.fa-top:before{content:"\\f062"}.fa-down:before{content:"\\f063"}.b{--icon:"\\f0ad"}'
    style += '.c{--icon:"\uf0eb"}'
    kept, characters = used_icons(style, {"fa-top", "fa-solid"})
    assert kept == style.replace('.fa-down:before{content:"\\f063"}', "")
    assert characters == {"\uf062", "\uf0ad", "\uf0eb"}


def test_a_cut_font_has_the_characters_and_what_stretches_them(tmp_path):
    cut(MATH_FONT, tmp_path / "font.woff2", {"(", ")", "∑"})
    with TTFont(tmp_path / "font.woff2") as font:
        assert set(font.getBestCmap()) == {ord(character) for character in "()∑"}
        assert font["MATH"].table.MathVariants.VertGlyphCount > 0
        assert "OFL" in "".join(str(record) for record in font["name"].names if record.nameID in (13, 14))
    assert (tmp_path / "font.woff2").stat().st_size < 20_000


@pytest.fixture
def book(tmp_path):
    """A book of one page in a folder, with an icon, an equation, and files that nothing names."""
    static = tmp_path / "_static"
    (static / "vendor").mkdir(parents=True)
    cut(MATH_FONT, static / "vendor" / "fa-solid-900.woff2", {"a", "b"})  # stands for the font of icons
    rules = '.fa-a:before{content:"\\0061"}.fa-b:before{content:"\\0062"}'
    face = '@font-face{src:url(vendor/fa-solid-900.woff2) format("woff2"),url(vendor/fa-solid-900.ttf) format("truetype")}'
    (static / "theme.css").write_text(
        f"{rules}{face}\n@font-face{{src:url(math.woff2)}}\n/*# sourceMappingURL=theme.css.map */"
    )
    for name in ("theme.css.map", "fontawesome.js", "vendor/fa-solid-900.ttf"):
        (static / name).write_text("unused")
    body = f'<i class="fa-solid fa-a"></i><math><mi>x</mi></math><img src="data:image/png;base64,{encoded(png(3, 2))}">'
    for page in ("index.html", "search.html", "api/a.html"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        head = '<link href="_static/theme.css"><script defer src="_static/fontawesome.js?digest=1"></script>\n'
        head += '<script src="../searchindex.js"></script>'
        (tmp_path / page).write_text(f"<html>{head}{body}</html>")
    return tmp_path


def test_a_book_is_finished_and_finishing_it_again_changes_nothing(book):
    finish(book)
    files = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    names = sorted(path.relative_to(book / "_static").as_posix() for path in files if book / "_static" in path.parents)
    assert names == ["math.woff2", "theme.css", "vendor/fa-solid-900.woff2"]
    with TTFont(book / "_static" / "vendor" / "fa-solid-900.woff2") as font:
        assert set(font.getBestCmap()) == {ord("a")}
    (picture,) = (book / "_images").iterdir()
    for page, up in (("index.html", ""), ("api/a.html", "../")):
        text = (book / page).read_text()
        assert "<script" not in text
        assert re.search(rf'<img [^>]*width="3" height="2" src="{up}_images/{picture.name}">', text)
    assert re.findall(r"<script.*?>", (book / "search.html").read_text()) == ['<script src="../searchindex.js">']
    finish(book)
    assert {path for path in book.rglob("*") if path.is_file()} == set(files)
    assert {path: path.read_bytes() for path in files if path.suffix in (".html", ".css")} == {
        path: content for path, content in files.items() if path.suffix in (".html", ".css")
    }


def test_a_notebook_to_download_has_its_cells_without_outputs(book):
    cell = {"cell_type": "code", "source": "1 + 1", "metadata": {"tags": ["parameters"]}, "execution_count": 3}
    executed = {"cells": [{**cell, "outputs": [{"output_type": "stream", "text": "2" * 1000}]}], "metadata": {}, "nbformat": 4}
    (book / "_sources").mkdir()
    path = book / "_sources" / "01_toy.ipynb"
    path.write_text(json.dumps(executed))
    finish(book)
    (found,) = json.loads(path.read_text())["cells"]
    assert (found["source"], found["metadata"], found["outputs"]) == (["1 + 1"], {"tags": ["parameters"]}, [])


def test_without_a_book_there_is_a_message(tmp_path):
    with pytest.raises(ValueError, match="make book first"):
        finish(tmp_path)
