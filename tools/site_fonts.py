"""Fonts of the rendered book, cut to the characters that its pages show.

Equations get STIX Two Math, which comes with ziamath: it has the tables from which a browser builds large brackets and sums.
Not every system has such a font. Icons get the font that comes with the theme.
"""

import re
import unicodedata
from collections.abc import Iterable
from html import unescape
from importlib.metadata import distribution
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

MATH_FONT = Path(distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf"))
MATH = re.compile(r"<math\b.*?</math>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
# The italic h has a place of its own in Unicode.
ITALIC = ["ℎ", *(chr(code) for code in range(0x1D400, 0x1D800) if "ITALIC" in unicodedata.name(chr(code), ""))]
ICON_NAME = re.compile(r"\bfa-[a-z0-9-]+")
# A rule of the style sheet that gives an icon its character: .fa-search:before{content:"\f002"}
ICON_RULE = re.compile(r'(?P<names>\.fa-[\w-]+:before(?:,\.fa-[\w-]+:before)*)\{content:"\\(?P<code>[0-9a-f]+)"\}')
ESCAPED = re.compile(r'"\\([0-9a-f]{4})"')
PRIVATE = re.compile("[\ue000-\uf8ff]")  # an icon that a style sheet contains as a character
TRUETYPE = re.compile(r',url\([^)]*\.ttf\) format\("truetype"\)')


def math_characters(pages: Iterable[str]) -> set[str]:
    """The characters of all equations. A browser shows a letter that is a variable as the italic letter of Unicode."""
    shown = {character for page in pages for element in MATH.findall(page) for character in unescape(TAG.sub("", element))}
    return shown | {italic for italic in ITALIC if unicodedata.normalize("NFKC", italic) in shown}


def used_icons(style: str, names: set[str]) -> tuple[str, set[str]]:
    """A style sheet without the rules of icons that are not in `names`, and the characters of the icons that it shows."""

    def kept(rule: re.Match) -> str:
        return rule[0] if names & set(ICON_NAME.findall(rule["names"])) else ""

    style = ICON_RULE.sub(kept, style)
    codes = {rule["code"] for rule in ICON_RULE.finditer(style)} | set(ESCAPED.findall(style))
    return style, {chr(int(code, 16)) for code in codes} | set(PRIVATE.findall(style))


def cut(font: Path, to: Path, characters: set[str]) -> None:
    """Writes a font with only these characters, and with its licence, as WOFF2."""
    options = Options(layout_features=["*"], name_IDs=["*"], notdef_outline=True)
    subsetter = Subsetter(options)
    with TTFont(font) as opened:
        subsetter.populate(unicodes=[ord(character) for character in characters])
        subsetter.subset(opened)
        opened.flavor = "woff2"
        opened.save(to)


def cut_fonts(static: Path, pages: Iterable[Path]) -> None:
    """Cuts the fonts in the folder `static` of a book to what these pages show."""
    texts = [path.read_text(encoding="utf-8") for path in pages]
    cut(MATH_FONT, static / "math.woff2", math_characters(texts))
    scripts = [path.read_text(encoding="utf-8") for path in static.rglob("*.js")]
    names = {name for text in (*texts, *scripts) for name in ICON_NAME.findall(text)}
    characters = set()
    for path in static.rglob("*.css"):
        style, shown = used_icons(path.read_text(encoding="utf-8"), names)
        path.write_text(TRUETYPE.sub("", style), encoding="utf-8")
        characters |= shown
    for path in static.rglob("fa-*.woff2"):
        cut(path, path, characters)
