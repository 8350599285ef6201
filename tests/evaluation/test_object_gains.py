from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from ribstudy.evaluation.object_gains import binned_means, object_scores, rank_correlation


def test_object_scores_by_hand():
    truth = np.array([[1, 1, 0, 255, 3]], np.uint8)
    first, second = np.array([[1, 0, 0, 1, 3]]), np.array([[1, 1, 1, 1, 0]])
    of_bird, of_car = object_scores(truth, np.array([0, 2]), first, second)
    assert of_bird == {"class": 0, "size": 0.4, "num_classes": 2, "first": 0.5, "second": pytest.approx(2 / 3)}
    assert (of_car["size"], of_car["first"], of_car["second"]) == (0.2, 1, 0)


def test_a_class_without_a_pixel_is_no_object():
    empty = np.zeros((2, 2), np.uint8)
    assert object_scores(empty, np.array([0]), empty, empty) == []


def test_rank_correlation_of_a_monotone_relation_is_one():
    table = pd.DataFrame({"image": list("aabbccdd"), "size": range(8), "gain": np.arange(8) ** 3})
    found = rank_correlation(table, "size", "gain")
    assert asdict(found) == pytest.approx({"value": 1, "low": 1, "high": 1, "n": 4})


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
