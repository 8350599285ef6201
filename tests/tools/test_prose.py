import json

from tools.prose import passages_of

MARKDOWN = """\
# A title
First line
**of** two, with `code`, $x_1$ and [a link](page.md).

- item {glue:text}`name:.3f` one
- item two

```python
no = "prose"
```

$$
x = 1
$$

| head | other |
|---|---|
| cell | `x` cell |
"""

PYTHON = '''\
"""Module.

Second paragraph with ``code``.

    >>> example()
"""

# A comment
# of two lines
x = 1  # trailing
y = 2  # noqa: E501


def f():
    """Docstring :math:`x`."""
    raise ValueError(f"bad {x}")


parser.add_argument("--a", help="the help text", default="not read")
'''


def found(text: str, suffix: str) -> list[tuple[int, str]]:
    return [(passage.line, passage.text) for passage in passages_of(text, suffix)]


def test_markdown_is_read_without_code_and_equations():
    assert found(MARKDOWN, ".md") == [
        (1, "A title"),
        (2, "First line\nof two, with X, X and a link."),
        (5, "item X one"),
        (6, "item two"),
        (16, "head"),
        (16, "other"),
        (18, "cell"),
        (18, "X cell"),
    ]


def test_directives_are_read_if_their_content_is_prose():
    text = "```{figure} a.png\n:alt: A cat\nThe caption.\n```\n```{eval-rst}\n.. automodule:: x\n```\nAfter.\n"
    assert [words for _, words in found(text, ".md")] == ["A cat\nThe caption.", "After."]


def test_python_is_read_for_docstrings_comments_and_messages():
    texts = dict(found(PYTHON, ".py"))
    assert texts[1].split("\n") == ["Module.", "", "Second paragraph with X.", "", "", ""]
    assert texts[8] == "A comment\nof two lines."
    assert texts[10] == "trailing."
    assert texts[15] == "Docstring X."
    assert texts[16] == "bad X"
    assert texts[19] == "the help text"
    assert len(texts) == 6


def test_positions_lead_to_lines():
    (passage,) = [found for found in passages_of(PYTHON, ".py") if "Module" in found.text]
    assert passage.line_of(passage.text.index("Second")) == 3


def test_yaml_is_read_for_comments():
    assert found("a: 1  # paper\n# Whole line\nb: 'x#y'\n", ".yml") == [(1, "paper."), (2, "Whole line.")]


def test_notebook_is_read_cell_by_cell():
    cells = [
        {"cell_type": "markdown", "source": ["One.\n", "\n", "Two."], "metadata": {}},
        {"cell_type": "code", "source": ["x = 1  # a comment"], "metadata": {"mystnb": {"image": {"alt": "A cat"}}}},
    ]
    passages = passages_of(json.dumps({"cells": cells}), ".ipynb")
    assert [(passage.cell, passage.line, passage.text) for passage in passages] == [
        (1, 1, "One."),
        (1, 3, "Two."),
        (2, 1, "a comment."),
        (2, 1, "A cat"),
    ]
