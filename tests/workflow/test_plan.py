"""The plan of a batch: what is shared, what comes before what, and what is told of it at the end."""

import json
import os
import shlex
from pathlib import Path

import pytest

from ribstudy.cli.main import _parser
from ribstudy.workflow import batch, plan
from ribstudy.workflow import jobs as study
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import Job

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "tiny.yml")
CLASSIFIER = Job("classifier")


@pytest.fixture
def planned(monkeypatch):
    """Plans of one chapter that shows `jobs`, for a run under each of some overrides; `pages` have no jobs of their own."""

    def make(jobs, *overrides, pages=(), **values):
        monkeypatch.setattr(study, "chapters", lambda settings: {"chapter": tuple(jobs)})
        runs = [BatchRun(f"run{number}", "chapter", chosen, {}) for number, chosen in enumerate(overrides)]
        runs += [BatchRun(page, page, {}, {}) for page in pages]
        return plan.Plan(Batch(about="a test", preset=TINY, **values), runs)

    return make


def stages(found):
    return [work.stage for work in found.works.values()]


def test_runs_share_what_does_not_depend_on_where_they_differ(planned):
    found = planned([Job("rib", after=(CLASSIFIER,)), Job("cam", after=(CLASSIFIER,))], {"rib.tau": 0.2}, {"rib.tau": 0.6})
    assert stages(found) == ["classifier", "rib", "cam", "rib"]
    first, second = (set(found.shown[run]) for run in ("run0", "run1"))
    assert len(first & second) == 1  # the CAM
    assert all(
        work.after == ("classifier-" + work.after[0][11:],) for work in found.works.values() if work.stage != "classifier"
    )


def test_the_preset_in_other_words_is_the_same_work(planned):
    assert stages(planned([CLASSIFIER, Job("classifier", {"seed": 0})], {}, {"rib.tau": 0.4}, {"toy.seeds": 3})) == [
        "classifier"
    ]


def test_other_images_are_other_work_and_share_the_classifier(planned):
    jobs = [Job("cam", {"infer.limit": limit}, after=(CLASSIFIER,)) for limit in (1, 2)]
    assert stages(planned(jobs, {})) == ["classifier", "cam", "cam"]


def test_a_result_that_one_job_makes_is_not_made_by_another(planned):
    rates = Job("rib", each=tuple({"rib.learning_rate": rate} for rate in (1e-4, 3e-4)))
    found = planned([rates, Job("rib"), Job("rib", each=({"rib.tau": 0.1}, {}))], {})  # 3e-4 is the preset's
    both, one = found.works.values()
    assert [result["rib.learning_rate"] for result in both.results] == [1e-4, 3e-4]
    assert one.results == ({"rib.tau": 0.1},)
    assert found.shown["run0"] == (both.name, one.name)


def test_a_works_command_gives_each_result_its_settings(planned):
    jobs = [Job("cam", {"infer.masked": True}, each=({"cam.scales": [1.0]}, {"infer.limit": 1, "cam.scales": [1.0, 0.5]}))]
    (work,) = planned(jobs, {"seed": 3}, data_root="/the data").works.values()
    options = _parser().parse_args(shlex.split(work.command(TINY)))
    assert (options.stage, options.preset, options.data_root) == ("cam", TINY, None)
    assert set(options.set) == {'data.root="/the data"', "seed=3", "infer.masked=true"}
    assert [json.loads(text) for text in options.each] == list(jobs[0].each)


def test_a_job_on_data_of_its_own_keeps_them(planned):
    (work,) = planned([Job("data", {"data.root": None})], {}, data_root="/data").works.values()
    assert work.results == ({"data.root": None},)


def test_settings_that_a_job_cannot_have_are_refused(planned):
    with pytest.raises(ValueError, match=r"masks\.threshold|threshold"):
        planned([Job("masks", {"masks.threshold": 0.5})], {})


def test_pages_without_jobs_come_after_the_chapters(planned):
    found = planned([CLASSIFIER], {}, pages=["status", "index"])
    assert found.before("status") == ["run0"]
    assert found.before("run0") == []


def test_gpus_and_shards(planned):
    jobs = [Job(stage) for stage in ("toy", "data", "classifier", "cam", "rib", "labels", "walk", "masks", "predictions")]
    works = {work.stage: work for work in planned(jobs, {}).works.values()}
    assert {stage for stage, work in works.items() if work.gpus} == {"classifier", "cam", "rib", "walk"}
    assert {stage for stage, work in works.items() if work.scattered} == {
        "cam",
        "rib",
        "labels",
        "walk",
        "masks",
        "predictions",
    }


@pytest.mark.parametrize("path", sorted((ROOT / "batches").glob("*.yml")), ids=lambda path: path.stem)
def test_every_batch_of_the_project_can_be_planned(path, tmp_path):
    notebooks = sorted(notebook.stem for notebook in (ROOT / "book").glob("*.ipynb"))
    read = batch.read(path, data_root=None if path.stem in ("mini", "ablations", "seeds") else tmp_path)
    runs = batch.expand(read, ROOT / "book", notebooks)
    found = plan.Plan(read, runs)
    assert len(found.works) > len(set(stages(found))) > 3
    for number, work in enumerate(found.works.values()):
        assert set(work.after) <= set(list(found.works)[:number])


def test_what_became_of_a_batch(planned, tmp_path):
    """Of three classifiers one is there, one failed, one was not begun; of the notebooks one failed too."""
    chosen = [{"classifier.epochs": epochs} for epochs in (1, 2, 3)]
    found = planned([Job("cam", after=(CLASSIFIER,))], *chosen, pages=["status"])
    done, logs, notebooks = (tmp_path / name for name in ("done", "logs", "notebooks"))
    for folder in (done, logs, notebooks / "unfinished"):
        folder.mkdir(parents=True)
    classifiers = [name for name, work in found.works.items() if work.stage == "classifier"]
    cams = [name for name, work in found.works.items() if work.stage == "cam"]
    for name in (classifiers[0], cams[0], classifiers[1], f"{cams[1]}.0-2"):
        (done / name).touch()
    for name in (classifiers[0], f"{cams[1]}.0-2", f"{cams[1]}.1-2", classifiers[2]):
        (logs / f"{name}.log").write_text("it said")
    os.utime(logs / f"{classifiers[2]}.log", (50, 50))  # of an earlier batch
    (notebooks / "run0.ipynb").touch()
    (notebooks / "unfinished" / "status.ipynb").touch()
    rows = plan.outcome(found, done=done, logs=logs, notebooks=notebooks, since=100)
    assert rows == [
        (f"{cams[1]}.1-2", "failed", str(logs / f"{cams[1]}.1-2.log")),
        ("run0", "done", str(notebooks / "run0.ipynb")),
        ("run1", "not run", f"needs {cams[1]}"),
        ("run2", "not run", f"needs {classifiers[2]}"),
        ("status", "failed", str(notebooks / "unfinished" / "status.ipynb")),
    ]


def test_table_puts_states_below_each_other():
    assert plan.table([("a", "done", "x"), ("long", "not run", "")]) == "  a     done     x\n  long  not run"
