"""The outcome of the trials on a Slurm: a file of rows, and the tables in book/cluster.md that show them."""

import json
from collections.abc import Mapping
from pathlib import Path

from helpers.sections import Section

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("outcome.json")
PAGE = ROOT / "book" / "cluster.md"

Row = dict[str, str | int | float]  # by the name of the column


def section(kind: str, page: Path = PAGE) -> Section:
    """The section of the page that shows the rows of a kind: "trials" or "jobs"."""
    return Section(page, f"cluster-{kind}", "make cluster-test")


def rows(kind: str, file: Path = FILE) -> dict[str, Row]:
    """The rows of a kind, by the name of the test that has written them."""
    return json.loads(file.read_text()).get(kind, {}) if file.exists() else {}


def note(kind: str, test: str, row: Row, *, file: Path = FILE, page: Path = PAGE) -> None:
    """Replaces the row of a test, in the file and on the page. A new row comes last."""
    content = json.loads(file.read_text()) if file.exists() else {}
    content.setdefault(kind, {})[test] = row
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    section(kind, page).write(table(content[kind]))


def table(found: Mapping[str, Row]) -> str:
    """The rows as Markdown; all have the same columns."""
    columns = list(next(iter(found.values())))
    lines = [columns, ["---"] * len(columns), *(row.values() for row in found.values())]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
