"""The figures and tables of the chapter on masks: the right numbers, and labels on everything."""

import numpy as np
import pytest
from helpers.figures import is_readable

from ribstudy.datasets.pictures import PALETTE
from ribstudy.evaluation.mask_scores import MaskScores
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures import masks as mask_figures

pytestmark = pytest.mark.usefixtures("style")

OF_IMAGE = [[4, 1], [5, 1], [4, 2]]  # hits, predicted, true: IoU 0.8 and 0.5
SCORES = MaskScores(("a", "b"), np.array([OF_IMAGE, OF_IMAGE]), np.zeros((2, 2), int))
BETTER = MaskScores(("a",), np.array([[[4, 2], [4, 2], [4, 2]]]), np.zeros((2, 2), int))
STEPS = ["seed", "seed + CRF", "walk", "masks", "masks + CRF"]


def test_a_boundary_panel_has_the_size_of_the_image():
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
        {("CAM", "seed"): [SCORES], ("RIB", "seed"): [SCORES, BETTER]}, {("RIB", "seed"): Estimate(0.75, 0.6, 0.9, 9)}
    )
    assert list(table.columns) == ["mIoU", "precision", "recall", "low", "high"]
    assert table.loc[("CAM", "seed")].tolist() == pytest.approx([0.65, 0.9, 0.75, np.nan, np.nan], nan_ok=True)
    assert table.loc[("RIB", "seed")].tolist() == pytest.approx([0.825, 0.95, 0.875, 0.6, 0.9])  # means of two seeds


def test_step_bars_are_in_the_order_of_the_steps_and_mark_missing_ones():
    scores = {("CAM", step): [SCORES] for step in STEPS} | {("RIB", step): [SCORES] for step in STEPS[:2]}
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


def test_an_interval_that_excludes_the_value_is_drawn_at_its_place():
    figure = mask_figures.step_bars(
        mask_figures.steps_table({("CAM", "walk"): [SCORES]}, {("CAM", "walk"): Estimate(0.65, 0.7, 0.8)})
    )
    (axis,) = figure.axes
    whiskers = [line for lines in axis.collections for line in lines.get_segments() if len(line)]
    assert [sorted(line[:, 1]) for line in whiskers] == [pytest.approx([0.7, 0.8])]


def test_seconds_per_image_come_from_the_sessions_of_all_processes():
    failed = {"seconds": 100.0, "items": 0}  # a process without images does not count
    table = mask_figures.seconds_table({"cam": [{"seconds": 3.0, "items": 2}, failed, {"seconds": 1.5, "items": 1}], "rib": []})
    assert table["images"].tolist() == [3, 0]
    assert table["seconds for an image"].tolist() == pytest.approx([1.5, np.nan], nan_ok=True)
