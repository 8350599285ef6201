import numpy as np
import pytest
from helpers.scored_maps import Masks, no_class

from ribstudy.evaluation.rules import threshold_rules
from ribstudy.masks.settings import CrfSettings
from ribstudy.method.stored_maps import StoredMaps


class Pictures(Masks):
    """The left half of every image is red, the right half blue."""

    def image(self, name):
        image = np.zeros((16, 16, 3), np.uint8)
        image[:, :8, 0] = image[:, 8:, 2] = 200
        return image


@pytest.mark.parametrize("processes", [1, 2])
def test_rules_find_the_threshold_between_two_levels_without_a_mask(processes):
    first = np.concatenate([np.full((1, 1, 16, 8), 1.0), np.full((1, 1, 16, 8), 0.4)], axis=3).astype(np.float32)
    stored = {"first": StoredMaps(np.array([0]), (16, 16), steps=(first,)), "second": no_class()}
    table = threshold_rules(Pictures(), stored, CrfSettings(bilateral_sxy=8.0), processes=processes)
    assert list(table.index) == ["otsu", "yen", "crf"]
    assert table["threshold"].between(0.39, 1).all()
    assert table.loc["crf", "threshold"] == pytest.approx(0.4)  # the lowest that leaves the right half to the background
    assert (table["miou"] == table["best_miou"]).all()
    assert table["lost"].tolist() == [0, 0, 0]
