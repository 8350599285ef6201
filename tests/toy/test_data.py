import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from ribstudy.config import load_settings
from ribstudy.toy.data import REGIONS, choose_marked, compose, load_digits, marker_shape


def test_digits_are_complete_and_labelled():
    train, test = load_digits("train"), load_digits("test")
    assert (len(train), len(test)) == (11809, 2006)
    assert set(np.unique(train.labels)) == {0, 1}
    with pytest.raises(ValueError, match="known: train, test"):
        load_digits("validation")


def test_marker_shapes():
    assert marker_shape(1, size=5).all()
    assert marker_shape(0, size=5).sum(axis=1).tolist() == [1, 3, 5, 3, 1]


def test_marker_has_the_shape_of_the_class_and_never_touches_the_digit(settings, digits, scenes):
    plain = compose(digits, settings, marked=np.zeros(len(digits), dtype=bool), seed=0)
    for image, marker, label in zip(plain.images, scenes.marker, scenes.labels, strict=True):
        rows, columns = np.nonzero(marker)
        box = marker[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        np.testing.assert_array_equal(box, marker_shape(label, size=settings.marker_size))
        around = binary_dilation(marker, np.ones((3, 3)))
        assert not (image[around] > 0).any()


def test_only_the_marker_differs_from_the_unmarked_image(settings, digits, scenes):
    plain = compose(digits, settings, marked=np.zeros(len(digits), dtype=bool), seed=0)
    np.testing.assert_array_equal(plain.images[~scenes.marker], scenes.images[~scenes.marker])
    assert (scenes.images[scenes.marker] == 1).all()
    other = compose(digits, settings, marked=scenes.marked, seed=0, marker_labels=1 - digits.labels)
    assert not (other.marker == scenes.marker).all(axis=(1, 2)).any()


def test_no_part_of_a_digit_is_cut_off(digits, scenes):
    np.testing.assert_array_equal(
        (scenes.images * ~scenes.marker * 255).round().sum(axis=(1, 2)), digits.images.sum(axis=(1, 2))
    )


def test_regions_are_disjoint_and_complete(scenes):
    assert tuple(scenes.regions) == REGIONS
    np.testing.assert_array_equal(np.sum([mask.astype(int) for mask in scenes.regions.values()], axis=0), 1)


def test_the_marker_rate_is_the_same_in_each_class():
    labels = np.array([0] * 200 + [1] * 100)
    marked = choose_marked(labels, rate=0.1, seed=3)
    assert (marked[:200].sum(), marked[200:].sum()) == (20, 10)
    np.testing.assert_array_equal(marked, choose_marked(labels, rate=0.1, seed=3))
    assert (marked != choose_marked(labels, rate=0.1, seed=4)).any()


def test_data_depend_only_on_the_seed(settings, digits, scenes):
    np.random.seed(7)  # noqa: NPY002  the global state must not matter
    again = compose(digits, settings, marked=scenes.marked, seed=0)
    np.testing.assert_array_equal(again.images, scenes.images)
    assert (compose(digits, settings, marked=scenes.marked, seed=1).images != scenes.images).any()


def test_too_small_a_canvas_is_refused():
    with pytest.raises(ValueError, match=r"toy\.canvas"):
        load_settings("study", {"toy.canvas": 20})
