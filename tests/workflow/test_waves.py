"""The waves of a plan: few long jobs of a cluster."""

from pathlib import Path

import pytest

from ribstudy.stages.stage import only_checks
from ribstudy.workflow import batch
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.waves import parts, waves

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Plan:
    """The plan of VOC 2012 in eight shards; the data need not be there."""
    found = batch.read(ROOT / "batches" / "voc12.yml", data_root=tmp_path_factory.mktemp("voc"))
    return Plan(found, batch.expand(found, ROOT / "book", notebooks(ROOT / "book")))


def test_every_scattered_group_is_in_one_wave_and_comes_after_what_it_needs(plan):
    order: list[str] = []
    made = waves(plan)
    left = dict(made)
    done = {name for name, group in plan.groups.items() if not group.scattered}  # trainings: each is done when it is needed
    while left:
        ready = [name for name, wave in left.items() if done.issuperset(wave.after)]
        assert ready, "waves wait for each other"
        for name in ready:
            wave = left.pop(name)
            for group in wave.groups:
                assert done.issuperset(plan.groups[group].after)
                done.add(group)
            order += wave.groups
    assert sorted(order) == sorted(name for name, group in plan.groups.items() if group.scattered)


def test_a_wave_uses_a_gpu_throughout_or_not_at_all(plan):
    for wave in waves(plan).values():
        assert {plan.groups[name].gpus for name in wave.groups} == {wave.gpus}


def test_the_labels_of_a_training_do_not_wait_for_the_ablations(plan):
    made = waves(plan)
    wave_of = {group: wave for wave in made.values() for group in wave.groups}
    (labels,) = [wave_of[name] for name, group in plan.groups.items() if group.stage.name == "labels"]
    largest = max(plan.groups.values(), key=lambda group: len(group.jobs) * (group.stage.name == "rib"))
    before = [wave_of[name].name for name in labels.after if name in wave_of]
    assert wave_of[largest.name].name not in before


def test_the_names_of_waves_do_not_depend_on_what_is_done(plan):
    found = batch.read(ROOT / "batches" / "voc12.yml", data_root=ROOT)
    runs = batch.expand(found, ROOT / "book", notebooks(ROOT / "book"))
    done = Plan(found, runs, is_done=lambda job, settings: not only_checks(job.stage))
    assert [len(wave.groups) for wave in waves(done).values()] == [len(wave.groups) for wave in waves(plan).values()]


def test_parts_of_all_waves_take_about_equally_long():
    work = {"long": 8000.0, "half": 4000.0, "a little more": 1001.0, "short": 1.0, "unknown": None, "nothing": 0.0}
    assert parts(work, 8) == {"long": 8, "half": 4, "a little more": 2, "short": 1, "unknown": 8, "nothing": 1}
    assert parts({"unknown": None}, 3) == {"unknown": 3}
