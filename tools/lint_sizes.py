"""Checks that files and functions stay short: `python -m tools.lint_sizes`.

A short file can be read in one sitting and a short function on one screen. The limits apply to tests as well.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ribstudy", "tools", "tests")
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40  # from `def` to the last line; docstring included, decorators not


def problems_of(source: str, name: str) -> list[str]:
    """The problems of one Python file, one line each.

    source: the text of the file.
    name: its path, as the messages show it.
    """
    problems = []
    num_lines = len(source.splitlines())
    if num_lines > MAX_FILE_LINES:
        problems.append(f"{name}:1: the file has {num_lines} lines, at most {MAX_FILE_LINES} are allowed")
    for function in _functions(source):
        length = function.end_lineno - function.lineno + 1
        if length > MAX_FUNCTION_LINES:
            where = f"{name}:{function.lineno}: {function.name}"
            problems.append(f"{where} has {length} lines, at most {MAX_FUNCTION_LINES} are allowed")
    return problems


def _functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def all_problems(root: Path = ROOT) -> list[str]:
    """The problems of all Python files of the repository."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    return [problem for path in paths for problem in problems_of(path.read_text(), str(path.relative_to(root)))]


def main() -> int:
    problems = all_problems()
    print("\n".join(problems) or "sizes: no problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
