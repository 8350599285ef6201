"""Checks the English of the repository against a list of patterns: `python -m tools.lint_english [--count] [files]`.

It reads Markdown, notebooks, docstrings, comments, help texts and error messages. The patterns and their reasons are in
`tools/english_patterns.py`. A file may have one clause with the word
"what" in 250 words. A rare exception is allowed by a comment with a reason on the line above the text, in it or at its end:

    # english: allow PATTERN: reason
    <!-- english: allow PATTERN: reason -->
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.english_patterns import PATTERNS, Pattern
from tools.prose import Passage, passages_of

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    *("README.md", "CONTRIBUTING.md", "data/README.md", "Snakefile", "book/**/*.md", "book/*.ipynb"),
    *("ribstudy/**/*.py", "tools/*.py", "tests/**/*.py", "ribstudy/presets/*.yml", "batches/*.yml"),
)
# The word in a clause such as "read what is stored", not in a question. Scikit-learn's docstrings have one in 13,000 words.
WHAT = re.compile(r"\bwhat\b(?=(?:[^.!?]|\.(?=\w))*(?:\.(?!\w)|\Z))", re.IGNORECASE)
WORDS_PER_WHAT = 250
ALLOW = re.compile(r"english: allow ([a-z-]+)(?:: *(\w[^\n]*?))? *(?:-->|\\n|\"|$)", re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """One place that matches a pattern. An allow marker that is wrong has no pattern."""

    file: str
    place: str  # line number; in a notebook also the cell
    message: str
    pattern: str = "marker"

    def __str__(self) -> str:
        return f"{self.file}:{self.place}: {self.message}"


def problems_of(text: str, name: str, patterns: Sequence[Pattern] = PATTERNS) -> list[Problem]:
    """The problems of one file.

    text: the text of the file.
    name: its path; the suffix decides how it is read.
    """
    passages = passages_of(text, Path(name).suffix)
    markers = _markers(text, name)
    problems, used = [], set()
    for pattern in patterns:
        for passage, position, words in _matches(passages, pattern):
            marker = _marker_for(passage, pattern, markers)
            used.add(marker)
            if marker is None:
                message = f'"{" ".join(words.split())}" ({pattern.name}): {pattern.reason}; better: {pattern.instead}'
                problems.append(Problem(name, _place(passage, position), message, pattern.name))
    return problems + _marker_problems(markers, used, name) + _what_problems(passages, name)


def _matches(passages: Sequence[Passage], pattern: Pattern) -> Iterator[tuple[Passage, int, str]]:
    """Every match: its passage, the position in it, and the matched words with the next word or two."""
    for passage in passages:
        for found in pattern.regex.finditer(passage.text):
            end = passage.text.find(" ", found.end() + 8)
            yield passage, found.start(), passage.text[found.start() : end if end > 0 else None]


def _place(passage: Passage, position: int) -> str:
    line = passage.line_of(position)
    return f"{line}" if passage.cell is None else f"cell {passage.cell}, line {line}"


Marker = tuple[int, str, str]  # line, name of the pattern, reason


def _markers(text: str, name: str) -> list[Marker]:
    """The allow markers of a file. In a notebook a marker counts for the whole notebook, so its line is 0."""
    is_notebook = name.endswith(".ipynb")
    lines = enumerate(text.splitlines(), 1)
    return [(0 if is_notebook else number, *found) for number, line in lines for found in ALLOW.findall(line)]


def _marker_for(passage: Passage, pattern: Pattern, markers: Sequence[Marker]) -> Marker | None:
    for marker in markers:
        line, name, _ = marker
        if name == pattern.name and (line == 0 or passage.line - 1 <= line <= passage.end):
            return marker
    return None


def _marker_problems(markers: Sequence[Marker], used: set, name: str) -> list[Problem]:
    """Markers without a reason, and markers that allow nothing."""
    problems = []
    for marker in markers:
        line, pattern, reason = marker
        if not reason:
            problems.append(Problem(name, str(line), f"allows {pattern} without a reason: english: allow {pattern}: REASON"))
        elif marker not in used:
            problems.append(Problem(name, str(line), f"allows {pattern}, which does not occur here: remove the marker"))
    return problems


def _what_problems(passages: Sequence[Passage], name: str) -> list[Problem]:
    """At most one problem: too many clauses for the length of the file. Two are always allowed."""
    places = [_place(passage, found.start()) for passage in passages for found in WHAT.finditer(passage.text)]
    num_words = sum(len(passage.text.split()) for passage in passages)
    allowed = max(2, num_words // WORDS_PER_WHAT)
    if len(places) <= allowed:
        return []
    where = "; ".join(places) if passages[0].cell else ", ".join(places)
    message = f'"what" as a noun {len(places)} times in {num_words} words, at most {allowed}: name the things (lines {where})'
    return [Problem(name, "1", message, "what")]


def all_problems(paths: Sequence[Path] = (), root: Path = ROOT) -> list[Problem]:
    """The problems of some files, by default of all files of the repository."""
    paths = paths or [path for pattern in FILES for path in sorted(root.glob(pattern))]
    names = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths]
    return [problem for path, name in zip(paths, names, strict=True) for problem in problems_of(path.read_text(), name)]


def summary(problems: Sequence[Problem]) -> str:
    """The number of problems of each pattern and of each file, the largest numbers first."""
    lines = []
    for title, counts in (
        ("by pattern", Counter(problem.pattern for problem in problems)),
        ("by file", Counter(problem.file for problem in problems)),
    ):
        lines += [title, *(f"{count:6} {name}" for name, count in counts.most_common())]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.lint_english", description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="files to read; default: all files of the repository")
    parser.add_argument("--count", action="store_true", help="print how many problems each pattern and each file has")
    options = parser.parse_args(arguments)
    problems = all_problems([path.resolve() for path in options.files])
    if problems:
        print(summary(problems) if options.count else "\n".join(map(str, problems)))
    print(f"english: {len(problems) or 'no'} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
