import base64
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ribstudy.report.figures import page
from ribstudy.report.figures.panels import Panel, gallery

pytestmark = pytest.mark.usefixtures("style")


def line(values):
    """A chart of one line."""
    figure, axis = plt.subplots()
    axis.plot(values, label="a line")
    return figure


def test_a_chart_has_its_caption_and_its_numbers():
    before = plt.get_fignums()
    html = page.figure(line, [1.0, 3.0], alt="A line", caption="Rises < falls.").data
    assert plt.get_fignums() == before
    assert 'alt="A line"' in html
    assert "Rises &lt; falls." in html
    (data,) = re.findall(r'download="line.csv" href="data:text/csv;base64,([^"]+)"', html)
    assert base64.b64decode(data).decode().splitlines() == ["series,mark,x,y", "a line,point,0,1", "a line,point,1,3"]
    (chart,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert b"<svg" in base64.b64decode(chart)
    assert f'href="api/report.html#{__name__}.line"' in html


def test_a_gallery_has_a_caption_and_no_numbers():
    html = page.figure(gallery, [[Panel("a", np.zeros((2, 2, 3), np.uint8))]], alt="Pictures", caption="One.").data
    assert 'aria-label="Pictures"' in html
    assert "csv" not in html


def test_nothing_is_shown_if_nothing_is_drawn():
    assert page.figure(lambda: None, alt="", caption="") is None
