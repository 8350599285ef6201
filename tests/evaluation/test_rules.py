import numpy as np
import pytest
from helpers.scored_maps import Masks, no_class, scored

from ribstudy.evaluation.rules import threshold_rules
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS, crf_agreement
from ribstudy.method.stored_maps import StoredMaps


def test_rules_find_the_threshold_between_two_levels_without_a_mask():
    """The left half of the image is red and has the value 1, the right half is blue and has the value 0.4."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :8, 0] = image[:, 8:, 2] = 200
    first = np.concatenate([np.full((1, 1, 16, 8), 1.0), np.full((1, 1, 16, 8), 0.4)], axis=3).astype(np.float32)
    stored = {"first": StoredMaps(np.array([0]), (16, 16), steps=(first,)), "second": no_class()}
    agreement = {
        name: {"agreement": crf_agreement(image, maps.normalized(), AGREEMENT_THRESHOLDS, bilateral_sxy=8.0)}
        for name, maps in stored.items()
    }
    table = threshold_rules(scored(Masks(), stored), agreement)
    assert list(table.index) == ["otsu", "yen", "crf"]
    assert table["threshold"].between(0.39, 1).all()
    assert table.loc["crf", "threshold"] == pytest.approx(0.4)  # the lowest that leaves the right half to the background
    assert (table["miou"] == table["best_miou"]).all()
    assert table["lost"].tolist() == [0, 0, 0]
