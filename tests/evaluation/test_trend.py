"""The slope of an estimate over the values of a setting."""

import numpy as np
import pytest

from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.trend import slope_of_logarithm, trend


def test_slope_of_a_straight_line_by_hand():
    found = {share: Estimate(0.1 - 0.02 * step, n=60, standard_error=0.01) for step, share in enumerate((0.1, 0.2, 0.4))}
    slope = slope_of_logarithm(found)
    assert slope.value == pytest.approx(-0.02)
    assert slope.standard_error == pytest.approx(0.01 / np.sqrt(2))
    assert (slope.low, slope.high) == pytest.approx((-0.02 - 1.96 * slope.standard_error, -0.02 + 1.96 * slope.standard_error))
    assert slope.n == 60


def test_slope_without_standard_errors_has_no_interval():
    slope = slope_of_logarithm({1: Estimate(1.0), 2: Estimate(3.0)})
    assert (slope.value, slope.low) == (pytest.approx(2.0), None)


def test_a_slope_needs_two_values():
    with pytest.raises(ValueError, match="at least two values"):
        slope_of_logarithm({0.1: Estimate(0.0)})


@pytest.mark.parametrize(
    ("interval", "words"),
    [((0.01, 0.02), "rises"), ((-0.02, -0.01), "falls"), ((-0.01, 0.02), "no trend"), ((None, None), "no")],
)
def test_trend_in_words(interval, words):
    assert words in trend(Estimate(np.mean([x or 0 for x in interval]), *interval))
