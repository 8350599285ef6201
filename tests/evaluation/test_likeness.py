import numpy as np
import pytest

from ribstudy.evaluation.likeness import coarse_maps, correlations
from ribstudy.method.stored_maps import StoredMaps


def test_coarse_maps_are_means_at_stride_16():
    steps = (np.kron([[1.0, 0.0]], np.ones((4, 4))).astype(np.float32)[None, None],)  # one class, left half 1
    coarse = coarse_maps(StoredMaps(np.array([2]), (16, 32), steps))
    assert (coarse.shape, coarse.dtype) == ((1, 1, 2), np.float16)
    assert coarse[0, 0, 0] > 0.9 > 0.1 > coarse[0, 0, 1]
    assert coarse_maps(StoredMaps(np.array([], int), (16, 33))).shape == (0, 1, 3)


def test_correlations_by_hand():
    first = {"a": np.array([[[0, 1, 2]], [[0, 1, 0]]]), "none": np.zeros((0, 1, 3)), "flat": np.ones((1, 1, 3))}
    second = {"a": np.array([[[1, 3, 5]], [[1, 0, 1]]]), "none": np.zeros((0, 1, 3)), "flat": np.array([[[0, 1, 2]]])}
    found = correlations(first, second)
    assert found[0] == pytest.approx((1 - 1) / 2)  # of its two classes, one is the same and one the opposite
    assert np.isnan(found[1])
    assert len(found) == 2
