"""The plan of a batch: shared jobs, groups of jobs, and the order of the groups."""

import json
import shlex
from pathlib import Path

import pytest

from ribstudy.cli.main import _parser
from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages import STAGES
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.data import DATA
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import MASKS
from ribstudy.workflow import batch, plan
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import CHAPTERS, Job

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "tiny.yml")
ONE, TWO, VAL = (ImageSelection(limit=1), ImageSelection(limit=2), ImageSelection(split="val"))


@pytest.fixture
def planned(monkeypatch):
    """Plans a chapter with the given jobs, once with each of `overrides`, and `pages`, which have no jobs."""

    def make(jobs, *overrides, pages=(), **values):
        monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: dict(enumerate(jobs)))
        runs = [BatchRun(f"run{number}", "chapter", chosen, {}) for number, chosen in enumerate(overrides)]
        runs += [BatchRun(page, page, {}, {}) for page in pages]
        return plan.Plan(Batch(about="a test", preset=TINY, **values), runs)

    return make


def stages(found):
    return [group.stage.name for group in found.groups.values()]


def test_the_stages_that_a_job_needs_are_planned_before_it(planned):
    found = planned([Job(RIB)], {})
    assert stages(found) == ["data", "classifier", "rib"]
    data, classifier, rib = found.groups.values()
    assert (data.after, classifier.after, rib.after) == ((), (data.name,), (classifier.name,))


def test_runs_share_everything_that_does_not_depend_on_their_difference(planned):
    found = planned([Job(RIB), Job(CAM)], {"rib.tau": 0.2}, {"rib.tau": 0.6})
    assert stages(found) == ["data", "classifier", "rib", "cam", "rib"]
    first, second = (set(found.shown[run]) for run in ("run0", "run1"))
    assert len(first & second) == 1  # the CAM


def test_a_needed_job_keeps_only_the_overrides_that_matter_to_it(planned):
    found = planned([Job(RIB, overrides={"rib.tau": 0.2, "seed": 7})], {"advcam.iterations": 3})
    data, classifier, _ = found.groups.values()
    assert data.jobs[0].overrides == {}
    assert classifier.jobs[0].overrides == {"seed": 7}


def test_the_preset_in_other_words_is_the_same_job(planned):
    jobs = [Job(CLASSIFIER), Job(CLASSIFIER, overrides={"seed": 0})]
    assert stages(planned(jobs, {}, {"rib.tau": 0.4}, {"toy.seeds": 3})) == ["data", "classifier"]


def test_images_that_an_earlier_job_covers_are_not_planned_again(planned):
    found = planned([Job(CAM, TWO), Job(CAM, ONE)], {})
    (cam,) = [group for group in found.groups.values() if group.stage is CAM]
    assert [job.images for job in cam.jobs] == [TWO, ONE]  # both in one process, so nothing is computed twice
    later = planned([Job(CAM, TWO)], {}, {"rib.tau": 0.6})
    assert stages(later).count("cam") == 1


def test_two_groups_never_work_on_the_same_result_at_once(planned, monkeypatch):
    monkeypatch.setitem(CHAPTERS, "other", lambda settings: {"val": Job(CAM, VAL)})
    monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: {"one": Job(CAM, ONE)})
    runs = [BatchRun(name, name, {}, {}) for name in ("chapter", "other")]
    found = plan.Plan(Batch(about="a test", preset=TINY), runs)
    first, second = [group for group in found.groups.values() if group.stage is CAM]
    assert first.name in second.after


def test_jobs_with_the_same_trained_networks_share_a_process(planned):
    jobs = [Job(RIB, ONE, {"seed": seed, "rib.tau": tau}) for seed in (0, 1) for tau in (0.1, 0.2, 0.3)]
    found = planned(jobs, {})
    assert [len(group.jobs) for group in found.groups.values() if group.stage is RIB] == [3, 3]


def test_the_command_of_a_group_gives_each_job_its_settings_and_images(planned):
    jobs = [Job(CAM, ONE, {"cam.scales": [1.0]}), Job(CAM, VAL, {"cam.scales": [1.0, 0.5]})]
    found = planned(jobs, {"seed": 3}, data_root="/the data")
    (group,) = [group for group in found.groups.values() if group.stage is CAM]
    options = _parser().parse_args(shlex.split(group.command(TINY)))
    assert (options.stage, options.preset, options.data_root, options.images) == (CAM, TINY, None, None)
    assert set(options.set) == {'data.root="/the data"', "seed=3"}
    assert [json.loads(text) for text in options.each] == [
        {"cam.scales": [1.0], "images": str(ONE)},
        {"cam.scales": [1.0, 0.5], "images": str(VAL)},
    ]


def test_the_command_of_a_single_job_names_its_images_once(planned):
    (group,) = [group for group in planned([Job(CAM, VAL)], {}).groups.values() if group.stage is CAM]
    options = _parser().parse_args(shlex.split(group.command(TINY)))
    assert ImageSelection.parse(options.images) == VAL
    assert options.each == []


def test_a_job_on_data_of_its_own_keeps_them(planned):
    (group,) = planned([Job(DATA, overrides={"data.root": None})], {}, data_root="/data").groups.values()
    assert group.jobs[0].overrides == {"data.root": None}


def test_settings_that_a_job_cannot_have_are_refused(planned):
    with pytest.raises(ValueError, match=r"masks\.threshold|threshold"):
        planned([Job(MASKS, overrides={"masks.threshold": 0.5})], {})


def test_pages_without_jobs_come_after_the_chapters(planned):
    found = planned([Job(CLASSIFIER)], {}, pages=["status", "index"])
    assert found.before("status") == ["run0"]
    assert found.before("run0") == []


def test_gpus_and_shards(planned):
    found = planned([Job(STAGES[name]) for name in ("toy", "predictions")], {})
    groups = {group.stage.name: group for group in found.groups.values()}
    on_gpu = {"classifier", "cam", "rib", "affinity", "walk", "segmentation", "scores"}
    assert {name for name, group in groups.items() if group.gpus} == on_gpu
    whole = {"toy", "data", "classifier", "affinity", "segmentation"}
    assert {name for name, group in groups.items() if not group.scattered} == whole


@pytest.mark.parametrize("path", sorted((ROOT / "batches").glob("*.yml")), ids=lambda path: path.stem)
def test_every_batch_of_the_project_can_be_planned(path, tmp_path):
    notebooks = sorted(notebook.stem for notebook in (ROOT / "book").glob("*.ipynb"))
    read = batch.read(path, data_root=None if path.stem in ("mini", "ablations", "seeds") else tmp_path)
    runs = batch.expand(read, ROOT / "book", notebooks)
    found = plan.Plan(read, runs)
    assert len(found.groups) > len(set(stages(found))) > 3
    for number, group in enumerate(found.groups.values()):
        assert set(group.after) <= set(list(found.groups)[:number])
