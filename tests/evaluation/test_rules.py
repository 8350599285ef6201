import numpy as np
import pytest
from helpers.scored_maps import Masks, no_class, scored

from ribstudy.evaluation.protocol import Scored
from ribstudy.evaluation.rules import threshold_rules
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS, crf_agreement
from ribstudy.method.stored_maps import StoredMaps


def with_level(right: float) -> StoredMaps:
    """A map with the value 1 on the left half and another on the right."""
    first = np.concatenate([np.full((1, 1, 16, 8), 1.0), np.full((1, 1, 16, 8), right)], axis=3).astype(np.float32)
    return StoredMaps(np.array([0]), (16, 16), steps=(first,))


def test_rules_find_the_threshold_between_two_levels_without_a_mask():
    """The left half of the image is red and has the value 1, the right half is blue and has the value 0.4."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :8, 0] = image[:, 8:, 2] = 200
    stored = {"first": with_level(0.4), "second": no_class()}
    agreement = {
        name: {"agreement": crf_agreement(image, maps.normalized(), AGREEMENT_THRESHOLDS, bilateral_sxy=8.0)}
        for name, maps in stored.items()
    }
    reported = sweep_scores(scored(Masks(), stored))
    table = threshold_rules(Scored(reported, reported), agreement)
    assert list(table.index) == ["from val", "otsu", "yen", "crf"]
    assert table["threshold"].between(0.39, 1).all()
    assert table.loc["crf", "threshold"] == pytest.approx(0.4)  # the lowest that leaves the right half to the background
    assert (table["miou"] == table["best_miou"]).all()
    assert table["lost"].tolist() == [0, 0, 0, 0]


def test_a_threshold_from_other_images_loses_what_it_is_worse_on_the_reported_images():
    agreement = {"first": {"agreement": np.ones(len(AGREEMENT_THRESHOLDS))}}
    reported, choices = (sweep_scores(scored(Masks(), {"first": with_level(right)})) for right in (0.5, 0.2))
    row = threshold_rules(Scored(reported, choices), agreement).loc["from val"]
    assert row["threshold"] == pytest.approx(0.2)
    assert row["best_threshold"] == pytest.approx(0.5)
    curve = reported.miou()
    assert row["lost"] == pytest.approx(curve[50] - curve[20])
    assert row["lost"] > 0
