import re

import numpy as np

from ribstudy.datasets.pictures import PALETTE
from ribstudy.report.figures.panels import Panel, before_after, gallery, photograph, picture, slider

BLACK = np.zeros((4, 4, 3), np.uint8)


class NoPictures:
    """A data set whose photographs are not at hand."""

    has_pictures = False


def test_void_and_background_are_not_painted():
    mask = np.array([[0, 1], [255, 2]])
    shown = picture(Panel("t", np.zeros((2, 2, 3), np.uint8), mask=mask))
    assert shown[[0, 1], [0, 0]].tolist() == [[0, 0, 0]] * 2
    assert shown[0, 1].tolist() == (0.75 * PALETTE[1]).round().tolist()


def test_a_map_is_brightest_at_its_maximum():
    shown = picture(Panel("t", BLACK, map=np.linspace(0, 1, 16).reshape(4, 4))).sum(axis=2).ravel()
    assert (np.diff(shown) > 0).all()


def test_a_photograph_that_is_not_at_hand_has_no_panel():
    stand_in = photograph(NoPictures(), "a name", (4, 4))
    html = gallery(
        [[Panel("image", stand_in), Panel("map", stand_in, map=np.zeros((4, 4)))], [Panel("another", stand_in)]]
    ).data
    assert re.findall(r'alt="([^"]*)"', html) == ["map"]


def test_a_mask_that_is_not_at_hand_has_no_panel():
    html = gallery([[Panel(name, BLACK, mask=np.full((4, 4), value)) for name, value in (("empty", 0), ("missing", 255))]]).data
    assert re.findall(r'alt="([^"]*)"', html) == ["empty"]


def test_a_gallery_names_every_panel():
    html = gallery([[Panel("<a>", BLACK)], [Panel("b", BLACK), Panel("c", BLACK)]]).data
    assert re.findall(r'alt="([^"]*)"', html) == ["&lt;a&gt;", "b", "c"]
    assert re.findall(r"<div>([^<]*)</div></div>", html) == ["&lt;a&gt;", "b", "c"]


def test_a_slider_shows_its_first_frame_and_loads_nothing():
    html = slider([[Panel(name, BLACK)] for name in "abc"], ["one", "two", "three"]).data
    assert re.findall(r'data-label="(\w+)"( hidden)?>', html) == [("one", ""), ("two", " hidden"), ("three", " hidden")]
    assert 'max="2"' in html
    assert "http" not in re.sub(r"base64,[^\"]+", "", html)


def test_each_label_is_on_the_side_of_its_picture():
    """The second picture and its label are cut off to the left of the line, so that the first ones are to the left."""
    html = before_after([(Panel("cat", BLACK), Panel("", BLACK))], labels=("CAM", "RIB")).data
    first, second = html.split('class="second"')
    assert re.findall(r"(left|right):0;background[^>]*>(\w+)", first) == [("left", "CAM")]
    assert re.findall(r"(left|right):0;background[^>]*>(\w+)", second) == [("right", "RIB")]
    assert "clip-path:inset(0 0 0 var(--at))" in second
    assert 'class="line" style="position:absolute;inset:0 auto 0 var(--at)' in second
