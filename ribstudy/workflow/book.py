"""The presets that the book shows, and the chapters that show each of them: what batches/book.yml says."""

from pathlib import Path

from ribstudy.config import load_settings
from ribstudy.runtime.paths import PROJECT
from ribstudy.runtime.strict_yaml import read_mapping
from ribstudy.stages import Run
from ribstudy.workflow.batch import Batch, read
from ribstudy.workflow.jobs import CHAPTERS

FILE = PROJECT / "batches" / "book.yml"


def notebooks(book: Path) -> list[str]:
    """The names of the notebooks that the table of contents in a folder lists, in its order."""
    contents = read_mapping(book / "_toc.yml", "the table of contents")
    listed = [page["file"] for part in contents.get("parts", [contents]) for page in part["chapters"]]
    return [page for page in (contents["root"], *listed) if not (book / f"{page}.md").exists()]


def batch_of_book() -> Batch:
    """The batch that `make book` runs without a preset."""
    return read(FILE)


def presets_shown_with(preset: str) -> tuple[str, ...]:
    """The presets of a page about all results: the presets of the book if `preset` is its own, or else only `preset`."""
    batch = batch_of_book()
    return batch.presets if preset == batch.preset else (preset,)


def runs_shown_with(preset: str, run: Run) -> dict[str, Run]:
    """The run of each preset of a page about all results (`presets_shown_with`); `run` is the one of the page's own preset."""
    shown = presets_shown_with(preset)
    return {other: run if other == preset else Run(load_settings(other), store=run.store) for other in shown}


def chapters_of(preset: str) -> tuple[str, ...]:
    """The chapters whose results the book shows with a preset: all, unless batches/book.yml names the preset for some."""
    first = batch_of_book().first
    return tuple(chapter for chapter in CHAPTERS if not first or preset != first.preset or chapter in first.notebooks)
