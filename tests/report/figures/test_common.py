import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

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


def test_void_and_background_are_not_painted():
    mask = np.array([[0, 1], [255, 2]])
    _, axis = plt.subplots()
    figures.draw_panel(axis, Panel("t", np.zeros((2, 2, 3), np.uint8), mask=mask))
    painted = axis.images[1].get_array()[..., 3] > 0
    assert painted.tolist() == [[False, True], [False, True]]


def test_a_mask_that_is_not_at_hand_says_so():
    for value, texts in ((255, ["not at hand"]), (0, [])):
        _, axis = plt.subplots()
        figures.draw_panel(axis, Panel("t", np.zeros((2, 2, 3), np.uint8), mask=np.full((2, 2), value)))
        assert [text.get_text() for text in axis.texts] == texts
