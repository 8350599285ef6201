"""The jobs that each chapter declares."""

import pytest
import yaml

from ribstudy.config import load_settings, preset_names
from ribstudy.runtime.paths import PROJECT
from ribstudy.stages.maps import RIB
from ribstudy.stages.stage import ItemStage, WholeStage, result_key
from ribstudy.workflow.jobs import CHAPTERS, DEFAULT, PART_METHODS, ablation_seeds
from ribstudy.workflow.variants import ITERATIONS, variants


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_job_has_valid_settings(preset, chapter):
    for job in CHAPTERS[chapter](load_settings(preset)).values():
        job.stage.needs(load_settings(preset, dict(job.overrides)))


def test_every_chapter_is_in_the_table_of_contents():
    contents = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    assert set(CHAPTERS) <= {page["file"] for part in contents["parts"] for page in part["chapters"]}


def test_the_ablations_score_the_default_and_every_variant():
    settings = load_settings("mini")
    jobs = CHAPTERS["07_ablations"](settings)
    names = (DEFAULT, *(variant.name for variant in variants(settings)))
    assert list(jobs) == [(name, seed) for seed in ablation_seeds(settings) for name in names]
    assert {job.images for job in jobs.values()} == {settings.ablations.images}
    at_every_step = {name for (name, _), job in jobs.items() if load_settings("mini", job.overrides).evaluation.every_step}
    assert at_every_step == {DEFAULT, ITERATIONS}


def test_variants_that_combine_the_same_maps_need_no_adaptation_of_their_own():
    settings = load_settings("mini")
    keys = {name: _key(RIB, job) for (name, seed), job in CHAPTERS["07_ablations"](settings).items() if seed == settings.seed}
    combined = {"last_only", "normalized", "range", "percentile"}
    assert {name for name, key in keys.items() if key == keys[DEFAULT]} == {DEFAULT, *combined}
    assert len(set(keys.values())) == len(keys) - len(combined)
    own = [_key(job.stage, job) for (_, seed), job in CHAPTERS["07_ablations"](settings).items() if seed == settings.seed]
    assert len(set(own)) == len(own)  # all are scored separately


def _key(stage, job):
    return result_key(stage, load_settings("mini", dict(job.overrides)))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_read_named_files_of_trainings_and_declare_what_is_drawn(chapter):
    for job in CHAPTERS[chapter](load_settings("mini")).values():
        if isinstance(job.stage, WholeStage):
            assert set(job.files or ()) <= set(job.stage.files)
            assert job.scored is job.stage
        else:
            assert job.files is None
            assert isinstance(job.scored, ItemStage)
            assert job.scored is job.stage or job.stage.name.startswith("evaluate-")


@pytest.mark.parametrize("chapter", ["03_cam", "04_rib", "05_masks", "06_segmentation", "08_other_methods"])
def test_every_estimate_is_repeated_with_other_seeds(chapter):
    jobs = CHAPTERS[chapter](load_settings("mini", {"seeds": 3, "seed": 5}))
    assert {job.overrides["seed"] for job in jobs.values() if "seed" in job.overrides} == {5, 6, 7}


def test_two_chapters_name_the_same_result_by_the_same_settings():
    """Chapters 4 and 9 report the same gain of RIB, because they use the same stage, images and settings."""
    settings = load_settings("mini")
    rib, bottleneck = CHAPTERS["04_rib"](settings), CHAPTERS["09_bottleneck"](settings)
    for seed in range(settings.seeds):
        assert rib["RIB", seed, "train"] == bottleneck["RIB", seed, "train"]


def test_the_preset_s_own_part_has_the_results_of_the_chapter_on_rib():
    settings = load_settings("mini")
    rib, jobs = CHAPTERS["04_rib"](settings), CHAPTERS["discriminative_part"](settings)
    own = settings.data.minivoc.part_share
    for seed in range(settings.seeds):
        for method in PART_METHODS:
            assert jobs[own, method, seed, "train"] == rib[method, seed, "train"]


def test_every_other_part_has_data_a_classifier_and_images_of_its_own():
    settings = load_settings("mini")
    jobs, part = CHAPTERS["discriminative_part"](settings), settings.discriminative_part
    assert {job.images for (share, *_, split), job in jobs.items() if share == 0.25 and split == "train"} == {part.images}
    drawn = {load_settings("mini", dict(job.overrides)).data.minivoc.part_share for job in jobs.values()}
    assert drawn == set(part.shares)
    keys = {_key(job.stage, job) for name, job in jobs.items() if name[0] == "classifier"}
    assert len(keys) == len(part.shares) * settings.seeds


def test_data_without_parts_need_no_jobs_for_them():
    assert CHAPTERS["discriminative_part"](load_settings("voc12")) == {}
