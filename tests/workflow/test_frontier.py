"""The points of the chapter on costs and their jobs."""

import pytest

from ribstudy.config import load_settings
from ribstudy.method.settings import rate_factors
from ribstudy.runtime.paths import PROJECT
from ribstudy.runtime.strict_yaml import read_mapping
from ribstudy.stages import STAGES
from ribstudy.stages.stage import result_key
from ribstudy.workflow.frontier import FAST, FEW_STEPS, KINDS, choices_on_val, every_point, frontier_jobs, points
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.methods import CAM_NAME, RIB_NAME

COSTS = read_mapping(PROJECT / "batches" / "frontier.yml", "frontier")["settings"]
PRESETS = ("voc12-lite", "study", "voc12")


def key(stage, preset, overrides):
    return result_key(stage, load_settings(preset, dict(overrides)))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_point_is_valid_and_has_maps_of_its_own(preset):
    settings = load_settings(preset, COSTS)
    found = points(settings)
    assert [point.kind for point in found.values()] == sorted((p.kind for p in found.values()), key=KINDS.index)
    scored = [key(point.scores, preset, point.overrides) for point in found.values()]
    assert len(set(scored)) == len(scored)
    of_rib = [key(point.maps, preset, p.overrides) for p in found.values() for point in [p] if point.maps.name == "rib"]
    assert len(set(of_rib)) == len(of_rib) - 1  # the blurred fast maps are the fast ones, read in another way


@pytest.mark.parametrize("preset", PRESETS)
def test_several_steps_are_together_as_long_as_the_fast_one(preset):
    settings = load_settings(preset)
    found = every_point(settings)
    whole = sum(rate_factors(settings.rib)) * load_settings(preset, found[FAST].overrides).rib.learning_rate
    for count in FEW_STEPS:
        rib = load_settings(preset, found[f"{count} steps"].overrides).rib
        assert (len(rate_factors(rib)), rib.auxiliary, rib.loss_scales) == (count, False, (1.0,))
        assert sum(rate_factors(rib)) * rib.learning_rate == pytest.approx(whole, rel=0.01)


def test_there_are_jobs_only_with_the_section():
    assert frontier_jobs(load_settings("voc12")) == {}
    jobs = frontier_jobs(load_settings("study", COSTS))
    assert {name[0] for name in jobs} == {"val", "coarse", *every_point(load_settings("study"))}


def test_a_preset_names_its_points():
    settings = load_settings("study", {"costs.points": ["AdvCAM", FAST]})
    assert list(points(settings)) == [CAM_NAME, RIB_NAME, FAST, "AdvCAM"]
    assert {name[0] for name in frontier_jobs(settings)} == {"val", "coarse", *points(settings)}
    assert {name for name, _ in choices_on_val(settings)} == {FAST}
    assert choices_on_val(load_settings("study", {"costs.points": []})) == {}
    with pytest.raises(ValueError, match=r"costs\.points: 'faster' is not a point here; known: CAM; RIB; fast; "):
        points(load_settings("study", {"costs.points": ["faster"]}))


def test_no_stage_reads_the_section():
    changed = load_settings("study", {"costs": None})
    assert changed != load_settings("study")
    for stage in STAGES.values():
        assert result_key(stage, changed) == result_key(stage, load_settings("study")), stage.name


@pytest.mark.parametrize("preset", ["study", "voc12-code"])
def test_only_the_fast_mode_adds_scores_to_those_of_other_chapters(preset):
    settings = load_settings(preset)
    known = {
        (key(job.stage, preset, job.overrides), job.images)
        for chapter in ("04_rib", "08_other_methods")
        for job in CHAPTERS[chapter](settings).values()
    }
    added = {
        name[0]
        for name, job in frontier_jobs(settings).items()
        if name[0] != "coarse" and (key(job.stage, preset, job.overrides), job.images) not in known
    }
    assert added == {"val", FAST, "fast, blurred"}


def test_the_methods_of_other_chapters_have_their_results():
    settings = load_settings("voc12-lite", COSTS)
    jobs, rib, others = frontier_jobs(settings), CHAPTERS["04_rib"](settings), CHAPTERS["08_other_methods"](settings)
    pairs = [
        (CAM_NAME, rib["CAM", 1, "train"]),
        (RIB_NAME, rib["RIB", 1, "train"]),
        ("AdvCAM", others["AdvCAM", "compared", 1]),
    ]
    for name, other in pairs:
        job = jobs[name, 1, "reported"]
        assert key(job.stage, "voc12-lite", job.overrides) == key(other.stage, "voc12-lite", other.overrides)
