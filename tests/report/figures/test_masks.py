"""The figures and tables of the chapter on masks: the right numbers, and labels on everything."""

import numpy as np
import pandas as pd
import pytest
from helpers.figures import is_readable

from ribstudy.datasets.pictures import PALETTE
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures import masks as mask_figures

pytestmark = pytest.mark.usefixtures("style")


def estimates(miou: Estimate, *, precision: float = 0.9, recall: float = 0.75) -> dict[str, Estimate]:
    return {"miou": miou, "precision": Estimate(precision), "recall": Estimate(recall), "over": Estimate(0.1)}


KNOWN, WITH_INTERVAL = estimates(Estimate(0.65)), estimates(Estimate(0.75, 0.6, 0.9, 9))
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


def test_steps_table_has_the_interval_of_the_miou():
    table = mask_figures.steps_table({("CAM", "seed"): KNOWN, ("RIB", "seed"): WITH_INTERVAL})
    assert list(table.columns) == ["mIoU", "low", "high", "precision", "recall"]
    assert table.loc[("CAM", "seed")].tolist() == pytest.approx([0.65, np.nan, np.nan, 0.9, 0.75], nan_ok=True)
    assert table.loc[("RIB", "seed")].tolist() == pytest.approx([0.75, 0.6, 0.9, 0.9, 0.75])


def test_step_bars_are_in_the_order_of_the_steps_and_mark_missing_ones():
    methods = ("CAM", "CAM, blurred", "RIB")
    scores = {(method, step): KNOWN for method in methods for step in (STEPS if method == "CAM" else STEPS[:2])}
    figure = mask_figures.step_bars(mask_figures.steps_table({**scores, ("CAM", "walk"): estimates(Estimate(0.65, 0.6, 0.75))}))
    (axis,) = figure.axes
    assert is_readable(figure)
    assert "95 %" in axis.get_xlabel()
    assert mask_figures.step_bars(mask_figures.steps_table(scores)).axes[0].get_xlabel() == "mIoU"
    assert [label.get_text() for label in axis.get_yticklabels()] == STEPS
    lengths = np.array([[bar.get_width() for bar in container] for container in axis.containers if len(container) == 5])
    two = [0.65] * 2 + [np.nan] * 3
    assert lengths == pytest.approx(np.array([[0.65] * 5, two, two]), nan_ok=True)
    assert [text.get_text() for text in axis.texts] == ["0.65"] * 7 + ["not run"] * 3 + ["0.65"] * 2 + ["not run"] * 3
    whiskers = [line for lines in axis.collections for line in lines.get_segments() if len(line)]
    assert [sorted(line[:, 0]) for line in whiskers] == [pytest.approx([0.6, 0.75])]
    assert len({bar.get_facecolor() for bar in axis.patches}) == 3


def test_an_interval_that_excludes_the_value_is_drawn_at_its_place():
    table = mask_figures.steps_table({("CAM", "walk"): estimates(Estimate(0.65, 0.7, 0.8))})
    (axis,) = mask_figures.step_bars(table).axes
    whiskers = [line for lines in axis.collections for line in lines.get_segments() if len(line)]
    assert [sorted(line[:, 0]) for line in whiskers] == [pytest.approx([0.7, 0.8])]


def test_losses_stand_beside_the_best_score_with_their_thresholds():
    rules = {
        "from val": {"threshold": 0.3, "best_threshold": 0.25, "best_miou": 0.5, "lost": 0.004},
        "otsu": {"threshold": 0.4, "best_threshold": 0.25, "best_miou": 0.5, "lost": 0.1},
    }
    table = mask_figures.losses_table({("RIB", "walk"): pd.DataFrame.from_dict(rules, orient="index")})
    assert table.loc[("RIB", "walk")].to_dict() == {
        "best on these images": "0.500 at 0.25",
        "from val": "-0.004 at 0.30",
        "otsu": "-0.100 at 0.40",
    }


def test_seconds_per_image_come_from_the_sessions_of_all_processes():
    failed = {"seconds": 100.0, "items": 0}  # a process without images does not count
    table = mask_figures.seconds_table({"cam": [{"seconds": 3.0, "items": 2}, failed, {"seconds": 1.5, "items": 1}], "rib": []})
    assert table["images"].tolist() == [3, 0]
    assert table["seconds for an image"].tolist() == pytest.approx([1.5, np.nan], nan_ok=True)
