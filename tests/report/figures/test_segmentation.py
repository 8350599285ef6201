"""The figures of the chapter on segmentation networks: the right numbers, and labels on everything."""

import numpy as np
import pandas as pd
import pytest
from helpers.figures import is_readable
from matplotlib.figure import Figure

from ribstudy.report.figures import common as figures
from ribstudy.report.figures import segmentation as segmentation_figures

pytestmark = pytest.mark.usefixtures("style")


def history(scale: float) -> pd.DataFrame:
    return pd.DataFrame({"step": [10, 20], "loss": [2 * scale, scale], "learning_rate": 1e-3, "foreground": [0.1, 0.3]})


def test_loss_curves_have_a_line_for_each_training_and_the_foreground_below():
    figure = segmentation_figures.loss_curves(
        {"CAM": history(1), "RIB": history(2), "truth": history(3), "affinity": history(4)}
    )
    losses, shares = figure.axes
    assert is_readable(figure)
    assert [line.get_ydata().tolist() for line in losses.lines] == [[2, 1], [4, 2], [6, 3], [8, 4]]
    assert [line.get_ydata().tolist() for line in shares.lines] == [[0.1, 0.3]] * 4
    colors = [line.get_color() for line in losses.lines]
    assert colors[:2] == [figures.COLORS["CAM"], figures.COLORS["RIB"]]
    assert len(set(colors)) == 4
    assert colors == [line.get_color() for line in shares.lines]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CAM", "RIB", "truth", "affinity"]


def test_loss_curves_without_foreground_have_one_panel():
    figure = segmentation_figures.loss_curves({"CAM": history(1).drop(columns="foreground")})
    assert len(figure.axes) == 1
    assert is_readable(figure)


def shown_shares(figure: Figure) -> np.ma.MaskedArray:
    mesh = figure.axes[0].collections[0]
    return np.ma.masked_array(mesh.get_array()).reshape(len(figure.axes[0].get_yticklabels()), -1)


def test_confusion_shows_shares_of_rows_of_the_classes_that_occur():
    counts = np.zeros((4, 4), int)
    counts[0] = (90, 10, 0, 0)
    counts[1] = (5, 14, 0, 1)  # class 2 does not occur, class 3 in predictions alone
    figure = segmentation_figures.confusion_picture(counts, ["cat", "dog", "cow"])
    assert is_readable(figure)
    axis, bar = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["background", "cat", "cow"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["background", "cat", "cow"]
    shares = shown_shares(figure)
    assert shares[:2].tolist() == [pytest.approx([0.9, 0.1, 0.001]), pytest.approx([0.25, 0.7, 0.05])]
    assert shares.mask.tolist() == [[False] * 3, [False] * 3, [True] * 3]
    assert "no true pixels" in axis.get_ylabel()
    assert "share" in bar.get_xlabel()


def test_the_classes_with_the_most_wrong_pixels_are_shown():
    counts = np.diag(np.full(81, 1000))
    counts[range(1, 81), 0] = np.arange(80)  # the later a class, the more of it is missed
    counts[1, 2] = 500
    figure = segmentation_figures.confusion_picture(counts, [f"class {number}" for number in range(1, 81)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    expected = ["class 1", "class 2", *(f"class {number}" for number in range(63, 81))]
    assert labels == ["background", *expected, "other classes"]
    shares = shown_shares(figure)
    assert shares[1, 2] == pytest.approx(500 / 1500)
    assert shares[-1, 0] == pytest.approx(sum(range(2, 62)) / (60 * 1000 + sum(range(2, 62))))
    assert is_readable(figure)


@pytest.mark.parametrize(
    ("counts", "message"),
    [(np.ones((3, 3), int), r"counts \(3, 3\) do not fit 2 classes"), (np.zeros((2, 2), int), "contains no pixel")],
)
def test_a_matrix_that_cannot_be_shown_is_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        segmentation_figures.confusion_picture(counts, ["cat"])
