from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from helpers.scored_maps import ManyMasks

from ribstudy.evaluation.map_scores import score_maps
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.object_gains import binned_means, gains_table, object_rows, rank_correlation
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.method.stored_maps import StoredMaps


def scores_of(truth: list[int], *mask: int):
    """The scores of maps of the classes 0 and 2 that predict a mask; one pixel of the lists is a square of 16 x 16 pixels."""
    maps = np.array([[[np.array(mask) == value] for value in (1, 3)]], np.float32)
    stored = StoredMaps(np.array([0, 2]), (16, 16 * len(truth)), steps=(np.repeat(np.repeat(maps, 16, axis=2), 16, axis=3),))
    pixels = np.repeat([np.repeat(truth, 16)], 16, axis=0).astype(np.uint8)
    return score_maps(stored, stored, pixels, num_classes=3, every_step=False)


def test_rows_of_objects_by_hand():
    truth = [1, 1, 0, 255, 3]
    first, second = scores_of(truth, 1, 0, 0, 1, 3), scores_of(truth, 1, 1, 1, 1, 0)
    of_bird, of_car = object_rows((first, 50), (second, 50))
    assert of_bird == {"class": 0, "size": 0.4, "num_classes": 2, "first": 0.5, "second": pytest.approx(2 / 3)}
    assert (of_car["size"], of_car["first"], of_car["second"]) == (0.2, 1, 0)


def test_a_class_without_a_pixel_is_no_object():
    nothing = scores_of([0, 0], 0, 0)
    assert object_rows((nothing, 50), (nothing, 50)) == []


def test_gains_equal_pixels_of_predicted_masks():
    data = ManyMasks(30)
    scores, at = data.scores(), {"CAM": 20, "RIB": 60}
    both = {"CAM": scores, "RIB": scores}
    table = gains_table([(both, at), (both, {"CAM": 20, "RIB": 40})], data.names)
    rows = iter(table.to_dict("records"))
    for name, maps in data.stored().items():
        truth = data.mask(name)
        for key in maps.classes:
            ious = {}
            for index in (20, 40, 60):
                painted = (predicted_mask(maps, DEFAULT_THRESHOLDS[index]) == key + 1) & (truth != 255)
                ious[index] = (painted & (truth == key + 1)).sum() / (painted | (truth == key + 1)).sum()
            row, second = next(rows), (ious[60] + ious[40]) / 2
            assert (row["image"], row["class"], row["num_classes"]) == (name, key, len(maps.classes))
            assert (row["size"], row["first"]) == ((truth == key + 1).mean(), ious[20])
            assert (row["second"], row["gain"]) == pytest.approx((second, second - ious[20]))
    assert next(rows, None) is None


def test_rank_correlation_of_a_monotone_relation_is_one():
    table = pd.DataFrame({"image": list("aabbccdd"), "size": range(8), "gain": np.arange(8) ** 3})
    found = rank_correlation(table, "size", "gain")
    assert asdict(found) == pytest.approx({"value": 1, "low": 1, "high": 1, "n": 4, "standard_error": 0})


def test_rank_correlation_of_one_value_has_none():
    table = pd.DataFrame({"image": list("abc"), "size": [1, 2, 3], "gain": [0.0, 0, 0]})
    found = rank_correlation(table, "size", "gain")
    assert np.isnan(found.value)
    assert found.low is None


def test_bins_by_number_and_by_size():
    table = pd.DataFrame({"image": range(8), "size": np.arange(8) / 8, "number": [1, 2] * 4, "gain": [0.0, 1] * 4})
    by_number = binned_means(table, "number", "gain")
    assert by_number[["x", "mean", "n"]].to_numpy().tolist() == [[1, 0, 4], [2, 1, 4]]
    assert binned_means(table, "size", "gain", num_bins=2)["mean"].tolist() == [0.5, 0.5]
