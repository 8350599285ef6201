import matplotlib.pyplot as plt
import numpy as np
import pytest

from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures import rib as rib_figures


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_slider_of_an_adaptation_has_a_frame_for_each_step():
    stored = StoredMaps(np.array([1]), (8, 8), steps=(np.ones((3, 1, 2, 2), np.float32),))
    html = rib_figures.growth_slider({"x": np.zeros((8, 8, 3), np.uint8)}, {"x": stored}, ["a", "b"]).data
    assert html.count("<img") == 3
    assert "['1 of 3', '2 of 3', '3 of 3']" in html


def test_differences_of_many_images_are_two_patches():
    first = np.zeros(20_000)
    figure = rib_figures.image_differences(first, np.r_[np.nan, np.linspace(-1, 1, 19_999)])
    below, above = figure.axes[0].patches
    assert below.get_data().values.min() == -1
    assert above.get_data().values.max() == 1


def test_the_table_shows_the_images_with_a_class_if_some_have_none():
    compared = Comparison(Estimate(0.5), Estimate(0.6), Estimate(0.1, 0.0, 0.2, 9))
    row = {"seed": 0, "method": "RIB", "compared": compared, "best": compared}
    assert len(rib_figures.comparison_table([row]).columns) == 4
    mean = {name: value for name, value in row.items() if name != "seed"}
    assert list(rib_figures.comparison_table([mean, row]).index) == [("mean", "RIB"), (0, "RIB")]
    table = rib_figures.comparison_table([{**row, "labelled": compared}])
    assert table.iloc[0, -1] == "+0.100 (+0.000 to +0.200)"


def test_gains_have_a_line_for_the_mean_and_for_every_seed():
    compared = Comparison(Estimate(0.5), Estimate(0.6), Estimate(0.1, 0.0, 0.2, 9))
    rows = [{"method": "RIB", "compared": compared}, {"seed": 3, "method": "RIB", "compared": compared}]
    figure = rib_figures.gains(rows)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["RIB, mean", "RIB, seed 3"]
    assert [line.get_marker() for line in axis.lines if line.get_marker() not in ("None", None, "")] == ["D", "o"]
