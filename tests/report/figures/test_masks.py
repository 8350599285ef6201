"""Tables and pictures of the chapters on masks and segmentation: the right numbers, and labels on everything."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ribstudy.datasets.pictures import PALETTE
from ribstudy.evaluation.metrics import Estimate
from ribstudy.evaluation.scores import MaskScores
from ribstudy.report.figures import common as figures
from ribstudy.report.figures import masks as mask_figures

OF_IMAGE = [[4, 1], [5, 1], [4, 2]]  # hits, predicted, true: IoU 0.8 and 0.5
SCORES = MaskScores(("a", "b"), np.array([OF_IMAGE, OF_IMAGE]), np.zeros((2, 2), int))
STEPS = ["seed", "seed + CRF", "walk", "masks", "masks + CRF"]


@pytest.fixture(autouse=True)
def style():
    with plt.rc_context():
        figures.use_style()
        yield
        plt.close("all")


def is_readable(figure: Figure) -> bool:
    """Few inches wide, a title, labels on both axes of the lowest panel, and no letter below 10 points."""
    figure.canvas.draw()
    texts = [text for axis in figure.axes for text in axis.findobj(plt.Text) if text.get_visible() and text.get_text()]
    lowest = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"][-1]
    named = figure.axes[0].get_title() and lowest.get_xlabel() and lowest.get_ylabel()
    return bool(named) and figure.get_figwidth() <= 7 and min(text.get_fontsize() for text in texts) >= 10


def test_a_boundary_is_a_picture_of_the_images_size():
    boundary = np.zeros((3, 4), np.float16)
    boundary[:, 2:] = 1
    panel = mask_figures.boundary_panel("boundary", boundary, (9, 12))
    assert (panel.title, panel.image.shape, panel.image.dtype) == ("boundary", (9, 12, 3), np.uint8)
    brightness = panel.image.sum(axis=2)
    assert (brightness[:, 0] < 20).all()
    assert (brightness[:, -1] > 500).all()


def test_unsure_labels_are_grey_and_the_others_have_the_devkits_colours():
    picture = mask_figures.affinity_label_picture(np.array([[0, 1], [20, 255]], np.uint8))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[0, 0, 0], PALETTE[1].tolist()], [PALETTE[20].tolist(), list(mask_figures.UNSURE_COLOR)]]


def test_steps_table_by_hand():
    table = mask_figures.steps_table(
        {("CAM", "seed"): SCORES, ("RIB", "seed"): SCORES}, {("RIB", "seed"): Estimate(0.65, 0.6, 0.7, 9)}
    )
    assert list(table.columns) == ["mIoU", "precision", "recall", "low", "high"]
    assert table.loc[("CAM", "seed")].tolist() == pytest.approx([0.65, 0.9, 0.75, np.nan, np.nan], nan_ok=True)
    assert table.loc[("RIB", "seed"), ["low", "high"]].tolist() == [0.6, 0.7]


def test_step_bars_stand_in_the_order_of_the_steps_and_say_what_was_not_run():
    scores = {("CAM", step): SCORES for step in STEPS} | {("RIB", step): SCORES for step in STEPS[:2]}
    figure = mask_figures.step_bars(mask_figures.steps_table(scores, {("CAM", "walk"): Estimate(0.65, 0.6, 0.75)}))
    (axis,) = figure.axes
    assert is_readable(figure)
    assert "95 %" in axis.get_ylabel()
    assert mask_figures.step_bars(mask_figures.steps_table(scores)).axes[0].get_ylabel() == "mIoU"
    assert [label.get_text().replace("\n", " ") for label in axis.get_xticklabels()] == STEPS
    heights = np.array([[bar.get_height() for bar in container] for container in axis.containers if len(container) == 5])
    assert heights == pytest.approx(np.array([[0.65] * 5, [0.65] * 2 + [np.nan] * 3]), nan_ok=True)
    assert [text.get_text() for text in axis.texts] == ["0.65"] * 7 + ["not run"] * 3
    whiskers = [line for lines in axis.collections for line in lines.get_segments() if len(line)]
    assert [sorted(line[:, 1]) for line in whiskers] == [pytest.approx([0.6, 0.75])]
    assert axis.patches[0].get_facecolor() != axis.patches[5].get_facecolor()


def test_an_interval_of_few_images_that_misses_the_value_is_drawn_where_it_lies():
    figure = mask_figures.step_bars(
        mask_figures.steps_table({("CAM", "walk"): SCORES}, {("CAM", "walk"): Estimate(0.65, 0.7, 0.8)})
    )
    (axis,) = figure.axes
    whiskers = [line for lines in axis.collections for line in lines.get_segments() if len(line)]
    assert [sorted(line[:, 1]) for line in whiskers] == [pytest.approx([0.7, 0.8])]


def history(scale: float) -> pd.DataFrame:
    return pd.DataFrame({"step": [10, 20], "loss": [2 * scale, scale], "learning_rate": 1e-3, "foreground": [0.1, 0.3]})


def test_loss_curves_have_a_line_for_each_training_and_the_foreground_below():
    figure = mask_figures.loss_curves({"CAM": history(1), "RIB": history(2), "truth": history(3), "affinity": history(4)})
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
    figure = mask_figures.loss_curves({"CAM": history(1).drop(columns="foreground")})
    assert len(figure.axes) == 1
    assert is_readable(figure)


def shown_shares(figure: Figure) -> np.ma.MaskedArray:
    mesh = figure.axes[0].collections[0]
    return np.ma.masked_array(mesh.get_array()).reshape(len(figure.axes[0].get_yticklabels()), -1)


def test_confusion_shows_shares_of_rows_of_the_classes_that_occur():
    counts = np.zeros((4, 4), int)
    counts[0] = (90, 10, 0, 0)
    counts[1] = (5, 14, 0, 1)  # class 2 does not occur, class 3 in predictions alone
    figure = mask_figures.confusion_picture(counts, ["cat", "dog", "cow"])
    assert is_readable(figure)
    axis, bar = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["background", "cat", "cow"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["background", "cat", "cow"]
    shares = shown_shares(figure)
    assert shares[:2].tolist() == [pytest.approx([0.9, 0.1, 0.001]), pytest.approx([0.25, 0.7, 0.05])]
    assert shares.mask.tolist() == [[False] * 3, [False] * 3, [True] * 3]
    assert "no true pixels" in axis.get_ylabel()
    assert "share" in bar.get_xlabel()


def test_of_many_classes_those_with_the_most_wrong_pixels_are_shown():
    counts = np.diag(np.full(81, 1000))
    counts[range(1, 81), 0] = np.arange(80)  # the later a class, the more of it is missed
    counts[1, 2] = 500
    figure = mask_figures.confusion_picture(counts, [f"class {number}" for number in range(1, 81)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    expected = ["class 1", "class 2", *(f"class {number}" for number in range(63, 81))]
    assert labels == ["background", *expected, "other classes"]
    shares = shown_shares(figure)
    assert shares[1, 2] == pytest.approx(500 / 1500)
    assert shares[-1, 0] == pytest.approx(sum(range(2, 62)) / (60 * 1000 + sum(range(2, 62))))
    assert is_readable(figure)


@pytest.mark.parametrize(
    ("counts", "message"),
    [(np.ones((3, 3), int), r"counts \(3, 3\) and 2 classes"), (np.zeros((2, 2), int), "holds no pixel")],
)
def test_a_matrix_that_cannot_be_shown_is_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        mask_figures.confusion_picture(counts, ["cat"])


def test_ours_beside_the_papers():
    ours = {("RIB", "seed"): Estimate(0.5612, 0.5501, 0.572, 9), ("RIB", "crf"): None, ("CAM", "seed"): Estimate(0.5)}
    table = mask_figures.paper_table("voc12_seeds", ours)
    assert list(table.columns[:4]) == ["seed", "seed, ours", "crf", "crf, ours"]
    assert table.loc["RIB"].tolist()[:4] == ["56.5", "56.1 (55.0 to 57.2), -0.4", "62.9 (?)", "not run"]
    assert table.loc["CAM"].tolist()[:2] == ["48.8", "50.0, +1.2"]
    assert table.loc["AdvCAM"].tolist()[:2] == ["55.6", ""]  # not a method of this study


def test_what_the_paper_does_not_give_stands_beside_its_method():
    ours = {("RIB as written", "seed"): Estimate(0.5), ("CAM", "mask_psa"): Estimate(0.6)}
    table = mask_figures.paper_table("voc12_seeds", ours)
    assert table.loc["CAM", ["mask_psa", "mask_psa, ours"]].tolist() == ["not known", "60.0"]
    assert table.loc["RIB as written"].tolist() == ["not known", "50.0", *(len(table.columns) - 2) * [""]]
    assert list(table.index)[-1] == "RIB as written"
    with pytest.raises(ValueError, match="voc12_sed"):
        mask_figures.paper_table("voc12_sed", {})
