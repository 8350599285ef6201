"""Sphinx extension: renders equations as MathML when the book is built, so that a page loads no script for them.

math-core writes the part of MathML that all browsers draw, with TeX's spaces, and refuses a command that it does not know.
"""

import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

# Browsers ignore the size of a bracket that has an index, unless the bracket is in a row of its own.
SIZED_WITH_INDEX = re.compile(r"(<m(?:sub|sup|subsup)>)(<mo\b[^>]*\bminsize=[^>]*>[^<]*</mo>)")

logger = logging.getLogger(__name__)


def mathml(latex: str, *, display: bool) -> str:
    """A formula as an element `math`.

    Args:
        latex: the formula. In a display, blank lines or double backslashes separate rows, which are aligned at "&".
        display: on a line of its own, with large operators.

    Raises:
        ValueError: the formula contains a command that cannot be rendered, or is not complete.
    """
    rows = re.split(r"\n\s*\n", latex.strip())
    if len(rows) > 1 or r"\\" in latex:
        latex = r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"
    try:
        element = LatexToMathML(fancy_error=False).convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        raise ValueError(f"the formula {latex!r} cannot be rendered: {error}") from None
    return SIZED_WITH_INDEX.sub(r"\1<mrow>\2</mrow>", element)


def _add(translator: HTML5Translator, node: nodes.Element, *, display: bool) -> None:
    try:
        translator.body.append(mathml(node.astext(), display=display))
    except ValueError as error:
        logger.warning(str(error), location=node)


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    _add(translator, node, display=False)
    translator.body.append("</span>")
    raise nodes.SkipNode


def visit_display(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, _("Link to this equation"))
        translator.body.append("</span>")
    _add(translator, node, display=True)
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
