"""The plan of a batch: shared jobs, groups of jobs, and the order of the groups."""

import json
import shlex
from pathlib import Path

import pytest

from ribstudy.cli.main import _parser
from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages import STAGES
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.data import DATA
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import MASKS
from ribstudy.stages.segmentation import EVALUATE_PREDICTIONS
from ribstudy.workflow import batch, plan
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.book import chapters_of, presets_shown_with
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "smallest.yml")
EVALUATE_CAM = MAP_EVALUATIONS["cam"]
ONE, TWO, VAL = (ImageSelection(limit=1), ImageSelection(limit=2), ImageSelection(split="val"))


@pytest.fixture
def planned(monkeypatch):
    """Plans a chapter with the given jobs, once with each of `overrides`, and `pages`, which have no jobs."""

    def make(jobs, *overrides, pages=(), is_done=lambda job, settings: False, preset=TINY, **values):
        monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: dict(enumerate(jobs)))
        runs = [BatchRun(f"run{number}", "chapter", preset, chosen, {}) for number, chosen in enumerate(overrides)]
        runs += [BatchRun(page, page, preset, {}, {}) for page in pages]
        return plan.Plan(Batch(about="a test", preset=preset, **values), runs, is_done=is_done)

    return make


def stages(found):
    return [group.stage.name for group in found.groups.values()]


def groups_of(found, stage):
    return [group for group in found.groups.values() if group.stage is stage]


def test_the_stages_that_a_job_needs_are_planned_before_it(planned):
    found = planned([Job(RIB)], {})
    assert stages(found) == ["data", "classifier", "rib"]
    data, classifier, rib = found.groups.values()
    assert (data.after, classifier.after, rib.after) == ((), (data.name,), (classifier.name,))


def test_runs_share_everything_that_does_not_depend_on_their_difference(planned):
    found = planned([Job(RIB), Job(CAM)], {"rib.tau": 0.2}, {"rib.tau": 0.6})
    assert stages(found) == ["data", "classifier", "rib", "cam", "rib"]
    cam = next(name for name, group in found.groups.items() if group.stage is CAM)
    assert cam in found.missing("run0")
    assert cam in found.missing("run1")


def test_a_needed_job_keeps_only_the_overrides_that_matter_to_it(planned):
    found = planned([Job(RIB, overrides={"rib.tau": 0.2, "seed": 7})], {"advcam.iterations": 3})
    data, classifier, _ = found.groups.values()
    assert data.jobs[0].overrides == {}
    assert classifier.jobs[0].overrides == {"seed": 7}


def test_the_preset_in_other_words_is_the_same_job(planned):
    jobs = [Job(CLASSIFIER), Job(CLASSIFIER, overrides={"seed": 0})]
    assert stages(planned(jobs, {}, {"rib.tau": 0.4}, {"toy.seeds": 3})) == ["data", "classifier"]


def test_images_that_another_job_covers_are_not_planned_again(planned):
    for jobs in ([Job(CAM, TWO), Job(CAM, ONE)], [Job(CAM, ONE), Job(CAM, TWO)]):
        assert [job.images for group in groups_of(planned(jobs, {}), CAM) for job in group.jobs] == [TWO]
    later = planned([Job(CAM, TWO)], {}, {"rib.tau": 0.6})
    assert stages(later).count("cam") == 1


def test_images_that_a_job_of_another_stage_needs_are_in_the_same_process(planned):
    found = planned([Job(RIB, ONE), Job(EVALUATE_CAM, VAL), Job(MASKS, ONE, {"maps": "cam", "masks.walk": False})], {})
    assert [[str(job.images) for job in group.jobs] for group in groups_of(found, CAM)] == [
        [str(VAL), str(ONE), "split=val,limit=2,masked=true"]
    ]


def test_results_that_only_one_other_needs_are_computed_by_its_process(planned):
    """Scores, predictions and their evaluation are one process. A training, and what a notebook shows, has its own process."""
    found = planned([Job(EVALUATE_PREDICTIONS, VAL), Job(CAM, ONE), Job(EVALUATE_CAM, ONE)], {"segmentation.truth": "dataset"})
    assert stages(found) == ["data", "segmentation", "evaluate-predictions", "classifier", "cam", "evaluate-cam"]
    group = groups_of(found, EVALUATE_PREDICTIONS)[0]
    assert [job.stage.name for job in group.jobs] == ["scores", "predictions", "evaluate-predictions"]
    assert group.gpus == 1  # because of the scores
    assert shlex.split(group.command)[0] == "evaluate-predictions"
    assert group.command.count("--each") == 0


def test_shards_do_not_share_a_process_with_what_they_need(planned):
    found = planned([Job(EVALUATE_PREDICTIONS, VAL)], {"segmentation.truth": "dataset"}, shards=2)
    assert stages(found) == ["data", "segmentation", "scores", "predictions", "evaluate-predictions"]


def done(*stages):
    return lambda job, settings: job.stage in stages


def test_what_is_done_and_what_only_it_needs_is_not_pending(planned):
    jobs = [Job(EVALUATE_CAM, ONE), Job(RIB, ONE)]
    assert list(planned(jobs, {}).pending) == list(planned(jobs, {}).groups)
    found = planned(jobs, {}, is_done=done(EVALUATE_CAM))
    assert [found.groups[name].stage.name for name in found.pending] == ["data", "classifier", "rib"]
    found = planned(jobs, {}, is_done=done(EVALUATE_CAM, CLASSIFIER))
    assert [found.groups[name].stage.name for name in found.pending] == ["rib"]
    assert found.waits(next(iter(found.pending))) == []
    assert planned(jobs, {}, is_done=done(EVALUATE_CAM, RIB)).pending == {}


def test_the_names_of_groups_do_not_depend_on_what_is_done(planned):
    jobs = [Job(EVALUATE_CAM, ONE), Job(RIB, ONE)]
    assert list(planned(jobs, {}, is_done=done(CLASSIFIER, RIB)).groups) == list(planned(jobs, {}).groups)


def test_a_group_is_pending_with_those_of_its_jobs_that_are_not_done(planned):
    jobs = [Job(RIB, ONE, {"rib.tau": tau}) for tau in (0.1, 0.2)]
    found = planned(jobs, {}, is_done=lambda job, settings: settings.rib.tau == 0.1 or job.stage is not RIB)
    ((name, pending),) = found.pending.items()
    assert [job.overrides["rib.tau"] for job in pending] == [0.2]
    assert len(found.groups[name].jobs) == 2


def test_a_training_of_which_a_chapter_reads_a_file_is_pending_if_another_stage_needs_it_whole(planned):
    """For the chapter, the history of losses is enough. The CAM needs the weights."""
    history = Job(CLASSIFIER, files=("history.json",))
    only_history = lambda job, settings: job.files == ("history.json",)  # noqa: E731
    assert planned([history], {}, is_done=only_history).pending == {}
    found = planned([history, Job(CAM, ONE)], {}, is_done=only_history)
    assert [found.groups[name].stage.name for name in found.pending] == ["data", "classifier", "cam"]


def test_the_book_of_a_preset_has_the_jobs_of_all_chapters():
    found = plan.plan_of_book(TINY, {"toy.seeds": 1})
    assert set(found.runs) == set(CHAPTERS)
    assert {"toy", "segmentation", "evaluate-advcam", "bottleneck"} <= set(stages(found))


def test_runs_of_several_presets_have_the_jobs_of_each(tmp_path):
    """The presets differ in the images, so they share nothing."""
    other = tmp_path / "other.yml"
    other.write_text(Path(TINY).read_text().replace("seed: 0}", "seed: 1}"))
    presets = {"first": str(other), "second": TINY}
    found = plan.Plan(
        Batch(about="a test", preset=TINY), [BatchRun(name, "03_cam", preset, {}, {}) for name, preset in presets.items()]
    )
    assert len(found.groups) == 2 * len(plan.Plan(Batch(about="one", preset=TINY), [found.runs["second"]]).groups)
    for name, preset in presets.items():
        groups = [found.groups[group] for group in found.missing(name)]
        assert {group.stage for group in groups} == {DATA, CLASSIFIER, EVALUATE_CAM}
        assert {shlex.split(group.command)[2] for group in groups} == {preset}
        assert {found.settings_of(job).data for job in found.shown[name]} == {load_settings(preset).data}


def test_the_book_shows_a_preset_in_some_chapters(monkeypatch):
    book = Batch(about="a test", preset="study", first={"preset": TINY, "notebooks": ["03_cam"]})
    monkeypatch.setattr("ribstudy.workflow.book.batch_of_book", lambda: book)
    assert list(plan.plan_of_book(TINY).runs) == ["03_cam"]
    assert chapters_of("study") == chapters_of("my.yml") == tuple(CHAPTERS)
    assert presets_shown_with("study") == (TINY, "study")
    assert presets_shown_with("mini") == ("mini",)


def test_only_runs_whose_data_are_not_drawn_get_the_folder_of_the_data(monkeypatch):
    monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: {"classifier": Job(CLASSIFIER)})
    runs = [BatchRun(preset, "chapter", preset, {}, {}) for preset in ("voc12", "study")]
    found = plan.Plan(Batch(about="a test", preset="study", data_root="/data"), runs)
    roots = {name: [dict(job.overrides) for job in jobs] for name, jobs in found.shown.items()}
    assert roots == {"voc12": [{"data.root": "/data"}], "study": [{}]}


def test_two_groups_never_work_on_the_same_result_at_once(planned, monkeypatch):
    monkeypatch.setitem(CHAPTERS, "other", lambda settings: {"val": Job(CAM, VAL)})
    monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: {"one": Job(CAM, ONE)})
    runs = [BatchRun(name, name, TINY, {}, {}) for name in ("chapter", "other")]
    found = plan.Plan(Batch(about="a test", preset=TINY), runs)
    first, second = [group for group in found.groups.values() if group.stage is CAM]
    assert first.name in second.after


def test_jobs_with_the_same_trained_networks_share_a_process(planned):
    jobs = [Job(RIB, ONE, {"seed": seed, "rib.tau": tau}) for seed in (0, 1) for tau in (0.1, 0.2, 0.3)]
    found = planned(jobs, {})
    assert [len(group.jobs) for group in found.groups.values() if group.stage is RIB] == [3, 3]


def test_the_command_of_a_group_gives_each_job_its_settings_and_images(planned):
    jobs = [Job(CAM, ONE, {"cam.scales": [1.0]}), Job(CAM, VAL, {"cam.scales": [1.0, 0.5]})]
    found = planned(jobs, {"seed": 3}, preset="voc12", data_root="/the data")
    (group,) = [group for group in found.groups.values() if group.stage is CAM]
    options = _parser().parse_args(shlex.split(group.command))
    assert (options.stage, options.preset, options.data_root, options.images) == (CAM, "voc12", None, None)
    assert set(options.set) == {'data.root="/the data"', "seed=3"}
    assert [json.loads(text) for text in options.each] == [
        {"cam.scales": [1.0], "images": str(ONE)},
        {"cam.scales": [1.0, 0.5], "images": str(VAL)},
    ]


def test_the_command_of_a_single_job_names_its_images_once(planned):
    (group,) = [group for group in planned([Job(CAM, VAL)], {}).groups.values() if group.stage is CAM]
    options = _parser().parse_args(shlex.split(group.command))
    assert ImageSelection.parse(options.images) == VAL
    assert options.each == []


def test_a_job_on_data_of_its_own_keeps_them(planned):
    (group,) = planned([Job(DATA, overrides={"data.root": None})], {}, preset="voc12", data_root="/data").groups.values()
    assert group.jobs[0].overrides == {"data.root": None}


def test_settings_that_a_job_cannot_have_are_refused(planned):
    with pytest.raises(ValueError, match=r"masks\.threshold|threshold"):
        planned([Job(MASKS, overrides={"masks.threshold": 1.5})], {})


def test_pages_without_jobs_come_after_the_chapters(planned):
    found = planned([Job(CLASSIFIER)], {}, pages=["status", "index"])
    assert found.before("status") == ["run0"]
    assert found.before("run0") == []


def test_gpus_and_shards(planned):
    found = planned([Job(STAGES[name]) for name in ("toy", "predictions")], {}, shards=2)
    groups = {group.stage.name: group for group in found.groups.values()}
    on_gpu = {"classifier", "cam", "rib", "affinity", "walk", "segmentation", "scores"}
    assert {name for name, group in groups.items() if group.gpus} == on_gpu
    whole = {"toy", "data", "classifier", "affinity", "segmentation"}
    assert {name for name, group in groups.items() if not group.scattered} == whole


@pytest.mark.parametrize("path", sorted((ROOT / "batches").glob("*.yml")), ids=lambda path: path.stem)
def test_every_batch_of_the_project_can_be_planned(path, tmp_path):
    notebooks = sorted(notebook.stem for notebook in (ROOT / "book").glob("*.ipynb"))
    read = batch.read(path, data_root=None if path.stem in ("ablations", "seeds", "book") else tmp_path)
    runs = batch.expand(read, ROOT / "book", notebooks)
    found = plan.Plan(read, runs)
    assert len(found.groups) > len(set(stages(found))) > 3
    for number, group in enumerate(found.groups.values()):
        assert set(group.after) <= set(list(found.groups)[:number])
