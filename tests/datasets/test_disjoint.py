"""Images that share a class with all others."""

import time

import numpy as np
import pytest

from ribstudy.datasets.disjoint import shares_with_all


@pytest.mark.parametrize("density", [0.05, 0.3, 0.6, 0.95])
def test_it_equals_a_comparison_of_all_pairs(density):
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, others = (rng.random((int(rng.integers(1, 30)), 6)) < density for _ in range(2))
        expected = [all((label & other).any() for other in others) for label in labels]
        assert shares_with_all(labels, others).tolist() == expected


def test_no_other_image_shares_a_class():
    assert shares_with_all(np.array([[True, False], [False, False]]), np.zeros((0, 2), bool)).tolist() == [True, True]


def labels_of(num_images: int, kind: str) -> np.ndarray:
    """Labels of 60 classes, nearly all of which differ: about three for each image, and for some kinds a frequent class."""
    labels = np.random.default_rng(0).random((num_images, 60)) < 0.05
    labels[:, 0] = {"plain": labels[:, 0], "in all": True, "in all but one": np.arange(num_images) > 0}[kind]
    labels[0, 1:] = True  # many classes, so that few images are disjoint from the only one without the frequent class
    return labels


@pytest.mark.parametrize("kind", ["plain", "in all", "in all but one"])
def test_the_time_is_in_proportion_to_the_number_of_images(kind):
    def seconds(num_images: int) -> float:
        labels, found = labels_of(num_images, kind), []
        for _ in range(3):
            start = time.process_time()
            shares_with_all(labels, labels)
            found.append(time.process_time() - start)
        return min(found)

    assert seconds(16_000) < 20 * seconds(2_000)
