import numpy as np
import pytest
from helpers.sweeps import sweep_of, sweep_with_iou

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.protocol import BEST, FROM_VAL, MEASURES, Scored, resample, values
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures import cam as cam_figures

pytestmark = pytest.mark.usefixtures("style")


def drawn_with(*ious, best_of_choices):
    """A method with a training for each IoU; its images have this IoU at every threshold."""
    curve = np.where(np.arange(100) == best_of_choices, 1.0, 0.5)
    choices = sweep_with_iou(np.tile(curve, (3, 1)))
    return resample([Scored(sweep_with_iou(np.full((4, 100), iou)), choices) for iou in ious], num_samples=20)


def test_signed_maps_are_white_at_zero():
    picture = cam_figures.diverging(np.array([[-1.0, 0.0, 1.0]]), (1, 3))
    blue, white, red = picture[0].astype(int)
    assert blue[2] > blue[0]
    assert (white > 240).all()
    assert red[0] > red[2]


def test_thresholds_and_class_scores_are_means_over_trainings():
    drawn = drawn_with(0.4, 0.6, best_of_choices=30)
    assert cam_figures.mean_threshold(drawn, FROM_VAL) == pytest.approx(0.3)
    assert cam_figures.mean_threshold(drawn, BEST) == 0
    assert cam_figures.class_ious(drawn, []).to_dict() == {"background": 0.5}


def test_curves_have_a_dot_with_its_interval_if_there_is_one():
    curve = np.full(len(DEFAULT_THRESHOLDS), 0.4)
    figure = cam_figures.threshold_curves({"CAM": curve, "val": curve}, {"CAM": (0.3, Estimate(0.4, 0.35, 0.45))})
    (axis,) = figure.axes
    assert len(axis.lines) == 4
    assert axis.lines[1].get_xdata()[0] == 0.3
    assert list(axis.lines[2].get_ydata()) == [0.35, 0.45]


def test_the_trade_off_marks_the_threshold_of_every_rule():
    counts = np.tile(np.array([50, 70, 100]).reshape(1, 1, 3, 1), (2, 100, 1, 1))
    sweep = sweep_of(counts)
    (axis,) = cam_figures.trade_off([sweep, sweep], resample([Scored(sweep, sweep)] * 2, num_samples=20)).axes
    drawn = {line.get_label(): line.get_ydata()[0] for line in axis.lines[:4]}
    assert drawn == pytest.approx({"precision": 5 / 7, "recall": 0.5, "over-activation": 2 / 12, "under-activation": 5 / 12})
    assert [line.get_label() for line in axis.lines[4:]] == [f"threshold {FROM_VAL}", f"threshold {BEST}"]


def test_scores_by_every_rule_are_next_to_the_published_ones():
    found = values(drawn_with(0.5, best_of_choices=30))
    table = cam_figures.measures_table(found, published=None)
    assert table.index.tolist() == [name for name, _ in cam_figures.MEASURES.values()]
    assert table.columns.tolist() == [f"{FROM_VAL} (95 %)", f"{BEST} (95 %)"]
    assert table.loc["under-activation (FN)"].tolist() == ["0.500 (0.500 to 0.500)"] * 2
    assert set(cam_figures.MEASURES) == set(MEASURES)
    published = cam_figures.measures_table(found, published="voc12_cam_baseline").iloc[:, -1]
    assert published.to_dict() == {
        "mIoU": "0.488",
        "precision": "0.650",
        "recall": "0.652",
        "over-activation (FP)": "0.265",
        "under-activation (FN)": "0.262",
    }
