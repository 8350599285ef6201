"""The published results of this repository, under the keys of the present code."""

import pytest

from ribstudy.config import load_settings
from ribstudy.runtime.paths import PUBLISHED
from ribstudy.stages.stage import only_checks
from ribstudy.store import Store
from ribstudy.workflow.book import batch_of_book, chapters_of
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.left import is_done
from ribstudy.workflow.publication import MAX_BYTES

SHOWN = [
    (preset, chapter)
    for preset in batch_of_book().presets
    for chapter in chapters_of(preset)
    if not all(only_checks(job.stage) for job in CHAPTERS[chapter](load_settings(preset)).values())
]


@pytest.mark.parametrize(("preset", "chapter"), SHOWN)
def test_a_chapter_finds_everything_that_it_shows_published(preset, chapter, tmp_path):
    """If this fails on purpose, compute the study again: make study, make book, make publish."""
    store = Store(tmp_path, PUBLISHED)
    jobs = CHAPTERS[chapter](load_settings(preset))
    shown = {name: job for name, job in jobs.items() if not only_checks(job.stage)}
    missing = [name for name, job in shown.items() if not is_done(job, load_settings(preset, dict(job.overrides)), store=store)]
    assert missing == []


def test_the_published_files_are_those_of_the_manifest(tmp_path):
    published = Store(tmp_path, PUBLISHED).published
    assert {path.stem for path in PUBLISHED.glob("*.zip")} == set(published.manifest)
    for name in published.manifest:
        assert published.bundle(name).parts  # reads the file and compares its SHA-256
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < MAX_BYTES
