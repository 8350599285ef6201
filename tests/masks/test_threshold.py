import numpy as np
import pytest
from helpers.two_colours import EDGE, HEIGHT, WIDTH, sides, two_colours

from ribstudy.masks.threshold import (
    AGREEMENT_THRESHOLDS,
    NUM_BINS,
    RULES,
    crf_agreement,
    histogram_of,
    most_agreed,
    otsu,
    yen,
)


def two_modes(low=60, high=180, low_count=3000, high_count=2000, width=12):
    histogram = np.zeros(NUM_BINS, dtype=np.int64)
    histogram[low - width : low + width] += low_count
    histogram[high - width : high + width] += high_count
    return histogram


def test_counts_by_hand():
    maps = np.array([[[0.0, 0.5], [0.2, 1.0]], [[0.3, 0.1], [0.2, 0.0]]])
    counts = histogram_of(maps)
    assert counts.dtype == np.int64
    assert {int(index): int(counts[index]) for index in np.flatnonzero(counts)} == {76: 1, 128: 1, 51: 1, 255: 1}
    assert histogram_of(np.zeros((0, 4, 5))).sum() == 0
    assert histogram_of(maps).sum() == 4


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_two_modes_are_divided_between_them(rule):
    threshold = rule(two_modes())
    assert 71 / 256 < threshold <= 168 / 256
    assert rule(1000 * two_modes()) == pytest.approx(threshold)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_two_filled_bins_are_divided(rule):
    histogram = np.zeros(NUM_BINS, dtype=np.int64)
    histogram[[10, 200]] = 5, 3
    threshold = rule(histogram)
    assert 11 / 256 <= threshold <= 200 / 256
    both = np.array([[[10.5, 200.5]]]) / 256
    assert (both > threshold).tolist() == [[[False, True]]]


def test_otsu_is_the_least_variance():
    histogram = np.random.default_rng(0).integers(1, 50, NUM_BINS) + two_modes(low_count=400, high_count=300)
    values = (np.arange(NUM_BINS) + 0.5) / NUM_BINS

    def spread(threshold):
        parts = [(histogram[side], values[side]) for side in (values < threshold, values > threshold)]
        return sum((count * (value - np.average(value, weights=count)) ** 2).sum() for count, value in parts)

    best = min(np.arange(1, NUM_BINS) / NUM_BINS, key=spread)
    assert otsu(histogram) == best


def test_yen_copes_better_with_sides_of_unequal_size():
    unequal = two_modes(low_count=100_000, high_count=200, width=40)
    true_gap = (100 / 256, 140 / 256)
    assert otsu(unequal) < true_gap[0]
    assert true_gap[0] - 1e-3 <= yen(unequal) <= true_gap[1] + 1e-3


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_histogram_without_two_filled_bins_is_refused(rule):
    with pytest.raises(ValueError, match="0 of 256 bins"):
        rule(np.zeros(NUM_BINS, dtype=np.int64))
    one = np.zeros(NUM_BINS, dtype=np.int64)
    one[0] = 10_000
    with pytest.raises(ValueError, match="1 of 256 bins"):
        rule(one)
    with pytest.raises(ValueError, match=r"\(7,\)"):
        rule(np.ones(7))


def test_bad_maps_are_named():
    with pytest.raises(ValueError, match=r"to 1\.5"):
        histogram_of(np.full((1, 2, 2), 1.5))
    with pytest.raises(ValueError, match="nan"):
        histogram_of(np.full((1, 2, 2), np.nan))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        histogram_of(np.zeros((2, 2)))


def test_the_crf_agrees_with_the_threshold_at_the_edge_of_the_colours():
    """A map rises across the image; only one of the thresholds cuts it at the edge of the colours."""
    ramp = (np.arange(WIDTH) + 0.5) / WIDTH * np.ones((1, HEIGHT, 1))
    thresholds = [0.1, EDGE / WIDTH, 0.9]
    agreement = crf_agreement(two_colours(), ramp, thresholds)
    assert agreement.shape == (3,)
    assert agreement.argmax() == 1
    assert agreement[1] == 1
    assert (agreement >= 0).all()


def test_an_empty_or_a_full_mask_does_not_win():
    maps = 0.5 * sides()[None] + 0.25
    empty, right, full = crf_agreement(two_colours(), maps, [0.8, 0.5, 0.1])
    assert (empty, right, full) == (0.5, 1, 0.5)
    second_class = np.concatenate([maps, np.zeros_like(maps)])
    assert crf_agreement(two_colours(), second_class, [0.5]) == pytest.approx(2 / 3)


def test_an_image_without_a_class_has_no_agreement():
    assert np.isnan(crf_agreement(two_colours(), np.zeros((0, HEIGHT, WIDTH)), [0.2, 0.3])).all()


def test_the_threshold_has_the_best_mean_agreement_of_images_with_a_class():
    agreement = np.zeros((3, len(AGREEMENT_THRESHOLDS)))
    agreement[0, [2, 5]] = 0.9, 0.8
    agreement[1, [3, 5]] = 0.9, 0.8
    agreement[2] = np.nan  # an image without a class
    assert most_agreed(agreement) == pytest.approx(AGREEMENT_THRESHOLDS[5])
    with pytest.raises(ValueError, match="none of the images has a class"):
        most_agreed(agreement[2:])
