from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import Masks, halves, scored

from ribstudy.evaluation.ablation import DEFAULT, curve, differences, false_alarms, gain_of_default, stopped, telling
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.sweeps import compare, sweep_scores


def both(left, right, *, first_step_twice=False, stopped_by="margin", **fields):
    """The scores of the same maps on both images of `Masks`."""
    maps = halves(left, right, logits=np.array([1.0, 2.0]), stopped_by=stopped_by, **fields)
    if first_step_twice:
        maps = replace(maps, steps=(maps.steps[0][[0, 0]],))
    return scored(Masks(), {"first": maps, "second": maps})


def test_differences_equal_single_comparisons():
    """The default paints the left half, which is the object of one image; the variant the whole image."""
    first, second = both(1.0, 0.0, aggregation="last"), both(1.0, 1.0)
    found = differences({DEFAULT: [second, second], "same": [second, second], "other": [first, first]})
    assert list(found) == ["same", "other"]
    assert found["same"].difference.value == found["same"].difference.low == 0
    single = compare(sweep_scores(second), sweep_scores(first))
    assert found["other"].difference.value == pytest.approx(single.difference.value)


def test_the_curve_starts_at_the_cam_and_is_a_mean_over_seeds():
    """The first map finds the object, the second spoils it with one seed and, being the same again, not with the other."""
    spoiled, kept = both(1.0, 0.0), both(1.0, 0.0, first_step_twice=True)
    table = curve([spoiled, kept])
    assert table["steps"].tolist() == [1, 2]
    assert table.loc[0, ["value", "low", "high"]].tolist() == [0, 0, 0]
    alone = curve([spoiled])
    assert alone.loc[1, "value"] < -0.1
    assert table.loc[1, "value"] == pytest.approx(alone.loc[1, "value"] / 2)
    assert table.loc[1, "high"] > -1e-9 > table.loc[1, "low"]


def test_share_of_stopped_adaptations():
    early, late = both(1.0, 0.0), both(1.0, 0.0)
    late["first"] = both(1.0, 0.0, stopped_by="iterations")["first"]
    assert stopped([early, late], "margin") == Estimate(0.75, n=4)
    assert stopped([early], "spread").value == 0


def comparison(value, low, high):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, low, high, 4))


FOUND = {"gap": comparison(-0.02, -0.03, -0.01), "region": comparison(0.01, -0.01, 0.03), "bce": comparison(0.04, 0.02, 0.05)}


def test_the_gain_of_the_default_is_the_negative_difference_of_the_cam():
    assert gain_of_default({"cam": comparison(-0.02, -0.03, 0.01)}) == Estimate(0.02, -0.01, 0.03, 4)
    assert gain_of_default(FOUND) == Estimate(0, 0, 0)


def test_few_images_raise_more_false_alarms_than_many():
    few, many = false_alarms(3), false_alarms(100)
    assert 0.15 < few < 0.3
    assert 0.03 < many < 0.1
    assert few == false_alarms(3)


def test_variants_are_told_by_intervals_that_exclude_zero():
    assert telling(FOUND) == (["bce"], ["gap"])
