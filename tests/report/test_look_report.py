"""The report of `look`: one file, with a slider over the steps."""

import re

import numpy as np
import pytest
from bs4 import BeautifulSoup

from ribstudy.report import look_report
from ribstudy.report.figures.look import overlay
from ribstudy.report.look import Explanation

IMAGE = np.full((20, 30, 3), 128, np.uint8)


def explanation(
    *, steps: int = 3, scores=(1.0, 3.0, 2.9), class_name: str = "tench, Tinca tinca", method: str = "RIB"
) -> Explanation:
    """Maps of `steps` steps; the k-th of them is above the line in the first 10 k columns."""
    maps = np.zeros((steps, 20, 30), np.float32)
    for step in range(steps):
        maps[step, :, : 10 * (step + 1)] = 1
    return Explanation(IMAGE, class_name, 0.4, maps, np.array(scores), method)


def soup(*found: Explanation) -> BeautifulSoup:
    return BeautifulSoup(look_report.page([("folder/cat.jpg", one) for one in found], model="resnet50"), "html.parser")


def test_the_report_loads_nothing():
    page = soup(explanation())
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.find_all("img"))
    assert page.find_all(["script", "link", "iframe"]) == []
    assert re.findall(r"https?://|url\(", str(page)) == []


def test_every_step_has_a_picture_and_the_last_is_shown():
    (slider,) = soup(explanation()).select('input[type="range"]')
    pictures = slider.find_parent("figure").find_all("img")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")
    assert [picture.has_attr("hidden") for picture in pictures] == [True, True, False]
    texts = [picture["alt"] for picture in pictures]
    assert texts == [
        f"{name}: {share} of the photograph inside the line"
        for name, share in (("CAM", "33%"), ("RIB, 2 steps", "67%"), ("RIB, 3 steps", "100%"))
    ]
    assert slider["aria-valuetext"] == slider.find_parent("figure").find("output").text == texts[-1]


def test_a_single_map_has_no_slider():
    page = soup(explanation(steps=1, scores=(), method="LayerCAM"))
    assert page.select("input") == []
    assert page.find("output").text.startswith("LayerCAM: 33%")


def test_photographs_are_sections_and_maps_their_parts():
    page = soup(explanation(), explanation(steps=1, scores=(), method="CAM"))
    assert [heading.text for heading in page.find_all(["h1", "h2", "h3"])] == [
        "Where the classifier looks", "cat.jpg", "tench (40%), RIB", "tench (40%), CAM"
    ]  # fmt: skip


@pytest.mark.parametrize(("scores", "warned"), [((1.0, 3.0, 2.7), False), ((1.0, 3.0, 2.6), True), ((), False)])
def test_a_logit_that_falls_far_below_its_peak_is_reported(scores, warned):
    assert ("may have gone too far" in soup(explanation(scores=scores)).text) == warned


def test_names_are_escaped():
    page = soup(explanation(class_name='<b>"jack-o\'-lantern"'))
    assert page.find_all("b") == []
    assert '<b>"jack-o\'-lantern"' in page.find("h3").text


def test_the_overlay_is_the_grey_photograph_without_a_map_and_has_a_line_at_the_contour():
    assert (overlay(IMAGE, np.zeros((20, 30))) == 128).all()
    heat = np.zeros((20, 30))
    heat[5:15, 5:15] = 1
    picture = overlay(IMAGE, heat)
    assert (picture[5, 5:15] == (0, 255, 255)).all()
    assert (picture[4] == 128).all()
    assert (picture[10, 10] != 128).any()
