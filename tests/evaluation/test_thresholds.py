import numpy as np
import pytest

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.thresholds import best_indices, otsu_indices
from ribstudy.masks.threshold import histogram_of, otsu


def histograms(count: int) -> np.ndarray:
    """Histograms of maps with a background and an object of different size, level and spread; some bins are empty."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        low, high = np.sort(rng.uniform(0, 1, 2))
        values = np.concatenate([rng.normal(low, rng.uniform(0.01, 0.2), 900), rng.normal(high, 0.1, rng.integers(5, 900))])
        found.append(histogram_of(values.clip(0, 1)[None, None]))
    return np.stack(found)


def test_otsu_of_many_histograms_equals_otsu_of_each():
    found = otsu_indices(histograms(60).reshape(3, 20, 256))
    assert found.shape == (3, 20)
    expected = [np.abs(DEFAULT_THRESHOLDS - otsu(histogram)).argmin() for histogram in histograms(60)]
    assert found.ravel().tolist() == expected
    assert len(set(expected)) > 20


def test_otsu_by_hand():
    """Two values: every threshold between them is equally good, and the lowest is the upper edge of the lower value's bin."""
    histogram = np.zeros(256, int)
    histogram[[51, 200]] = 10, 3
    assert otsu_indices(histogram) == round(100 * 52 / 256) == 20


@pytest.mark.parametrize("filled", [[], [0], [130]])
def test_maps_of_one_value_have_the_lowest_threshold(filled):
    histogram = np.zeros(256, int)
    histogram[filled] = 7
    assert otsu_indices(histogram) == 0


def test_otsu_does_not_depend_on_the_number_of_pixels():
    found = histograms(10)
    np.testing.assert_array_equal(otsu_indices(1e6 * found), otsu_indices(found))


def test_the_lowest_of_several_best_thresholds_is_found():
    counts = np.array([[[1], [1], [2]], [[2], [2], [2]], [[2], [2], [2]]])  # IoU 0.5, 1 and 1
    assert best_indices(np.stack([counts, counts[::-1]])).tolist() == [1, 0]
