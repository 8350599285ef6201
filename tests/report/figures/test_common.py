import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ribstudy.evaluation.metrics import Comparison, Estimate
from ribstudy.report.figures import common as figures
from ribstudy.report.figures.common import Panel


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_slider_shows_its_first_frame_and_loads_nothing():
    plt.close("all")  # of other tests
    frames = [figures.gallery([[Panel("a", np.zeros((4, 4, 3), np.uint8))]], title=str(i)) for i in range(3)]
    html = figures.slider(frames, ["one", "two", "three"], alt="growth").data
    styles = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="growth, \w+" style="([^"]+)"', html)
    assert ["display:none" in style for style in styles] == [False, True, True]
    assert 'max="2"' in html
    assert "http" not in re.sub(r"base64,[^\"]+", "", html)
    assert plt.get_fignums() == []


def test_slider_of_an_adaptation_has_a_frame_for_each_step():
    unit = {"keys": np.array([1]), "size": np.array([8, 8]), "iterates_0": np.ones((3, 1, 2, 2), np.float32)}
    html = figures.growth_slider({"x": np.zeros((8, 8, 3), np.uint8)}, {"x": unit}, ["a", "b"]).data
    assert html.count("<img") == 3
    assert "['1 of 3', '2 of 3', '3 of 3']" in html


def test_void_and_background_are_not_painted():
    mask = np.array([[0, 1], [255, 2]])
    _, axis = plt.subplots()
    figures.draw_panel(axis, Panel("t", np.zeros((2, 2, 3), np.uint8), mask=mask))
    painted = axis.images[1].get_array()[..., 3] > 0
    assert painted.tolist() == [[False, True], [False, True]]


def test_signed_maps_are_white_at_zero():
    picture = figures.diverging(np.array([[-1.0, 0.0, 1.0]]), (1, 3))
    blue, white, red = picture[0].astype(int)
    assert blue[2] > blue[0]
    assert (white > 240).all()
    assert red[0] > red[2]


def test_differences_of_many_images_are_two_patches():
    first = np.zeros(20_000)
    figure = figures.image_differences(first, np.r_[np.nan, np.linspace(-1, 1, 19_999)])
    below, above = figure.axes[0].patches
    assert below.get_data().values.min() == -1
    assert above.get_data().values.max() == 1


def test_the_table_shows_the_images_with_a_class_where_they_are_fewer():
    compared = Comparison(Estimate(0.5), Estimate(0.6), Estimate(0.1, 0.0, 0.2, 9))
    row = {"seed": 0, "method": "RIB", "compared": compared, "best": compared}
    assert len(figures.comparison_table([row]).columns) == 4
    mean = {name: value for name, value in row.items() if name != "seed"}
    assert list(figures.comparison_table([mean, row]).index) == [("mean", "RIB"), (0, "RIB")]
    table = figures.comparison_table([{**row, "labelled": compared}])
    assert table.iloc[0, -1] == "+0.100 (+0.000 to +0.200)"


def test_gains_have_a_line_for_the_mean_and_for_every_seed():
    compared = Comparison(Estimate(0.5), Estimate(0.6), Estimate(0.1, 0.0, 0.2, 9))
    rows = [{"method": "RIB", "compared": compared}, {"seed": 3, "method": "RIB", "compared": compared}]
    figure = figures.gains(rows)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["RIB, mean", "RIB, seed 3"]
    assert [line.get_marker() for line in axis.lines if line.get_marker() not in ("None", None, "")] == ["D", "o"]
    figures.plt.close(figure)
