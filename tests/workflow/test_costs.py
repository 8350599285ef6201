"""The cost of the published study."""

import json
from math import isnan

import pytest
from helpers.shown_study import CHAPTER

from ribstudy.runtime.files import write_json
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM
from ribstudy.workflow.costs import FILE, cost_of, cost_rows, read_costs, seconds_per_item


def test_sessions_count_the_time_of_all_cores_if_they_measured_it():
    measured = {"device": "cpu", "seconds": 10.0, "core_seconds": 25.0}
    one_core = {"device": "cpu", "seconds": 4.0}
    gpu = {"device": "cuda:0", "seconds": 100.0, "core_seconds": 30.0}
    assert cost_of([measured, one_core]) == {"core_seconds": 29.0, "gpu_seconds": 0.0}
    assert cost_of([gpu]) == {"core_seconds": 30.0, "gpu_seconds": 100.0}
    condensed = {"device": "cpu, cuda:0", "seconds": 110.0, **cost_of([measured, gpu])}
    assert cost_of([condensed]) == cost_of([measured, gpu])
    assert cost_of([]) == {"core_seconds": 0.0, "gpu_seconds": 0.0}


def test_seconds_of_an_item_are_a_mean_over_the_sessions_that_finished_any():
    sessions = [{"items": 3, "seconds": 6.0}, {"seconds": 9.0}, {"items": 0, "seconds": 100.0}, {"items": 1, "seconds": 4.0}]
    assert seconds_per_item(sessions) == 2.5
    assert isnan(seconds_per_item([]))


def test_every_result_that_the_chapters_need_counts(study):
    """The maps of CAM are not published, only their scores."""
    costs = read_costs(study.store.published_folder)
    assert {name.rsplit("-", 1)[0] for name in costs} >= {"classifier", "cam", "rib", "evaluate-cam", "evaluate-masks", "masks"}
    run = study.chapter().run
    sessions = run.result(CAM).sessions()
    assert costs[f"cam-{CAM.key(run.settings)}"] == {"stage": "cam", "items": 3, "presets": ["shown"], **cost_of(sessions)}
    assert sessions[0]["core_seconds"] > 0
    assert "core_seconds" in run.result(CLASSIFIER).sessions()[0]


def test_a_cost_stays_when_the_result_is_no_longer_here(study):
    before = (study.store.published_folder / FILE).read_bytes()
    study.forget_results()
    study.show()
    study.publish()
    assert (study.store.published_folder / FILE).read_bytes() == before


def test_the_costs_of_other_presets_stay(study):
    path = study.store.published_folder / FILE
    costs = json.loads(path.read_text())
    name = next(iter(costs))
    other = {"stage": "rib", "items": 3, "core_seconds": 7200.0, "gpu_seconds": 360.0, "presets": ["other"]}
    write_json(
        path,
        {
            **costs,
            name: {**costs[name], "presets": ["other", "shown"]},
            "rib-0": other,
            "old-0": {**other, "presets": ["shown"]},
        },
    )
    study.publish()
    found = read_costs(study.store.published_folder)
    assert set(found) == {*costs, "rib-0"}
    assert found[name]["presets"] == ["other", "shown"]
    shown, others, everything = cost_rows(found, [study.preset, "other"])
    assert (shown["preset"], shown["results"]) == (CHAPTER, len(costs))
    assert (others["results"], others["core-hours"], others["GPU hours"]) == (1, 2.0, 0.1)
    assert everything["core-hours"] == pytest.approx(shown["core-hours"] + 2.0)


def test_without_published_results_nothing_is_known(tmp_path):
    assert cost_rows(read_costs(tmp_path), ["study"])[-1] == {"preset": "all", "results": 0, "core-hours": 0, "GPU hours": 0}
