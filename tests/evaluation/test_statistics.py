import numpy as np
import pytest

from ribstudy.evaluation.statistics import (
    Estimate,
    bootstrap_mean,
    draw_weights,
    mean_over_trainings,
    normal_mean,
    sample_estimate,
    student_mean,
)


def test_text_of_an_estimate():
    assert Estimate(0.02, -0.0104, 0.03, 4).text() == "+0.020 (-0.010 to +0.030)"
    assert Estimate(0.5, 0.4, 0.6).text(2, signed=False) == "0.50 (0.40 to 0.60)"
    assert Estimate(0.5, 0.4, 0.625).text(1, signed=False, percent=True) == "50.0 (40.0 to 62.5)"
    assert Estimate(-0.05).text(1, percent=True) == "-5.0 (no interval)"


def test_only_an_interval_excludes_zero():
    assert Estimate(0.02, 0.01, 0.03).excludes_zero
    assert Estimate(-0.02, -0.03, -0.01).excludes_zero
    assert not Estimate(0.02, -0.01, 0.03).excludes_zero
    assert not Estimate(0.02).excludes_zero


def test_detectable_effect_by_hand():
    """With a power of 80 % an effect lies 1.96 + 0.84 standard errors from zero."""
    assert Estimate(0.02, 0.01, 0.03, 9, 0.005).detectable == pytest.approx(0.014)
    assert Estimate(0.02, 0.01, 0.03, 9).detectable is None
    found = 0.014 + 0.005 * np.random.default_rng(0).normal(size=20_000)
    assert np.mean(np.abs(found) > 1.96 * 0.005) == pytest.approx(0.8, abs=0.01)


def test_the_opposite_of_an_estimate():
    assert Estimate(0.02, -0.01, 0.03, 9, 0.01).negative == Estimate(-0.02, -0.03, 0.01, 9, 0.01)
    assert Estimate(0.02).negative == Estimate(-0.02)


def test_draws_are_seeded_and_begin_with_the_data():
    draws = draw_weights(0, 7, 50)
    assert draws.shape == (51, 7)
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(draws, draw_weights(0, 7, 50))
    assert (draws != draw_weights(1, 7, 50)).any()


def test_drawn_trainings_vary_as_much_as_new_ones():
    """The mean over three drawn trainings has the variance of a mean over three new ones, s^2 / 3."""
    values = np.array([0.1, 0.2, 0.6])
    weights = draw_weights(0, 3, 20_000)
    sample = mean_over_trainings(np.tile(values, (len(weights), 1)), weights)
    assert sample[0] == pytest.approx(0.3)
    assert sample.var() == pytest.approx(values.var(ddof=1) / 3, rel=0.03)
    alone = np.arange(4.0)[:, None]
    np.testing.assert_array_equal(mean_over_trainings(alone, np.ones((4, 1))), alone[:, 0])


def test_an_estimate_from_a_sample_leaves_out_nan():
    found = sample_estimate(np.array([5.0, 1, np.nan, 3]), 8)
    assert vars(found) == pytest.approx({"value": 5, "low": 1.05, "high": 2.95, "n": 8, "standard_error": 1})
    assert sample_estimate(np.array([5.0, np.nan, np.nan]), 8) == Estimate(5, n=8)


def test_bootstrap_mean_of_many_values_has_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap_mean(np.append(values, np.nan))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert found.n == 400
    assert found.standard_error == pytest.approx(half / 1.96, rel=0.05)


def test_normal_mean_by_hand():
    found = normal_mean([1.0, 2.0, np.nan, 3.0])
    assert (found.value, found.low, found.high, found.n) == pytest.approx((2, 2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5, 3))
    assert found.standard_error == pytest.approx(1 / 3**0.5)
    assert normal_mean([0.5]) == Estimate(0.5, n=1)
    assert normal_mean([np.nan]).n == 0


def test_student_mean_by_hand():
    # t(0.975, 2 degrees) = 4.302653; standard error of 1, 2, 3 is 1 / sqrt(3)
    found = student_mean(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / np.sqrt(3)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))
    assert found.standard_error == pytest.approx(1 / np.sqrt(3))
    assert student_mean(np.array([1.0])) == Estimate(1, n=1)
