import numpy as np
import pytest

from ribstudy.evaluation.bottleneck_summary import hgr, last_fall, logit_courses


def test_the_ratio_of_a_missing_region_is_nan():
    high = np.zeros((2, 1, 3, 1), np.int64)
    high[1, 0, 0] = 3
    found = hgr([{"pixels": np.array([4, 2, 0]), "high": high}])
    assert found[0, 1, 0, 0, 0] == 0.75
    assert found[0, 0, 0, 1, 0] == 0
    assert np.isnan(found[0, :, :, 2]).all()


def test_last_fall_by_hand():
    ratios = np.array([[[0.9, 0.8, 0.5], [0.7, 0.3, 0.1]]])  # it falls by 0.2 inside and by 0.5 in the rest
    assert last_fall(ratios, first="head", second="logits", depths=["head", "logits"]) == pytest.approx([0.3])


def test_logit_courses_by_hand():
    short = {"label": np.array([1, 0, 0]), "gap": np.array([[1.0, 0, 2]]), "gndrp": np.array([[0.5, 0, 2]])}
    long = {"label": np.array([1, 1, 0]), "gap": np.array([[1.0, 3, -1], [2, 6, 5]]), "gndrp": np.zeros((2, 3))}
    courses = logit_courses([short, long])
    assert courses["present"].tolist() == [[1, 1], [2, 4]]
    assert courses["present, GNDRP"].tolist() == [[0.5, 0.5], [0, 0]]
    assert courses["absent"].tolist() == [[1, 1], [-1, 5]]
    assert courses["highest absent"].tolist() == [[2, 2], [-1, 5]]


def test_logits_of_an_image_with_every_class_have_no_absent_ones():
    arrays = {"label": np.ones(2), "gap": np.zeros((1, 2)), "gndrp": np.zeros((1, 2))}
    assert np.isnan(logit_courses([arrays])["absent"]).all()
