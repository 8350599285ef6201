"""Every chapter runs with tiny parameters (fixture `tiny_book`), and bad parameters stop it."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from ribstudy.workflow.book import notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
WITHOUT_RECORD = {"your_photograph"}  # it runs where the packages of the book are missing
PAGES = notebooks(ROOT / "book")  # all but play.ipynb, whose controls need JupyterLab (tests/lab)

spec = importlib.util.spec_from_file_location("lint_notebooks", ROOT / "tools" / "lint_notebooks.py")
lint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lint)


@pytest.mark.parametrize("name", PAGES)
def test_chapter_runs_with_tiny_parameters(tiny_book, name):
    path = tiny_book.results / "notebooks" / "book-smallest" / f"{name}.ipynb"
    assert path.is_file(), f"{name} failed:\n{tiny_book.output[-5000:]}"
    executed = nbformat.read(path, as_version=4)
    assert executed.metadata.papermill.exception is None
    if name in WITHOUT_RECORD:
        return
    (path,) = (tiny_book.results / "records").glob(f"{name}.*.json")
    assert path.name.split(".")[1] == ("custom" if name == "own_data" else "smallest")
    record = json.loads(path.read_text())
    assert all(set(number) == {"value", "low", "high", "n", "standard_error"} for number in record.values())


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("01_toy", {"seeds": "two"}, "seeds = 'two'"),
        ("04_rib", {"taau": 0.5}, "no parameter taau, did you mean tau"),
        ("status", {"preset": "minni"}, "preset 'minni' is unknown; known: .*mini"),
    ],
)
def test_bad_parameter_stops_before_work(name, parameters, message, tmp_path, monkeypatch):
    for variable in ("RIBSTUDY_RESULTS", "RIBSTUDY_DATA"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PapermillExecutionError, match=message):
        papermill.execute_notebook(
            ROOT / "book" / f"{name}.ipynb", tmp_path / "out.ipynb", parameters, kernel_name="python3", progress_bar=False
        )
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_keeps_the_house_style(path):
    assert lint.problems_of(path) == []


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if "03" <= path.stem < "10"], ids=lambda path: path.stem)
def test_chapter_on_listed_images_needs_no_photographs(path):
    """It asks for them through `panels.photograph` and `panels.true_mask`, which replace missing ones."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [line for cell in cells for line in cell["source"] if re.search(r"\.(image|mask)\(", line)] == []


def test_style_check_finds_each_problem(tmp_path):
    cell = nbformat.v4.new_code_cell
    long_function = "def f():\n" + "    x = 1\n" * 12
    bad = nbformat.v4.new_notebook(
        cells=[
            cell("preset = 'mini'", metadata={"tags": ["parameters"]}),
            cell("class Net: ..."),
            cell("loss.backward()\noptimizer.step()", execution_count=1),
            cell(long_function),
            cell("figures.gains(rows);"),
            cell("chapter.finish();"),
            cell("chapter.note_estimate('a', found)"),
            cell("figures.coverage(rows);", metadata={"mystnb": {"image": {"alt": "lines"}}}),
        ]
    )
    nbformat.write(bad, tmp_path / "bad.ipynb")
    problems = "\n".join(lint.problems_of(tmp_path / "bad.ipynb"))
    for words in (
        "title",
        "# Parameters",
        "git would keep outputs",
        "class Net",
        ".backward()",
        "optimizer.step()",
        "def f has more",
        "not the last line of its cell",
        "lacks the tag remove-cell",
        "calls chapter.note_estimate(...) without the tag hide-input",
    ):
        assert words in problems
    assert "alternative text (mystnb: image: alt): figures.gains(rows);" in problems
    assert "figures.coverage" not in problems
