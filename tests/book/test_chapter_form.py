"""Each chapter of the study begins with its answer and ends with a summary and exercises (CONTRIBUTING.md)."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
NUMBER = re.compile(r"\| (\w+)::(\w+):")  # in a row of a table of headline numbers
PARTS = {part["caption"]: part for part in yaml.safe_load((BOOK / "_toc.yml").read_text())["parts"]}
CHAPTERS = [page["file"] for page in PARTS["The study"]["chapters"]]


@pytest.fixture(params=CHAPTERS)
def texts(request) -> list[str]:
    """The Markdown cells of a chapter."""
    cells = json.loads((BOOK / f"{request.param}.ipynb").read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def test_a_reader_of_the_first_screen_knows_the_answer(texts):
    title, subtitle, question, *others = texts[0].split("\n\n")
    assert title.startswith("# ")
    assert subtitle.startswith("*")
    assert subtitle.endswith("*")
    assert "\n" not in subtitle
    assert question.startswith("**")
    assert others[0] == "{glue:any}`answer`"
    assert "{sub-ref}`wordcount-minutes`" in others[1]
    assert others[2].startswith("- ")


def test_a_chapter_ends_with_a_summary_and_exercises(texts):
    headings = [line for text in texts for line in text.splitlines() if line.startswith("## ")]
    assert headings[-1] == "## Exercises"
    assert headings[-2].startswith("## Summary")


def test_chapters_have_the_numbers_of_their_files():
    assert PARTS["The study"]["numbered"] == 1
    numbers = {name: place for place, name in enumerate(CHAPTERS, 1)}
    assert {name: place for name, place in numbers.items() if name[:2].isdigit() and int(name[:2]) != place} == {}


def test_tables_of_headline_numbers_name_numbers_that_chapters_note():
    """A number without a record reads "not run", so a mistyped name would, too."""
    shown = {found for path in BOOK.glob("*.ipynb") for found in NUMBER.findall(path.read_text())}
    noted = {
        (path.name.partition(".")[0], name)
        for path in (ROOT / "published" / "records").glob("*.json")
        for name in json.loads(path.read_text())
    }
    assert len(shown) > 5
    assert shown - noted == set()
