"""Sphinx extension: a symbol has one colour in the equations of a page and in its code cells with the tag `symbols`.

The colours are in book/_static/equations.css. They only repeat the names, so a reader who does not see them misses nothing.
"""

import re
from typing import Any

from sphinx.application import Sphinx

# The letter in equations, by the name in code.
SYMBOLS = {"A": "A", "R": "R", "y": "y", "M": "M", "theta": "θ"}
NAMES = {letter: name for name, letter in SYMBOLS.items()}
CELL = re.compile(r'<div class="[^"]*\btag_symbols\b[^"]*">.*?</pre>', re.DOTALL)
IN_CODE = re.compile(rf'<span class="n">({"|".join(SYMBOLS)})</span>')
IN_EQUATION = re.compile(rf"<mi>({'|'.join(NAMES)})</mi>")


def coloured(body: str) -> str:
    """A page whose symbols have a class, such as `symbol-theta`; the same page if no cell has the tag."""
    if not CELL.search(body):
        return body
    body = IN_EQUATION.sub(lambda found: f'<mi class="symbol-{NAMES[found[1]]}">{found[1]}</mi>', body)
    return CELL.sub(lambda cell: IN_CODE.sub(r'<span class="n symbol-\1">\1</span>', cell[0]), body)


def _colour(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        context["body"] = coloured(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", _colour)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
