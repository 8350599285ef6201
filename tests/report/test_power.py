"""The tables and sentences of the power analysis."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.sweeps import sweep_with_iou

from ribstudy.evaluation.power import VarianceParts
from ribstudy.evaluation.protocol import Scored, resample
from ribstudy.report.figures.power import power_curves
from ribstudy.report.power import COMPARISONS, LABELS, design_table, needs_table, parts_table, pilot, size_of
from ribstudy.workflow.methods import BLURRED_RIB, CAM_NAME

# A difference varies by 0.1 from image to image: 784 images tell 0.01, whose standard error is then 0.1 / 28.
IMAGES_ONLY = {"rib": VarianceParts(0.1**2, 0.0, 0.0)}
TRAININGS_ONLY = {"rib": VarianceParts(0.0, 0.1**2, 0.0)}


def drawn_of(num_images, num_trainings):
    """Resampled scores of each method that is compared, drawn at random."""
    rng, methods = np.random.default_rng(0), {method for pair in COMPARISONS.values() for method in pair}
    return {
        method: resample(
            [Scored(sweep_with_iou(rng.uniform(0.4, 0.6, (num_images, 1)))) for _ in range(num_trainings)], num_samples=50
        )
        for method in sorted(methods)
    }


def test_a_pilot_needs_two_images_and_two_trainings():
    drawn = drawn_of(10, 2)
    assert {CAM_NAME, BLURRED_RIB} <= set(drawn)
    assert list(pilot(drawn)) == list(COMPARISONS)
    assert pilot(drawn_of(10, 1)) == pilot(drawn_of(1, 2)) == {}


def test_the_parts_are_shown_as_standard_deviations():
    assert parts_table(IMAGES_ONLY).loc[LABELS["rib"]].tolist() == pytest.approx([0.1, 0, 0])


def test_needs_by_hand():
    table = needs_table(IMAGES_ONLY)
    assert set(table.loc[LABELS["rib"], "tells 0.01"]) == {"784"}
    assert set(table.loc[LABELS["rib"], "tells 0.02"]) == {"196"}
    assert needs_table(TRAININGS_ONLY).loc[LABELS["rib"], ("tells 0.01", "10 trainings")] == "no number"


def test_sizes_by_hand():
    told, needed, sentence = size_of("rib", IMAGES_ONLY, num_images=196, num_trainings=3)
    assert (told, needed) == (pytest.approx(0.02), 784)
    assert sentence == (
        "RIB − CAM, with 3 trainings: a difference of 0.01 needs at least 784 images. "
        "The study has 196, which tell 0.020 (too few)."
    )
    assert size_of("rib", IMAGES_ONLY, num_images=800, num_trainings=3)[2].endswith("(enough).")
    told, needed, sentence = size_of("rib", TRAININGS_ONLY, num_images=196, num_trainings=4)
    assert (told, needed) == (pytest.approx(0.14), math.inf)
    assert "no number of images tells 0.01 from none, because the trainings differ too much" in sentence
    told, needed, sentence = size_of("blur", IMAGES_ONLY, num_images=196, num_trainings=3)
    assert math.isnan(told)
    assert math.isnan(needed)
    assert "not run" in sentence


def test_each_design_has_its_smallest_difference():
    table = design_table(IMAGES_ONLY, {"4": (784, 3), "7": (196, 2)})
    assert table[LABELS["rib"]].tolist() == ["0.010", "0.020"]
    assert table["trainings"].tolist() == [3, 2]


def test_the_figure_has_a_panel_for_each_comparison():
    figure = power_curves({"rib": IMAGES_ONLY["rib"], "blur": TRAININGS_ONLY["rib"]}, num_images=500)
    assert [axis.get_title() for axis in figure.axes] == [LABELS["rib"], LABELS["blur"]]
    plt.close(figure)
    assert power_curves({}, num_images=500) is None
