"""Symbols of equations and of code have the same class."""

import re
from pathlib import Path

from tools.symbols import SYMBOLS, coloured

TAGGED = '<div class="cell tag_symbols docutils"><pre><span class="n">theta</span><span class="n">eta</span></pre></div>'
PLAIN = '<div class="cell docutils"><pre><span class="n">A</span></pre></div>'
EQUATION = "<math><mi>A</mi><mi>θ</mi><mi>x</mi></math>"
STYLE = Path(__file__).parents[2] / "book" / "_static" / "equations.css"


def test_equations_and_tagged_cells_share_the_classes():
    assert coloured(EQUATION + TAGGED + PLAIN) == (
        '<math><mi class="symbol-A">A</mi><mi class="symbol-theta">θ</mi><mi>x</mi></math>'
        '<div class="cell tag_symbols docutils"><pre>'
        '<span class="n symbol-theta">theta</span><span class="n">eta</span></pre></div>' + PLAIN
    )


def test_a_page_without_a_tagged_cell_stays_as_it_is():
    assert coloured(EQUATION + PLAIN) == EQUATION + PLAIN


def test_every_symbol_has_a_colour():
    assert set(re.findall(r"\.symbol-(\w+)", STYLE.read_text())) == set(SYMBOLS)
