"""The requests of jobs of a cluster, and the number of jobs for the paper's data sets."""

from pathlib import Path

import pytest

from ribstudy.bench.operations import count_step, study_flop
from ribstudy.bench.projections import VOC
from ribstudy.config import load_settings
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.stage import ItemStage
from ribstudy.store import Store
from ribstudy.workflow import batch
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.requests import GIB, TFLOP, UNKNOWN_MINUTES, Request, Requests
from ribstudy.workflow.waves import parts, waves

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "voc12": {"train": 1464, "train_aug": 10582, "val": 1449},
    "coco14": {"train": 82783, "train_aug": 82783, "val": 40504},
}


class RequestsOfFullData(Requests):
    """The requests of a plan as if all images of the data set were there."""

    def _missing(self, job):
        settings, sizes = self.plan.settings_of(job), SIZES[self.plan.settings_of(job).data.name]
        if not isinstance(job.stage, ItemStage):
            shown = settings.segmentation.iterations * settings.segmentation.batch_size
            return shown if job.stage.name == "segmentation" else sizes["train_aug"]
        if not job.stage.of_images:
            return {f"seed {seed}" for seed in range(settings.toy.seeds)}
        count = min(job.images.limit or sizes[job.images.split], sizes[job.images.split])
        return {f"{job.images.split} {number}" for number in range(count)}


@pytest.mark.parametrize(
    ("name", "shards", "most_jobs", "hours"), [("voc12", 8, 60, (90, 150)), ("coco14", 32, 100, (350, 600))]
)
def test_a_batch_of_the_papers_data_is_few_long_jobs(tmp_path, name, shards, most_jobs, hours):
    found = batch.read(ROOT / "batches" / f"{name}.yml", data_root=tmp_path)
    assert found.shards == shards
    plan = Plan(found, batch.expand(found, ROOT / "book", notebooks(ROOT / "book")))
    requests = RequestsOfFullData(plan, threads=8, on_gpu=True, store=Store(tmp_path))
    made = waves(plan)
    work = {wave: requests.work(of.groups) for wave, of in made.items()}
    counts = parts(work, shards)
    num_trainings = sum(not isinstance(group.stage, ItemStage) and group.stage.name != "data" for group in plan.groups.values())
    assert sum(counts.values()) + num_trainings < most_jobs
    assert sum(work[wave] / count < 60 for wave, count in counts.items()) <= 1  # VOC's walk of the blurred CAM
    assert hours[0] < requests.gpu_hours() < hours[1]
    assert all(requests.of_wave(made[wave], count).minutes < 3 * 24 * 60 for wave, count in counts.items())


def test_the_operations_of_an_adaptation_are_those_of_the_benchmark():
    step, settings = count_step(VOC.workload), load_settings("voc12", {"data.root": "/data"})
    assert TFLOP["rib"](settings) == pytest.approx(study_flop(step, settings.rib.iterations) / 1e12, rel=0.01)
    assert TFLOP["cam"](settings) == pytest.approx((step.own_frozen + step.own_trained) / 1e12, rel=0.01)


@pytest.fixture
def plan_of(monkeypatch):
    """A function that returns the plan of some jobs of a preset."""

    def make(preset, *jobs, **overrides):
        monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: dict(enumerate(jobs)))
        return Plan(Batch(about="a test", preset="study"), [BatchRun("run", "chapter", preset, overrides, {})])

    return make


def test_without_the_data_time_is_unknown_and_nothing_is_drawn(plan_of, tmp_path):
    plan = plan_of("voc12", Job(CLASSIFIER), **{"data.root": str(tmp_path / "none")})
    requests = Requests(plan, threads=4, on_gpu=True, store=Store(tmp_path))
    (name,) = [name for name, group in plan.groups.items() if group.stage is CLASSIFIER]
    assert requests.of_group(name) == Request(12 * GIB // 2**20, UNKNOWN_MINUTES)
    assert requests.gpu_hours() is None
    assert not list(tmp_path.iterdir())
