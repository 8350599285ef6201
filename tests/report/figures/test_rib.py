import numpy as np
import pandas as pd
import pytest

from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures import rib as rib_figures
from ribstudy.report.look import Explanation

pytestmark = pytest.mark.usefixtures("style")

ALL_RULES = {
    rule: Comparison(Estimate(0.5), Estimate(0.5 + gain), Estimate(gain, gain - 0.01, gain + 0.01, 9))
    for rule, gain in ((FROM_VAL, 0.02), (BEST, 0.03), (WITHOUT_MASKS, -0.04))
}


def test_slider_of_an_adaptation_has_a_frame_for_each_step():
    stored = StoredMaps(np.array([1]), (8, 8), steps=(np.ones((3, 1, 2, 2), np.float32),))
    html = rib_figures.growth_slider({"x": np.zeros((8, 8, 3), np.uint8)}, {"x": stored}, {"x": "cat"}).data
    assert html.count("<img") == 3
    assert [f'data-label="{label}"' in html for label in ("the plain CAM", "sum of 3 maps")] == [True, True]


def explanation(num_steps: int) -> Explanation:
    return Explanation(np.zeros((8, 8, 3), np.uint8), "cat, tabby", 0.5, np.zeros((num_steps, 8, 8)), np.ones(1), "iterations")


def test_photographs_keep_their_last_map():
    html = rib_figures.photographs_slider([explanation(2), explanation(3)]).data
    assert html.count("<img") == 6
    assert rib_figures.photograph_slider(explanation(2)).data.count("photograph: cat") == 4  # titles and alternative texts


def test_differences_of_many_images_are_two_patches():
    first = np.zeros(20_000)
    figure = rib_figures.image_differences(first, np.r_[np.nan, np.linspace(-1, 1, 19_999)])
    below, above = figure.axes[0].patches
    assert below.get_data().values.min() == -1
    assert above.get_data().values.max() == 1


def test_gains_have_a_point_for_every_rule_of_every_comparison():
    rows = {"RIB − CAM": ALL_RULES, "masks": {FROM_VAL: ALL_RULES[FROM_VAL]}}
    figure = rib_figures.gains(rows)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(rows)
    points = [line for line in axis.lines if line.get_marker() not in ("None", None, "")]
    assert [point.get_xdata()[0] for point in points] == [0.02, 0.03, -0.04, 0.02]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [FROM_VAL, BEST, WITHOUT_MASKS]


def test_changes_over_the_steps_have_a_panel_for_each_reading():
    rows = [(measure, steps, 0.1 * steps, 0.0, None) for measure in ("miou", "precision", "recall") for steps in (1, 2)]
    table = pd.DataFrame(rows, columns=["measure", "steps", "value", "low", "high"])
    figure = rib_figures.changes_over_steps({"RIB": table, "RIB as written": table})
    assert [axis.get_title() for axis in figure.axes] == ["RIB", "RIB as written"]
    assert [len(axis.lines) for axis in figure.axes] == [4, 4]


def test_learning_rates_have_a_panel_for_each_reading():
    table = pd.DataFrame({"steps": [1, 2], "miou": [0.3, 0.4]})
    figure = rib_figures.learning_rate_curves({"RIB": {1e-5: table, 3e-5: table}, "RIB as written": {1e-5: table, 3e-5: table}})
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1e-05", "3e-05"]


def test_coverage_is_shown_also_where_no_object_reaches():
    bins = [Estimate(0.5, 0.4, 0.6)] * (len(DISTANCE_EDGES) - 1) + [Estimate(float("nan"))]
    upper, lower = rib_figures.coverage({"CAM": bins, "CAM, blurred": bins}, {"RIB − CAM": bins}).axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["CAM", "CAM, blurred"]
    assert np.isnan(lower.lines[0].get_ydata()[-1])
