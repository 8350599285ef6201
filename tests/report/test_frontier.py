"""The texts, the table and the figure of the chapter on costs, from scores that are small."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers.scored_maps import ManyMasks

from ribstudy.config import load_settings
from ribstudy.evaluation.protocol import Scored, resample
from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.report.figures.common import use_style
from ribstudy.report.figures.frontier import frontier_figure
from ribstudy.report.frontier import (
    Measured,
    choices_table,
    frontier_table,
    goal_text,
    headline,
    mean_updates,
    measure,
    num_classes,
    verdict_rows,
)
from ribstudy.workflow.frontier import FAST, frontier_jobs, points
from ribstudy.workflow.methods import CAM_NAME, RIB_NAME

SCORES = ManyMasks(8).scores()
DRAWN = resample([Scored(sweep_scores(SCORES), sweep_scores(SCORES))] * 2, num_samples=20)
NAMES = (CAM_NAME, RIB_NAME, FAST, "random step", "LayerCAM")
FOUND = {
    name: Measured(point, DRAWN, Estimate(0.9, 0.8, 1.0, 8), 10.0 if name == RIB_NAME else 1.0, 3.0)
    for name, point in points(load_settings("study")).items()
    if name in NAMES
}
FLOP = {CAM_NAME: 1e9, RIB_NAME: 60e9, FAST: 3e9, "random step": 3e9, "LayerCAM": 2e9}


def test_nothing_was_run():
    assert frontier_table({}, {})["state"].tolist() == ["not run"]
    assert frontier_figure({}, {}, label="GFLOP") is None
    assert goal_text({}, {}).startswith("Not run")
    assert headline({}, {}) == verdict_rows({}) == {}


def test_a_row_for_each_point_is_numbered_as_in_the_figure():
    shown = frontier_table(FOUND, FLOP)
    assert list(shown.index) == [f"{number}. {name}" for number, name in enumerate(FOUND, start=1)]
    row = shown.loc["3. fast"]
    assert (row["GFLOP"], row["of the CAM's"], row["seconds"]) == ("3.0", "3.0", "1.00")
    assert shown.loc["1. CAM", "mIoU − CAM (95 %)"] == "–"
    assert isinstance(shown, pd.DataFrame)


def test_the_fast_mode_is_judged_by_operations_seconds_and_loss():
    assert goal_text(FOUND, FLOP).count("met") == 3
    slow = {**FOUND, FAST: replace(FOUND[FAST], seconds=2.0)}
    first, second, third = goal_text(slow, {**FLOP, FAST: 5e9}).splitlines()
    assert first.endswith("(12.0): missed.")
    assert second.endswith("(5.0): missed.")
    assert third.endswith(": met.")


def test_the_fast_mode_is_compared_with_every_control():
    assert list(verdict_rows(FOUND)) == ["fast − CAM", "RIB − CAM", "fast − RIB", "fast − random step"]


def test_the_record_has_a_number_for_each_comparison():
    numbers = headline(FOUND, FLOP)
    assert {"gain_fast", "less_rib_fast", "less_rib_fast_best", "gain_random_step", "alike_layercam", "gflop_cam"} <= set(
        numbers
    )
    assert "gain_cam" not in numbers
    assert numbers["fewer_fast"].value == 20


def test_the_figure_has_every_point_in_every_panel(style):
    for axis in frontier_figure(FOUND, FLOP, label="GFLOP").axes:
        assert [text.get_text() for text in axis.texts] == ["1", "2", "3", "4", "5"]
    unknown = frontier_figure(FOUND, {**FLOP, FAST: float("nan")}, label="GFLOP")
    assert [text.get_text() for text in unknown.axes[0].texts] == ["1", "2", "4", "5"]
    plt.close("all")


class StandIn:
    """A chapter whose jobs all have the same scores and the same coarse maps."""

    def __init__(self, overrides):
        self.settings = load_settings("study", overrides)
        self.jobs = frontier_jobs(self.settings)

    def stored(self, *name):
        assert name in self.jobs
        coarse = {"a": {"maps": np.arange(6.0).reshape(1, 2, 3)}, "b": {"maps": np.arange(6.0)[::-1].reshape(1, 2, 3)}}
        return coarse if name[0] == "coarse" else SCORES

    def sessions(self, *name):
        assert name in self.jobs
        return [{"items": 4, "seconds": 2.0}]


def test_every_point_is_measured_from_its_jobs():
    chapter = StandIn({"costs": {"images": {"split": "train"}, "choices": {"split": "val"}, "seeds": 2}})
    found = measure(chapter)
    assert list(found) == list(points(chapter.settings))
    assert found[RIB_NAME].alike.value == pytest.approx(1)
    assert (found[FAST].seconds, found["CAM, dilated"].seconds, found[CAM_NAME].updates) == (0.5, 1.0, None)
    assert set(choices_table(chapter).index) == {"fast", "2 steps", "3 steps", "5 steps", "CAM, dilated"}
    nothing = StandIn({})
    assert measure(nothing) == {}
    assert choices_table(nothing)["value"].tolist() == ["not run"]


def test_updates_and_classes_are_means():
    peak = replace(SCORES["0001"], logits=np.array([1.0, 2.0, 1.5]), stopped_by="peak")
    ended = replace(SCORES["0002"], logits=np.array([1.0, 2.0]), stopped_by="iterations")
    scores = {"0000": SCORES["0000"], "0001": peak, "0002": ended}  # the first has no class
    assert mean_updates(scores) == 2
    assert num_classes(scores) == np.mean([len(peak.classes), len(ended.classes)])


@pytest.fixture
def style():
    with plt.rc_context():
        use_style()
        yield
