"""The jobs that each chapter declares."""

import pytest
import yaml

from ribstudy.config import load_settings, preset_names
from ribstudy.runtime.paths import PROJECT
from ribstudy.workflow.jobs import CHAPTERS, DEFAULT, ablation_seeds
from ribstudy.workflow.variants import variants


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_job_has_valid_settings(preset, chapter):
    for job in CHAPTERS[chapter](load_settings(preset)).values():
        job.stage.needs(load_settings(preset, dict(job.overrides)))


def test_every_chapter_is_in_the_table_of_contents():
    contents = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    assert set(CHAPTERS) <= {page["file"] for part in contents["parts"] for page in part["chapters"]}


def test_the_ablations_adapt_for_the_default_and_for_every_variant_that_is_not_read():
    settings = load_settings("mini")
    jobs = CHAPTERS["07_ablations"](settings)
    unread = [variant.name for variant in variants(settings) if not variant.read]
    assert list(jobs) == [(name, seed) for seed in ablation_seeds(settings) for name in (DEFAULT, *unread)]
    assert {job.images for job in jobs.values()} == {settings.ablations.images}


def test_two_chapters_name_the_same_result_by_the_same_settings():
    """Chapters 4 and 9 report the same gain of RIB, because they use the same stage, images and settings."""
    settings = load_settings("mini")
    rib, bottleneck = CHAPTERS["04_rib"](settings), CHAPTERS["09_bottleneck"](settings)
    for seed in range(settings.seeds):
        assert rib["RIB", seed, "train"] == bottleneck["RIB", seed, "train"]
