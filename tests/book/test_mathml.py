"""Equations of the book as MathML."""

import re

import pytest

from tools.mathml import mathml


def test_a_formula_becomes_one_element():
    assert mathml("x_i", display=False) == "<math><msub><mi>x</mi><mi>i</mi></msub></math>"
    assert mathml("x_i", display=True).startswith('<math display="block">')


def test_rows_are_aligned():
    rows = mathml(r"a &= b \\ c &= d", display=True)
    assert rows.count("<mtr>") == 2
    assert mathml("a &= b\n\n c &= d", display=True) == rows


def test_a_large_bracket_with_an_index_is_in_a_row_of_its_own():
    squared = mathml(r"\big(a\big)^2", display=True)
    assert re.search(r"<msup><mrow><mo [^>]*minsize[^>]*>\)</mo></mrow><mn>2</mn></msup>", squared)
    assert "<mrow>" not in mathml(r"\big(a\big)", display=True) + mathml(r"\sum_i", display=False)


@pytest.mark.parametrize("latex", [r"\nosuchcommand", r"\frac{1}", "{x"])
def test_a_formula_that_cannot_be_rendered_is_named(latex):
    with pytest.raises(ValueError, match="cannot be rendered") as raised:
        mathml(latex, display=False)
    assert repr(latex) in str(raised.value)
