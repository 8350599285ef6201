import sys

import numpy as np
import pytest
from helpers.two_colours import EDGE, HEIGHT, WIDTH, sides, two_colours

from ribstudy.masks.crf import refine_labels, refine_probabilities
from ribstudy.runtime import limits


def noisy(labels, share=0.2):
    wrong = np.random.default_rng(1).random(labels.shape) < share
    return np.where(wrong, 1 - labels, labels)


@pytest.mark.parametrize(
    "labels", [sides(), sides(EDGE - 3), sides(EDGE + 3), noisy(sides())], ids=["same", "left", "right", "noisy"]
)
def test_labels_snap_to_the_edge_of_the_colours(labels):
    refined = refine_labels(two_colours(noise=3), labels, 2)
    assert refined.dtype == np.int64
    np.testing.assert_array_equal(refined, sides())


def test_without_colours_a_shifted_label_stays():
    image = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    settings = {"bilateral_compat": 1e-6}
    np.testing.assert_array_equal(refine_labels(image, sides(EDGE - 3), 2, **settings), sides(EDGE - 3))


def test_low_confidence_in_the_labels_lets_the_majority_win():
    image = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    assert not refine_labels(image, sides(WIDTH - 2), 2, gt_prob=0.51).any()


def test_names_of_labels_do_not_matter():
    labels = noisy(sides()) + 2 * (np.arange(HEIGHT)[:, None] > 12)
    order = np.array([2, 0, 3, 1])
    refined = refine_labels(two_colours(), labels, 4)
    np.testing.assert_array_equal(refine_labels(two_colours(), order[labels], 4), order[refined])


def test_memory_order_does_not_matter_and_inputs_are_left_alone():
    image, labels = two_colours(), noisy(sides())
    expected = refine_labels(image, labels, 2)
    reversed_twice, columns_first = image[:, ::-1].copy()[:, ::-1], np.asfortranarray(image)
    for same in (reversed_twice, columns_first):
        same.flags.writeable = False
        np.testing.assert_array_equal(refine_labels(same, np.asfortranarray(labels), 2), expected)
    for labels_type in (np.uint8, np.int32):
        np.testing.assert_array_equal(refine_labels(image, labels.astype(labels_type), 2), expected)
    np.testing.assert_array_equal(image, two_colours())
    np.testing.assert_array_equal(labels, noisy(sides()))


def test_degenerate_cases_are_defined():
    pixel = np.full((1, 1, 3), 7, dtype=np.uint8)
    assert refine_labels(pixel, np.array([[1]]), 2).tolist() == [[1]]
    assert refine_probabilities(pixel, np.array([0.25, 0.75])[:, None, None])[:, 0, 0] == pytest.approx([0.25, 0.75], abs=0.25)
    only = refine_labels(two_colours(), np.zeros((HEIGHT, WIDTH), dtype=np.int64), 1)
    assert only.dtype == np.int64
    assert not only.any()
    for size in ((1, 9), (9, 1)):
        image = np.zeros((*size, 3), dtype=np.uint8)
        assert (refine_labels(image, np.full(size, 2), 3) == 2).all()


def test_probabilities_snap_to_the_edge_of_the_colours():
    object_map = 0.2 + 0.6 * sides(EDGE - 3)
    probabilities = np.stack([1 - object_map, object_map]).astype(np.float32)
    before = probabilities.copy()
    refined = refine_probabilities(two_colours(), probabilities)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(refined.argmax(axis=0), sides())
    np.testing.assert_array_equal(refine_probabilities(two_colours(), probabilities), refined)
    np.testing.assert_array_equal(probabilities, before)


def test_without_neighbours_probabilities_stay():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=(HEIGHT, WIDTH)).transpose(2, 0, 1)
    refined = refine_probabilities(two_colours(), probabilities, pos_w=0, bi_w=0)
    np.testing.assert_allclose(refined, probabilities.clip(1e-5), atol=1e-4)


def test_a_certain_pixel_gives_finite_numbers():
    certain = np.stack([1 - sides(), sides()]).astype(np.float64)
    assert np.isfinite(refine_probabilities(two_colours(), certain)).all()


def test_an_image_for_which_the_memory_does_not_suffice_is_refused_before_pydensecrf_ends_the_process(monkeypatch):
    needed = WIDTH * HEIGHT * (76 * 2 + 600)
    monkeypatch.setattr(limits, "memory", lambda: needed)
    assert refine_labels(two_colours(), sides(), 2).shape == (HEIGHT, WIDTH)
    monkeypatch.setattr(limits, "memory", lambda: needed - 1)
    message = rf"the CRF for 2 labels on an image of {WIDTH} x {HEIGHT} px needs about .* of memory, but there are"
    with pytest.raises(ValueError, match=message):
        refine_labels(two_colours(), sides(), 2)
    with pytest.raises(ValueError, match=message):
        refine_probabilities(two_colours(), np.full((2, HEIGHT, WIDTH), 0.5))


def test_bad_input_is_named(monkeypatch):
    image, labels = two_colours(), sides()
    with pytest.raises(ValueError, match="float64"):
        refine_labels(image / 255, labels, 2)
    with pytest.raises(ValueError, match=r"\(24, 32, 1\)"):
        refine_labels(image[..., :1], labels, 2)
    with pytest.raises(ValueError, match=r"\(32, 24\)"):
        refine_labels(image, labels.T, 2)
    with pytest.raises(ValueError, match="bool"):
        refine_labels(image, labels > 0, 2)
    with pytest.raises(ValueError, match="from 0 to 1; expected 0 to 0"):
        refine_labels(image, labels, 1)
    with pytest.raises(ValueError, match="from -1 to 0"):
        refine_labels(image, -labels, 2)
    with pytest.raises(ValueError, match=r"gt_prob 1\.0"):
        refine_labels(image, labels, 2, gt_prob=1.0)
    with pytest.raises(ValueError, match=r"\(2, 32, 24\)"):
        refine_probabilities(image, np.zeros((2, WIDTH, HEIGHT)))
    with pytest.raises(ValueError, match="from -1"):
        refine_probabilities(image, np.stack([labels - 1, labels]))
    with pytest.raises(ValueError, match="nan"):
        refine_probabilities(image, np.full((2, HEIGHT, WIDTH), np.nan))
    monkeypatch.setitem(sys.modules, "pydensecrf.utils", None)
    with pytest.raises(ValueError, match=r"pip install pydensecrf2==1\.1 \(needs a C\+\+ compiler\)"):
        refine_labels(image, labels, 2)
