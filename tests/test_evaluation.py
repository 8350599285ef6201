import numpy as np
import pytest

from ribstudy.evaluation import (
    average_precision,
    background_share,
    compare,
    coverage_curves,
    predicted_mask,
    steps_table,
    summary,
    sweep_units,
)


class Masks:
    """A data set of two masks: the left half of the first image is class 0, the second is background."""

    class_names = ("a", "b")

    def mask(self, name):
        mask = np.zeros((16, 16), np.uint8)
        if name == "first":
            mask[:, :8] = 1
        return mask


def unit(left: float, right: float) -> dict:
    """One map at stride 1: `left` and `right` in the halves; a second step adds as much on the right."""
    first = np.concatenate([np.full((1, 16, 8), left), np.full((1, 16, 8), right)], axis=2)
    second = np.concatenate([np.zeros((1, 16, 8)), np.full((1, 16, 8), left)], axis=2)
    return {"keys": np.array([0]), "size": np.array([16, 16]), "iterates_0": np.stack([first, second]).astype(np.float32)}


UNITS = {"first": unit(1.0, 0.0)}


def test_a_perfect_map_scores_one_and_its_second_step_spoils_it():
    sweep = sweep_units(Masks(), UNITS, steps=1)
    assert sweep.miou()[50] == pytest.approx(1)
    assert summary(sweep, 50)["precision"] == pytest.approx(1)
    spoiled = sweep_units(Masks(), UNITS)
    assert summary(spoiled, 50) == pytest.approx(
        {"miou": 0.25, "over": 0.25, "under": 0.5, "precision": 0.5, "recall": 0.5}
    )  # all of it class a: IoU 1/2 for the class and 0 for the background, whose pixels are all missed
    table = steps_table(Masks(), UNITS, threshold=50)
    assert table["miou"].tolist() == pytest.approx([1, 0.25])


def test_predicted_mask_by_hand():
    assert np.unique(predicted_mask(UNITS["first"], 0.5, steps=1)).tolist() == [0, 1]
    assert predicted_mask(UNITS["first"], 0.5).min() == 1
    empty = {"keys": np.array([], int), "size": np.array([16, 16])}
    assert predicted_mask(empty, 0.5).sum() == 0


def test_comparison_is_of_the_same_images():
    both = {"first": UNITS["first"], "second": UNITS["first"]}
    sweep = sweep_units(Masks(), both, steps=1)
    assert compare(sweep, sweep, at=(50, 50)).difference.value == 0
    with pytest.raises(ValueError, match="same images"):
        compare(sweep, sweep_units(Masks(), UNITS), at=(50, 50))


def test_coverage_counts_pixels_of_the_object_alone():
    masks = {"all": {"first": np.ones((16, 16), int)}, "none": {"first": np.zeros((16, 16), int)}}
    curves = coverage_curves(Masks(), {"first": unit(1.0, 0.0)}, masks)
    reached = ~np.isnan(curves["all"])
    assert reached.any()
    assert (curves["all"][reached] == 1).all()
    assert (curves["none"][reached] == 0).all()


def test_background_share_by_hand():
    masks = {"first": np.ones((16, 16), int), "second": np.zeros((16, 16), int)}
    assert background_share(Masks(), masks) == pytest.approx(128 / 384)


def test_average_precision_by_hand():
    labels = np.array([[1, 0], [0, 0], [1, 0]], bool)
    logits = np.array([[3.0, 0], [2.0, 0], [1.0, 0]])
    values = average_precision(labels, logits, ["a", "b"])
    assert values["a"] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(values["b"])
