import numpy as np
import pytest
from helpers.two_colours import EDGE, sides, two_colours

from ribstudy.masks.labelling import mask_of, mask_values, refined_mask
from ribstudy.masks.settings import CrfSettings


def test_the_largest_score_above_the_threshold_gives_the_class():
    scores = np.array([[[0.9, 0.2, 0.5, 0.1]], [[0.3, 0.6, 0.4, 0.2]]])
    mask = mask_of(scores, np.array([4, 7]), threshold=0.5)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[5, 8, 0, 0]]  # a score equal to the threshold is background


def test_without_a_class_everything_is_background():
    assert mask_of(np.zeros((0, 2, 3)), np.zeros(0, dtype=np.int64), 0.5).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_mask_is_refined_with_its_own_classes():
    refined = refined_mask(two_colours(), (9 * sides(EDGE - 3)).astype(np.uint8), CrfSettings())
    assert refined.dtype == np.uint8
    np.testing.assert_array_equal(refined, 9 * sides())


def test_a_score_just_above_a_threshold_counts_although_both_are_the_same_in_float32():
    score = np.full((1, 1, 1), 0.7, np.float32)  # 0.69999999 in float64, and so below 0.7
    above = np.full((1, 1, 1), 0.1, np.float32)  # 0.10000000149
    assert (mask_of(score, np.array([0]), 0.7)[0, 0], mask_of(above, np.array([0]), 0.1)[0, 0]) == (0, 1)


def test_classes_that_a_mask_has_no_value_for_are_refused():
    assert mask_values([0, 253]).tolist() == [1, 254]
    for key in (-1, 254, 256):
        with pytest.raises(ValueError, match=f"{key}.*: a mask has values for classes 0 to 253"):
            mask_of(np.ones((2, 3, 4)), np.array([1, key]), 0.5)
