import matplotlib.pyplot as plt
import numpy as np
import pytest

from ribstudy.report.figures.drawn import drawn_numbers

pytestmark = pytest.mark.usefixtures("style")


def rows_of(figure):
    return drawn_numbers(figure).to_dict("records")


def test_lines_and_bands_of_each_panel():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2], [0.5, 0.6], label="RIB")
    left.set_title("one")
    left.axhline(0)  # marks a value
    right.fill_between([1, 2], [0, 1], [2, 3], label="interval")
    table = drawn_numbers(figure)
    assert table["panel"].dropna().tolist() == ["one", "one"]
    assert table["mark"].tolist() == ["point", "point", "band", "band"]
    assert table[["low", "high"]].dropna().to_numpy().tolist() == [[0, 2], [1, 3]]


def test_positions_on_an_axis_of_names_are_named():
    figure, axis = plt.subplots()
    axis.errorbar([0.1, 0.2], [-0.1, 0.9], xerr=[0.05, 0.1], fmt="o", label="common")
    axis.set_yticks([0, 1], ["first", "second"])
    points = [row for row in rows_of(figure) if row["mark"] == "point"]
    assert [(row["x"], row["y"]) for row in points] == [(0.1, "first"), (0.2, "second")]
    intervals = [row for row in rows_of(figure) if row["mark"] == "interval"]
    assert [row["y"] for row in intervals] == ["first", "second"]
    assert [row["low"] for row in intervals] == pytest.approx([0.05, 0.1])


def test_bars_have_their_length():
    figure, (across, up) = plt.subplots(1, 2)
    across.barh(["cat", "dog"], [3, 4])
    up.bar([0, 1], [5, 6])
    table = drawn_numbers(figure)
    assert table["mark"].unique().tolist() == ["bar"]
    assert table["x"].tolist()[:2] == [3, 4]
    assert table["y"].tolist() == ["cat", "dog", 5, 6]


def test_cells_of_a_picture_of_numbers():
    figure, axis = plt.subplots()
    axis.imshow(np.array([[0.1, 0.2], [0.3, 0.4]]))
    axis.set_xticks([0, 1], ["a", "b"])
    axis.set_yticks([0, 1], [3, 4])
    found = [(row["x"], row["y"], row["low"]) for row in rows_of(figure)]
    assert found == [("a", "3", 0.1), ("b", "3", 0.2), ("a", "4", 0.3), ("b", "4", 0.4)]
