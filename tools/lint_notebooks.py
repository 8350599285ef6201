"""Checks the house style of the chapters (CONTRIBUTING.md): `python tools/lint_notebooks.py [files]`, default: all of book/."""

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from ribstudy.workflow.stripped import stripped

BOOK = Path(__file__).resolve().parent.parent / "book"
MAX_FUNCTION_LINES = 12  # a helper for one figure; longer functions belong in the library
# Code that draws: a statement that ends a cell with a semicolon. `page.figure` requires an alternative text itself.
DRAWS = re.compile(r"(figures?|look)\.\w+\(.*\);$|^display\(")
PLUMBING = re.compile(r"\bpage\.figure\(|\bchapter\.(?:note\w*|say)\(|\bnote_\w+\(|\bglue\w*\(")
TRAINING = re.compile(r"\.backward\(|\.zero_grad\(|optimizer\.step\(")


def problems_of(path: Path) -> list[str]:
    """The problems of one chapter, one line each."""
    if path.suffix == ".md":
        return _title_problems(path.read_text())
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    problems = _title_problems(notebook.cells[0].source if notebook.cells[0].cell_type == "markdown" else "")
    problems += _parameter_problems(code) + _ending_problems(code)
    if _committed(path) != _object(stripped(path.read_text())):
        problems.append("git would keep outputs, or what an editor writes into it: run make setup, or make format")
    for cell in code:
        problems += _code_problems(cell.source)
        problems += _figure_problems(cell) + _plumbing_problems(cell)
    return problems


def _committed(path: Path) -> str:
    """The object that git would make of a file, after the filter if there is one."""
    return _git("hash-object", f"--path={path.name}", str(path.resolve()), folder=path.resolve().parent)


def _object(text: str) -> str:
    return _git("hash-object", "--stdin", "--no-filters", text=text)


def _git(*arguments: str, folder: Path | None = None, text: str | None = None) -> str:
    run = subprocess.run(["git", *arguments], cwd=folder, input=text, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _title_problems(text: str) -> list[str]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return [] if first.startswith("# ") else ["does not open with a title (# ...)"]


def _parameter_problems(code: list) -> list[str]:
    tagged = [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        return [f"has {len(tagged)} cells tagged `parameters`, expected one"]
    first, *assignments = tagged[0].splitlines()
    problems = [] if first == "# Parameters" else ["the first line of its parameters is not `# Parameters`"]
    return problems + [f"parameter without a comment: {line}" for line in assignments if " # " not in line]


def _ending_problems(code: list) -> list[str]:
    """JupyterLab shows the numbers that `finish` returns as a table. The book has them in its text and leaves the cell out."""
    problems = []
    for cell in code:
        if "chapter.finish(" in cell.source and cell.source.splitlines()[-1] != "chapter.finish()":
            problems.append("chapter.finish() is not the last line of its cell, which shows its table of numbers")
        if "chapter.finish(" in cell.source and "remove-cell" not in cell.metadata.get("tags", []):
            problems.append("the cell with chapter.finish() lacks the tag remove-cell")
    return problems


def _code_problems(source: str) -> list[str]:
    problems = [f"calls {call}): training belongs in the library" for call in TRAINING.findall(source)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            problems.append(f"defines class {node.name}: classes belong in the library")
        elif isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES:
            problems.append(f"def {node.name} has more than {MAX_FUNCTION_LINES} lines: it belongs in the library")
    return problems


def _figure_problems(cell: nbformat.NotebookNode) -> list[str]:
    lines = [line.strip() for line in cell.source.splitlines()]
    drawn = [line for line in lines if DRAWS.search(line)]
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    return [] if alt.strip() or not drawn else [f"figure without an alternative text (mystnb: image: alt): {drawn[-1]}"]


def _plumbing_problems(cell: nbformat.NotebookNode) -> list[str]:
    """Calls that bring numbers and figures to the page do not explain the method, so the book folds them away."""
    found = PLUMBING.search(cell.source)
    if found is None or {"hide-input", "remove-cell"} & set(cell.metadata.get("tags", [])):
        return []
    return [f"calls {found[0]}...) without the tag hide-input"]


def all_problems(paths: Sequence[Path] = ()) -> list[str]:
    """The problems of some chapters, by default of all chapters of the book, with the names of the files."""
    paths = paths or sorted([*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")])
    return [f"{path.name}: {problem}" for path in paths for problem in problems_of(path)]


def main(arguments: list[str]) -> int:
    problems = all_problems([Path(argument) for argument in arguments])
    print("\n".join(problems) or "notebooks: no problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
