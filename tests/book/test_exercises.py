"""The exercises of the chapters: each has a solution, and the solutions that are code are right."""

import json
import re
import textwrap
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
EXERCISE = re.compile(r"^\d+\. \*\*", re.MULTILINE)
SOLUTION = re.compile(r"^ *:::\{dropdown\} Solution\n(.*?)^ *:::$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def exercises(path: Path) -> str:
    """The section with the exercises; "" if a notebook has none."""
    cells = json.loads(path.read_text())["cells"]
    texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return next((text for text in texts if text.startswith("## Exercises")), "")


SECTIONS = {path.stem: text for path in sorted(BOOK.glob("*.ipynb")) if (text := exercises(path))}
PROGRAMS = [
    pytest.param(textwrap.dedent(code), id=f"{name}-{place}")
    for name, text in SECTIONS.items()
    for place, code in enumerate(CODE.findall(text), 1)
]


@pytest.mark.parametrize("text", SECTIONS.values(), ids=SECTIONS)
def test_each_exercise_has_a_hidden_solution(text):
    each = EXERCISE.split(text)[1:]
    assert 3 <= len(each) <= 5
    assert [len(SOLUTION.findall(exercise)) for exercise in each] == [1] * len(each)


@pytest.mark.parametrize("code", PROGRAMS)
def test_solution_is_right(code):
    """Its assertions hold."""
    assert "assert " in code
    exec(compile(code, "solution", "exec"), {})
