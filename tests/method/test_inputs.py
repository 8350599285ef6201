"""Inputs prepared ahead of time equal inputs prepared on request."""

import numpy as np
import pytest
import torch
from helpers.noise import LABELS, SETTINGS, Noise, draws_of

from ribstudy.datasets.base import DataError
from ribstudy.datasets.transforms import views
from ribstudy.method.inputs import Feed, OwnViews, ViewsAndAuxiliaryImages

NORMALIZATION = ((0.5,) * 3, (0.5,) * 3)
SCALES = (1.0, 0.5)


class OneBroken(Noise):
    """Image 2 cannot be read."""

    def image(self, name):
        if name == "image-2":
            raise DataError(f"{name}: is truncated")
        return super().image(name)


def feed_of(names, *, num_workers=0):
    inputs = ViewsAndAuxiliaryImages(
        Noise(LABELS), names, SCALES, NORMALIZATION, auxiliary=Noise(LABELS), draws=draws_of(), settings=SETTINGS, seed=0
    )
    return Feed(inputs, num_workers=num_workers)


def take(feed, name, num_batches):
    size, own = feed.views(name)
    batches = [batch for batch, _ in zip(feed.batches(), range(num_batches), strict=False)] if num_batches else []
    return size, own, batches


LABELLED = [f"image-{index}" for index in np.flatnonzero(LABELS.any(axis=1))[:4]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_images_come_complete_and_in_order_also_after_a_loop_that_ended_early(num_workers):
    feed = feed_of(LABELLED, num_workers=num_workers)
    alone = {name: take(feed_of([name]), name, 9) for name in LABELLED}
    for name, num_batches in zip(LABELLED, (2, 9, 0, 9), strict=True):
        size, own, batches = take(feed, name, num_batches)
        assert size == (20, 30)
        assert all(torch.equal(a, b) for a, b in zip(own, alone[name][1], strict=True))
        for (images, labels), (expected_images, expected_labels) in zip(batches, alone[name][2], strict=False):
            assert torch.equal(images, expected_images)
            assert torch.equal(labels, expected_labels)
        assert len(batches) == num_batches


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_image_is_an_error_only_of_that_image(num_workers):
    dataset = OneBroken(LABELS)
    names = ["image-1", "image-2", "image-3"]
    feed = Feed(OwnViews(dataset, names, SCALES, NORMALIZATION), num_workers=num_workers)
    feed.views("image-1")
    with pytest.raises(DataError, match="image-2: is truncated"):
        feed.views("image-2")
    _, own = feed.views("image-3")
    expected = views(dataset.image("image-3"), SCALES, NORMALIZATION)
    assert all(torch.equal(a, b) for a, b in zip(own, expected, strict=True))


def test_an_image_without_a_class_has_no_auxiliary_images():
    labels = LABELS.copy()
    empty = [f"image-{index}" for index in np.flatnonzero(~labels.any(axis=1))]
    assert empty
    feed = feed_of([empty[0], *LABELLED])
    feed.views(empty[0])
    assert list(feed.batches()) == []
    assert len(take(feed, LABELLED[0], 9)[2]) == 9
