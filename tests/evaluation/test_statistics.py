import numpy as np
import pytest

from ribstudy.evaluation.metrics import miou, threshold_sweep
from ribstudy.evaluation.statistics import (
    Estimate,
    bootstrap_comparison,
    bootstrap_mean,
    bootstrap_over_seeds,
    normal_mean,
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


def counts_of(num_images: int, seed: int) -> np.ndarray:
    """Counts [N, 2, 3, 3] of random maps at two thresholds."""
    rng = np.random.default_rng(seed)
    counts = [
        threshold_sweep(
            rng.random((1, 8, 8)), np.array([i % 2]), rng.integers(0, 3, (8, 8)), num_classes=3, thresholds=np.array([0.2, 0.5])
        )
        for i in range(num_images)
    ]
    return np.array(counts)


def test_bootstrap_is_paired_and_seeded():
    counts = counts_of(12, seed=0)[:, 0]
    same = bootstrap_comparison(counts, counts)
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)
    assert same.first.low < same.first.value < same.first.high
    assert same.first.n == 12
    other = counts_of(12, seed=1)[:, 0]
    assert bootstrap_comparison(counts, other) == bootstrap_comparison(counts, other)
    assert bootstrap_comparison(counts, other).difference.value == pytest.approx(
        miou(other.sum(axis=0)) - miou(counts.sum(axis=0))
    )


def test_bootstrap_of_one_image_has_no_spread():
    first, second = (counts_of(1, seed)[:, 0] for seed in (0, 1))
    estimate = bootstrap_comparison(first, second).difference
    assert estimate.low == pytest.approx(estimate.value) == pytest.approx(estimate.high)


def test_the_best_threshold_is_chosen_again_in_every_sample():
    first, second = (counts_of(9, seed) for seed in (3, 4))
    compared = bootstrap_comparison(first, second)
    assert compared.first.value == pytest.approx(miou(first.sum(axis=0)).max())
    fixed = bootstrap_comparison(first[:, 0], second[:, 0])
    assert compared.second.low >= fixed.second.low


def test_bootstrap_does_not_depend_on_how_many_samples_are_in_memory(monkeypatch):
    first, second = (counts_of(9, seed) for seed in (3, 4))
    compared = bootstrap_comparison(first, second)
    monkeypatch.setattr("ribstudy.evaluation.statistics.DRAWS_AT_ONCE", 7)
    assert bootstrap_comparison(first, second) == compared


def counts_with_iou(*ious):
    """Images of 100 true pixels of one class, [G, 3, 1], with these IoUs (all predicted pixels are true ones)."""
    return np.array([[[round(100 * iou)], [round(100 * iou)], [100]] for iou in ious])


def test_one_seed_and_equal_seeds_are_the_plain_comparison():
    first, second = counts_with_iou(0.2, 0.4, 0.9), counts_with_iou(0.3, 0.4, 0.5)
    plain = bootstrap_comparison(first, second)
    assert bootstrap_over_seeds([first], [second]) == plain
    equal = bootstrap_over_seeds([first] * 3, [second] * 3)
    for name in ("first", "second", "difference"):
        for bound in ("value", "low", "high", "n"):
            assert getattr(getattr(equal, name), bound) == pytest.approx(getattr(getattr(plain, name), bound))


def test_two_seeds_by_hand():
    """Equal images, so that only seeds vary: differences 0.1 and 0.3, mean 0.2; both draws of one seed are half of all.

    A mean of two drawn seeds is 0.1, 0.2 or 0.3; its deviation is widened by the root of 2.
    """
    first = [counts_with_iou(0.5, 0.5), counts_with_iou(0.4, 0.4)]
    second = [counts_with_iou(0.6, 0.6), counts_with_iou(0.7, 0.7)]
    difference = bootstrap_over_seeds(first, second).difference
    assert difference.value == pytest.approx(0.2)
    assert difference.low == pytest.approx(0.2 - 0.1 * 2**0.5)
    assert difference.high == pytest.approx(0.2 + 0.1 * 2**0.5)
    assert difference.n == 2
    assert bootstrap_over_seeds(first[::-1], second[::-1]).difference.value == pytest.approx(0.2)


def test_images_and_seeds_both_widen_the_interval_and_seeds_are_paired():
    rng = np.random.default_rng(0)
    base = [counts_with_iou(*rng.uniform(0.2, 0.7, 20)) for _ in range(3)]
    better = [counts + np.array([[10], [10], [0]]) for counts in base]  # the same gain for every image and seed
    difference = bootstrap_over_seeds(base, better).difference
    assert difference.low == pytest.approx(0.1) == difference.high
    shifted = [counts + np.array([[gain], [gain], [0]]) for counts, gain in zip(base, (0, 10, 20), strict=True)]
    wide = bootstrap_over_seeds(base, shifted).difference
    assert wide.value == pytest.approx(0.1)
    assert wide.high - wide.low > 0.1


def test_seeds_that_do_not_fit_are_named():
    counts = counts_with_iou(0.2, 0.4)
    with pytest.raises(ValueError, match="2 and 1 seeds"):
        bootstrap_over_seeds([counts, counts], [counts])
    with pytest.raises(ValueError, match="0 and 0 seeds"):
        bootstrap_over_seeds([], [])
    with pytest.raises(ValueError, match="not of the same images"):
        bootstrap_over_seeds([counts, counts[:1]], [counts, counts])


def test_bootstrap_mean_of_many_values_has_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap_mean(np.append(values, np.nan))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert found.n == 400


def test_normal_mean_by_hand():
    found = normal_mean([1.0, 2.0, np.nan, 3.0])
    assert (found.value, found.low, found.high, found.n) == pytest.approx((2, 2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5, 3))
    assert normal_mean([0.5]) == Estimate(0.5, n=1)
    assert normal_mean([np.nan]).n == 0


def test_student_mean_by_hand():
    # t(0.975, 2 degrees) = 4.302653; standard error of 1, 2, 3 is 1 / sqrt(3)
    found = student_mean(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / np.sqrt(3)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))
    assert student_mean(np.array([1.0])).low is None
