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
from ribstudy.report.figures.frontier import frontier_figure, maps_figure
from ribstudy.report.frontier import (
    Measured,
    choices_table,
    frontier_table,
    gain_by_maps,
    goal_text,
    headline,
    maps_sentence,
    mean_updates,
    measure,
    not_run_text,
    num_classes,
    verdict_rows,
)
from ribstudy.workflow.frontier import FAST, every_point, frontier_jobs, points
from ribstudy.workflow.methods import CAM_NAME, RIB_NAME

SCORES = ManyMasks(8).scores()
DRAWN = resample([Scored(sweep_scores(SCORES), sweep_scores(SCORES))] * 2, num_samples=20)
NAMES = (CAM_NAME, RIB_NAME, FAST, "random step", "LayerCAM")
FOUND = {
    name: Measured(point, DRAWN, Estimate(0.9, 0.8, 1.0, 8), 10.0 if name == RIB_NAME else 1.0, 3.0)
    for name, point in every_point(load_settings("study")).items()
    if name in NAMES
}
AT_PAPER = {"fewer": 30.9, "cams": 1.9}
FLOP = {CAM_NAME: 1e9, RIB_NAME: 60e9, FAST: 3e9, "random step": 3e9, "LayerCAM": 2e9}


def test_nothing_was_run():
    assert frontier_table({}, {})["state"].tolist() == ["not run"]
    assert frontier_figure({}, {}, label="GFLOP") is None
    assert goal_text({}, {}, AT_PAPER).splitlines()[-1] == "- The time and the mIoU of the fast mode: not run."
    assert maps_figure(pd.DataFrame(), {}, {}) is None
    assert maps_sentence(pd.DataFrame(), {}, {}) == "Not run."
    assert headline({}, {}) == verdict_rows({}) == {}


def test_a_row_for_each_point_is_numbered_as_in_the_figure():
    shown = frontier_table(FOUND, FLOP)
    assert list(shown.index) == [f"{number}. {name}" for number, name in enumerate(FOUND, start=1)]
    row = shown.loc["3. fast"]
    assert (row["GFLOP"], row["of the CAM's"], row["seconds"]) == ("3.0", "3.0", "1.00")
    assert shown.loc["1. CAM", "mIoU − CAM (95 %)"] == "–"
    assert isinstance(shown, pd.DataFrame)


def test_the_fast_mode_is_judged_by_operations_seconds_and_loss():
    assert goal_text(FOUND, FLOP, AT_PAPER).count(": met (") == 4
    slow = {**FOUND, FAST: replace(FOUND[FAST], seconds=2.0)}
    fewer, cams, seconds, loss, here = goal_text(slow, {**FLOP, FAST: 5e9}, {"fewer": 12.0, "cams": 3.5}).splitlines()
    assert fewer.endswith(": missed (12.0).")
    assert cams.endswith(": missed (3.5).")
    assert seconds.endswith(": missed (5.0).")
    assert ": met (" in loss
    assert "12.0 times fewer operations than RIB, and 5.0 times those of the CAM" in here


def test_the_fast_mode_is_compared_with_every_control():
    assert list(verdict_rows(FOUND)) == ["fast − CAM", "RIB − CAM", "fast − RIB", "fast − random step"]


def test_the_record_has_a_number_for_each_comparison():
    numbers = headline(FOUND, FLOP)
    assert {"gain_fast", "less_rib_fast", "less_rib_fast_unmasked", "gain_random_step", "alike_layercam", "gflop_cam"} <= set(
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


def test_a_short_logarithmic_axis_has_few_labels_without_powers(style):
    axis = frontier_figure(FOUND, {**FLOP, CAM_NAME: 38e9, RIB_NAME: 612e9}, label="GFLOP").axes[1]
    axis.set_xlim(38, 612)
    axis.figure.canvas.draw()
    shown = [text.get_text() for text in axis.get_xticklabels(which="both") if 38 <= text.get_position()[0] <= 612]
    assert [text for text in shown if text] == ["50", "100", "200", "500"]
    plt.close("all")


def test_what_a_preset_leaves_out_is_named_in_a_sentence():
    few = load_settings("study", {"costs.points": [name for name in every_point(load_settings("study")) if name != "2 steps"]})
    assert not_run_text(few) == "Not run on these images: 2 steps."
    assert not_run_text(load_settings("study", {"costs.points": None})) == ""


def test_without_the_fast_mode_nothing_is_judged():
    others = {name: of for name, of in FOUND.items() if name != FAST}
    assert list(verdict_rows(others)) == ["RIB − CAM"]
    assert goal_text(others, FLOP, AT_PAPER).endswith("not run.")
    assert "fewer_fast" not in headline(others, FLOP)


class StandIn:
    """A chapter whose jobs all have the same scores and the same coarse maps."""

    def __init__(self, overrides):
        self.settings = load_settings("study", overrides)
        self.overrides = overrides
        self.jobs = frontier_jobs(self.settings)

    def variant(self, changes):
        return StandIn({**self.overrides, **changes})

    def stored(self, *name):
        assert name in self.jobs
        coarse = {"a": {"maps": np.arange(6.0).reshape(1, 2, 3)}, "b": {"maps": np.arange(6.0)[::-1].reshape(1, 2, 3)}}
        return coarse if name[0] == "coarse" else SCORES

    def sessions(self, *name):
        assert name in self.jobs
        return [{"items": 4, "seconds": 2.0}]


def test_every_point_is_measured_from_its_jobs():
    chapter = StandIn({"costs": {"points": None, "images": {"split": "train"}, "choices": {"split": "val"}, "seeds": 2}})
    found = measure(chapter)
    assert list(found) == list(points(chapter.settings))
    assert found[RIB_NAME].alike.value == pytest.approx(1)
    assert (found[FAST].seconds, found["CAM, dilated"].seconds, found[CAM_NAME].updates) == (0.5, 1.0, None)
    assert set(choices_table(chapter).index) == {"fast", "2 steps", "3 steps", "5 steps", "CAM, dilated"}
    nothing = StandIn({"costs": None})
    assert measure(nothing) == {}
    assert choices_table(nothing)["value"].tolist() == ["not run"]


def test_the_sum_of_the_first_maps_is_told_and_drawn(monkeypatch, style):
    monkeypatch.setattr("ribstudy.evaluation.steps.NUM_SAMPLES", 20)
    settings = {"images": {"split": "train"}, "choices": {"split": "val"}, "seeds": 1, "points": []}
    table = gain_by_maps(StandIn({"costs": settings}))
    assert (table["steps"][0], table["value"][0], table["updates"][0]) == (1, 0, 0)
    assert gain_by_maps(StandIn({"costs": None})).empty

    rows = {"steps": [1, 2, 3], "value": [0.0, 0.03, 0.02], "low": [0.0, 0.01, 0.0], "high": [0.0, 0.05, 0.04]}
    table = pd.DataFrame({**rows, "flop": [1e9, 5e9, 9e9]})
    told = maps_sentence(table, FOUND, FLOP)
    assert told.startswith("The sum of the first 2 maps gains most over the CAM: +0.030 (+0.010 to +0.050), at 5.0 times the")
    assert "All 3 gain +0.020" in told
    assert maps_sentence(table[:2], FOUND, FLOP).startswith("The sum of all 2 maps gains most")
    (axis,) = maps_figure(table, FOUND, FLOP).axes
    assert {text.get_text() for text in axis.texts} == {"CAM", "2 maps", "3 maps", FAST, "random step", "LayerCAM"}
    plt.close("all")


def test_updates_and_classes_are_means():
    peak = replace(SCORES["0001"], logits=np.array([1.0, 2.0, 1.5]), stopped_by="peak")
    ended = replace(SCORES["0002"], logits=np.array([1.0, 2.0]), stopped_by="iterations")
    scores = {"0000": SCORES["0000"], "0001": peak, "0002": ended}  # the first has no class
    assert (mean_updates(scores, 9), mean_updates(scores, 1)) == (2, 1)
    assert num_classes(scores) == np.mean([len(peak.classes), len(ended.classes)])


@pytest.fixture
def style():
    with plt.rc_context():
        use_style()
        yield
