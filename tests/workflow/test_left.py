"""Which jobs are done, the missing items, and the expected time."""

import json
from functools import partial

import pytest
from helpers.tiny_study import settings_of

from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.published import MANIFEST, PublishedError, write_bundle
from ribstudy.runtime.files import file_digest, write_json
from ribstudy.stages import Run
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM
from ribstudy.stages.toy import TOY
from ribstudy.store import Store
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.left import Left, is_done, left, left_rows, origin
from ribstudy.workflow.plan import Plan

TOYS = {"toy.seeds": 3, "toy.training_steps": 1}
SETTINGS = load_settings("study", TOYS)


@pytest.fixture
def planned(monkeypatch):
    """Plans a chapter with the given jobs, against a store."""

    def make(store, *jobs, preset="study", overrides=TOYS):
        monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: dict(enumerate(jobs)))
        runs = [BatchRun("chapter", "chapter", preset, overrides, {})]
        return Plan(Batch(about="a test", preset=preset), runs, is_done=partial(is_done, store=store))

    return make


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "published")


def toy_result(store):
    return Run(SETTINGS, store=store).result(TOY)


def publish(folder, name, seeds):
    """Publishes seeds of the toy experiment; returns the digest of the file."""
    path = folder / f"{name}.zip"
    write_bundle(path, {f"seed-{seed}": {"value": [seed]} for seed in seeds}, {})
    session = {"device": "cpu", "seconds": 40.0, "items": len(seeds)}
    write_json(folder / MANIFEST, {name: {"sha256": file_digest(path), "code": [], "sessions": [session]}})
    return file_digest(path)


def write(result, *seeds, seconds):
    for seed in seeds:
        result.write_item(f"seed-{seed}", {"value": seed})
    with (result.folder / "sessions.jsonl").open("a") as file:
        file.write(json.dumps({"device": "cpu", "seconds": seconds, "items": len(seeds)}) + "\n")


def test_items_are_left_until_all_are_there(store, planned):
    result = toy_result(store)
    assert left(planned(store, Job(TOY)), store=store) == [Left(TOY, results=1, items=3, seconds=None)]
    write(result, 0, 1, seconds=60.0)
    assert left(planned(store, Job(TOY)), store=store) == [Left(TOY, results=1, items=1, seconds=30.0)]
    write(result, 2, seconds=90.0)
    assert not is_done(Job(TOY), SETTINGS, store=store)  # a result without a record is not finished
    result.finish({})
    assert planned(store, Job(TOY)).pending == {}
    assert left(planned(store, Job(TOY)), store=store) == []


def test_published_results_are_done(store, planned, tmp_path):
    name = toy_result(store).folder.name
    publish(tmp_path / "published", name, seeds=(0, 1))
    store = Store(tmp_path / "results", tmp_path / "published")
    assert left(planned(store, Job(TOY)), store=store) == [Left(TOY, results=1, items=1, seconds=20.0)]
    assert origin(Job(TOY), SETTINGS, store=store)[-1] == ""  # the third seed has to be computed
    (tmp_path / "published" / MANIFEST).unlink()
    digest = publish(tmp_path / "published2", name, seeds=(0, 1, 2))
    store = Store(tmp_path / "results", tmp_path / "published2")
    assert planned(store, Job(TOY)).pending == {}
    assert origin(Job(TOY), SETTINGS, store=store) == [name, str(Job(TOY).images), digest]


def test_a_published_file_that_was_changed_stops_the_plan(store, planned, tmp_path):
    publish(tmp_path / "published", toy_result(store).folder.name, seeds=(0, 1, 2))
    (path,) = (tmp_path / "published").glob("*.zip")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PublishedError, match="was changed after it was published"):
        planned(Store(tmp_path / "results", tmp_path / "published"), Job(TOY))


def test_trainings_count_as_one_item_and_take_the_mean_time_of_finished_ones(store, planned, tmp_path):
    overrides = {"data.root": str(tmp_path / "data")}
    for seed, seconds in enumerate(([10.0, 20.0], [50.0])):  # the first training was stopped once
        settings = load_settings("study", {**overrides, "seed": seed})
        result = Run(settings, store=store).result(CLASSIFIER)
        result.folder.mkdir(parents=True)
        for file in CLASSIFIER.files:
            result.path(file).touch()
        lines = [json.dumps({"device": "cpu", "seconds": part}) for part in seconds]
        result.path("sessions.jsonl").write_text("\n".join(lines))
        result.finish({})
    jobs = [Job(CLASSIFIER, overrides={"seed": seed}) for seed in range(3)]
    found = left(planned(store, *jobs, overrides=overrides), store=store)
    assert found == [Left(CLASSIFIER, results=1, items=1, seconds=40.0)]


def test_without_data_nothing_is_done_and_nothing_is_known(store, planned):
    plan = planned(store, Job(CAM, ImageSelection(limit=2)), preset="voc12", overrides={})
    assert list(plan.pending) == list(plan.groups)
    assert [(part.stage, part.items) for part in left(plan, store=store)] == [(CLASSIFIER, None), (CAM, None)]
    assert origin(Job(CAM), load_settings("voc12"), store=store) == ["cam", "", ""]


def test_a_file_that_a_chapter_reads_is_enough_for_it(trained, data_root):
    found = partial(is_done, settings=settings_of(data_root), store=Store(trained))
    assert found(Job(CLASSIFIER))
    assert found(Job(CLASSIFIER, files=CLASSIFIER.files[:1]))
    assert not found(Job(CLASSIFIER, files=("another.json",)))


def test_the_table_sums_what_is_known():
    rows = left_rows([Left(TOY, 1, 4, 30.0), Left(CAM, 2, 60, 2.0), Left(CLASSIFIER, 1, 1, None)], cores=2, device="cpu")
    assert rows[1:] == [
        ("toy", "1", "4", "30.0", "1"),
        ("cam", "2", "60", "2.0", "1"),
        ("classifier", "1", "1", "not known", "not known"),
        ("all", "4", "65", "", "at least 2"),
    ]
    on_gpu = left_rows([Left(TOY, 1, 4, 30.0), Left(CAM, 2, 60, 2.0)], cores=2, device="cuda")
    assert [row[-1] for row in on_gpu[1:]] == ["1", "2", "3"]
