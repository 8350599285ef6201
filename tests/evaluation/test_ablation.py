from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import Masks, halves, scored

from ribstudy.evaluation.ablation import DEFAULT, adjusted, differences, stopped, telling
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS, Scored, compare, resample
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.sweeps import sweep_scores


def both(left, right, *, first_step_twice=False, stopped_by="margin", **fields):
    """The scores of the same maps on both images of `Masks`."""
    maps = halves(left, right, logits=np.array([1.0, 2.0]), stopped_by=stopped_by, **fields)
    if first_step_twice:
        maps = replace(maps, steps=(maps.steps[0][[0, 0]],))
    return scored(Masks(), {"first": maps, "second": maps})


def swept(*of_trainings):
    return [sweep_scores(of_training) for of_training in of_trainings]


def test_differences_equal_comparisons_of_the_protocol():
    """The default paints the left half, which is the object of one image; the variant the whole image."""
    first, second = both(1.0, 0.0, aggregation="last"), both(1.0, 1.0)
    found = differences({DEFAULT: swept(second, second), "same": swept(second, second), "other": swept(first, first)})
    assert list(found) == [BEST, WITHOUT_MASKS]
    default, other = (resample([Scored(sweep) for sweep in swept(scores, scores)]) for scores in (second, first))
    for rule, expected in compare(default, other).items():
        assert found[rule]["other"] == expected
        assert found[rule]["same"].difference == Estimate(0, 0, 0, 2, 0)


def test_share_of_stopped_adaptations():
    early, late = both(1.0, 0.0), both(1.0, 0.0)
    late["first"] = both(1.0, 0.0, stopped_by="iterations")["first"]
    assert stopped([early, late], "margin") == Estimate(0.75, n=4)
    assert stopped([early], "spread").value == 0


def comparison(value, low, high, standard_error=None):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, low, high, 4, standard_error))


FOUND = {"gap": comparison(-0.02, -0.03, -0.01), "region": comparison(0.01, -0.01, 0.03), "bce": comparison(0.04, 0.02, 0.05)}


def test_p_values_are_adjusted_by_hand():
    """Of m = 3 values, the k-th smallest is multiplied by m (1 + 1/2 + 1/3) / k (Benjamini and Yekutieli, 2001)."""
    ratios = {"a": 1.959964, "b": -2.575829, "c": 0.0}  # two-sided p-values 0.05, 0.01 and 1
    found = {name: comparison(0.01 * ratio, -1, 1, 0.01) for name, ratio in ratios.items()}
    assert adjusted(found) == pytest.approx({"a": 0.05 * 5.5 / 2, "b": 0.01 * 5.5, "c": 1}, rel=1e-4)
    assert adjusted({}) == {}


def test_a_variant_that_changes_nothing_is_no_discovery():
    found = {"nothing": comparison(0, 0, 0, 0), "always the same": comparison(0.1, 0.1, 0.1, 0)}
    assert adjusted(found) == {"nothing": 1, "always the same": 0}


def test_few_discoveries_are_false():
    """Of 40 correlated variants, 5 make a difference. Without the adjustment, 2 of the others would be found on average."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        ratios = 0.6 * rng.normal() + 0.8 * rng.normal(size=40) + np.repeat([6, 0], [5, 35])
        below = np.array(list(adjusted({str(k): comparison(ratio, 0, 0, 1) for k, ratio in enumerate(ratios)}).values())) < 0.05
        assert below[:5].sum() >= 3
        shares.append(below[5:].sum() / below.sum())
    assert np.mean(shares) < 0.05


def test_variants_are_told_by_intervals_that_exclude_zero():
    assert telling(FOUND) == (["bce"], ["gap"])
