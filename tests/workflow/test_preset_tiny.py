"""The preset tiny, with which people try changes: every chapter can start, and there are maps to look at."""

import pytest

from ribstudy.config import load_settings
from ribstudy.stages import Run, execute
from ribstudy.stages.maps import CAM
from ribstudy.stages.preflight import require
from ribstudy.store import Store
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.preflight import unfinished_work


@pytest.fixture
def run_with(tmp_path, monkeypatch):
    """A function that returns the run with some other settings, on some images."""
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "data")
    store = Store(tmp_path / "results")
    return lambda overrides, images: Run(load_settings("tiny", overrides), store=store).with_images(images)


def test_nothing_is_missing_for_any_chapter(run_with):
    for jobs in CHAPTERS.values():
        found = jobs(load_settings("tiny")).values()
        require(unfinished_work((job, run_with(job.overrides, job.images)) for job in found))


def test_the_maps_of_the_image_are_not_empty(run_with):
    run = run_with({}, load_settings("tiny").compared)
    execute(CAM, run)
    (name,) = run.items(CAM)
    assert (run.stored(CAM)[name].normalized().max(axis=(1, 2)) > 0.9).all()
