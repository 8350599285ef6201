import matplotlib.pyplot as plt
import numpy as np
import pytest

from ribstudy.config import load_settings
from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.methods import STYLES, detail_table, method_curves, method_panels
from ribstudy.workflow import jobs as study


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_every_method_has_its_own_style():
    assert set(STYLES) == set(study.compared_methods(load_settings("mini")))
    assert len(set(STYLES.values())) == len(STYLES)


def test_panels_are_the_image_the_truth_and_each_method():
    image = np.zeros((32, 32, 3), np.uint8)
    maps = StoredMaps(np.array([1]), (32, 32), steps=(np.ones((1, 1, 2, 2)),))
    shown = method_panels(image, np.zeros((32, 32), np.uint8), {"CAM": maps, "LayerCAM, two layers": maps}, class_name="cat")
    assert [panel.title for panel in shown] == ["image", "true mask", "CAM: cat", "LayerCAM, two layers: cat"]


def test_curves_have_a_line_and_a_dot_for_each_method():
    thresholds = np.array([0.0, 0.5])
    counts = np.array([[[[1, 1], [2, 2], [2, 2]], [[2, 2], [2, 2], [2, 2]]]])
    sweep = Sweep(("a",), counts, np.zeros_like(counts[:, 0]), np.zeros((1, 2)), np.array([True]), thresholds)
    (axis,) = method_curves({"CAM": [sweep, sweep], "RIB": [sweep]}, {"CAM": [1, 0], "RIB": [0]}).axes
    dots = [(line.get_xdata().item(), line.get_ydata().item()) for line in axis.lines if line.get_marker() == "o"]
    assert dots == [(0.25, pytest.approx(2 / 3)), (0.0, pytest.approx(1 / 3))]


def test_the_table_by_hand():
    scores = {
        name: Estimate(value)
        for name, value in (("miou", 0.6), ("over", 0.3), ("under", 0.1), ("precision", 0.7), ("recall", 0.8))
    }
    row = detail_table({"RIB": scores}, {"RIB": Estimate(0.05)}, {"RIB": 1.5}).loc["RIB"]
    assert row.tolist() == [0.7, 0.8, 0.3, 0.1, 0.05, 1.5]
    assert list(row.index)[2:4] == ["over-activation", "under-activation"]
