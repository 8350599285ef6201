import warnings

import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, no_class

from ribstudy.evaluation.map_scores import DISTANCE_EDGES, MapScores, distance_bins, score_maps
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, threshold_sweep
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.items import MAP_SCORES
from ribstudy.masks.threshold import histogram_of
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps

NUM_LEVELS = len(DEFAULT_THRESHOLDS) + 1
ONE_CLASS = {"num_classes": 1, "every_step": True}
LEFT = Masks().mask("first")


def image(size=(13, 11), *, classes=(0, 2), **fields) -> tuple[StoredMaps, StoredMaps, np.ndarray]:
    """Random maps of three steps and a CAM, and a mask of three classes with void pixels."""
    rng = np.random.default_rng(len(classes))
    steps = tuple(rng.random((3, len(classes), *shape)).astype(np.float32) for shape in ((2, 3), (4, 3)))
    cam = StoredMaps(np.array(classes), size, steps=tuple(maps[:1] for maps in steps))
    return StoredMaps(np.array(classes), size, steps=steps, **fields), cam, rng.choice([0, 1, 2, 3, 255], size).astype(np.uint8)


def above(levels: np.ndarray, index: int) -> np.ndarray:
    """The pixels that are foreground at a threshold index, summed over the levels."""
    return levels[..., index + 1 :].sum(axis=-1)


def test_levels_by_hand():
    """The left half has the largest value, just below 1; the right half 0.504 of it, foreground up to threshold 0.50."""
    truth = LEFT.copy()
    truth[0, :3] = 255
    scores = score_maps(maps := halves(1.0, 0.504), maps, truth, **ONE_CLASS)
    assert (scores.size, scores.num_steps, scores.stopped_by) == ((16, 16), 2, "")
    assert scores.true.tolist() == [128, 125]
    first = {"predicted": {51: 128, 100: 125}, "hits": {100: 125}, "background": {51: 128}}
    for name, expected in first.items():
        of_first = getattr(scores, name)[0, 0]
        assert {level: of_first[level] for level in np.flatnonzero(of_first)} == expected
    assert scores.background[1, 0].argmax() == 100  # the second step makes the right half the larger one
    assert scores.histogram.sum() == 256


@pytest.mark.parametrize("fields", [{}, {"aggregation": "last"}, {"aggregation": "normalized", "normalization": "percentile"}])
@pytest.mark.parametrize("classes", [(0, 2), (1,), (0, 1, 2)])
def test_counts_equal_a_threshold_sweep_after_each_step(classes, fields):
    maps, cam, truth = image(classes=classes, **fields)
    scores = score_maps(maps, cam, truth, num_classes=3, every_step=True)
    for steps in (1, 2, 3, None):
        normalized = maps.normalized() if steps is None else maps.normalized(steps=steps)
        expected = threshold_sweep(normalized, maps.classes, truth, num_classes=4)
        np.testing.assert_array_equal(scores.counts(steps), expected)
    np.testing.assert_array_equal(scores.counts(7), scores.counts())
    only_last = score_maps(maps, cam, truth, num_classes=3, every_step=False)
    assert only_last.num_steps == 1
    np.testing.assert_array_equal(only_last.counts(), scores.counts())


def test_counts_equal_pixel_counts_of_predicted_masks():
    maps, cam, truth = image()
    scores = score_maps(maps, cam, truth, num_classes=3, every_step=True)
    for index, threshold in enumerate(DEFAULT_THRESHOLDS):
        mask = np.where(truth == 255, 255, predicted_mask(maps, threshold))
        expected = [[(part == value).sum() for value in range(4)] for part in (mask[mask == truth], mask, truth)]
        np.testing.assert_array_equal(scores.counts()[index], expected)
        painted = [(mask[truth == 0] == key + 1).sum() for key in maps.classes]
        assert above(scores.background[-1], index).tolist() == painted


def test_distances_equal_pixels_of_predicted_masks_around_the_peak_of_the_cam():
    maps, cam, truth = image((40, 30))
    scores = score_maps(maps, cam, truth, num_classes=3, every_step=True)
    np.testing.assert_array_equal(scores.covered.sum(axis=1), scores.hits[-1])
    for place, (key, class_map) in enumerate(zip(cam.classes, cam.normalized(), strict=True)):
        rows, columns = np.nonzero(truth == key + 1)
        peak = np.argwhere(class_map == class_map.max())[0]
        distance = np.sqrt((rows - peak[0]) ** 2 + (columns - peak[1]) ** 2) / np.sqrt(len(rows))
        edges = [*DISTANCE_EDGES, np.inf]
        np.testing.assert_array_equal(scores.distances[place], np.histogram(distance, edges)[0])
        for index in (0, 30, 60, 99):
            found = predicted_mask(maps, DEFAULT_THRESHOLDS[index])[rows, columns] == key + 1
            np.testing.assert_array_equal(above(scores.covered[place], index), np.histogram(distance[found], edges)[0])


def test_distance_bins_by_hand():
    """Four pixels in a row are an object of size 2; their distances are 0, 0.5, 1 and 1.5."""
    bins = distance_bins(np.ones((1, 4), bool), (0, 0))
    assert bins.tolist() == [0, 4, 8, 10]
    assert (DISTANCE_EDGES[bins] <= [0, 0.5, 1, 1.5]).all()
    assert not len(distance_bins(np.zeros((1, 4), bool), (0, 0)))


def test_void_is_only_in_the_histogram():
    maps, cam, truth = image()
    everything = score_maps(maps, cam, np.full_like(truth, 255), num_classes=3, every_step=True)
    for name in ("true", "predicted", "hits", "background", "distances", "covered"):
        assert not getattr(everything, name).any()
    np.testing.assert_array_equal(everything.histogram, histogram_of(maps.normalized()))


def test_an_image_without_a_class():
    scores = score_maps(no_class(), no_class(), LEFT, num_classes=2, every_step=True)
    assert scores.predicted.shape == (1, 0, NUM_LEVELS)
    assert scores.covered.shape == (0, len(DISTANCE_EDGES), NUM_LEVELS)
    assert not scores.histogram.any()
    expected = threshold_sweep(np.zeros((0, 16, 16)), np.array([], int), LEFT, num_classes=3)
    np.testing.assert_array_equal(scores.counts(), expected)
    np.testing.assert_array_equal(scores.counts(5), expected)


def test_walked_maps_have_one_step():
    walked = WalkedMaps(np.array([1]), (8, 8), np.ones((1, 2, 2), np.float32), np.zeros((2, 2), np.float16))
    truth = np.zeros((8, 8), np.uint8)
    scores = score_maps(walked, walked, truth, num_classes=2, every_step=True)
    assert scores.num_steps == 1
    assert (above(scores.background, 98).tolist(), len(scores.logits), scores.stopped_by) == ([[64]], 0, "")


@pytest.mark.parametrize("name", ["0000", "0001", "0002"])
def test_scores_survive_a_file(tmp_path, name):
    data = ManyMasks(3)
    scores = data.scores()[name]
    MAP_SCORES.save(scores, tmp_path / "a.npz")
    again = MAP_SCORES.load(tmp_path / "a.npz")
    for field, values in vars(scores).items():
        found = getattr(again, field)
        assert type(found) is type(values)
        np.testing.assert_array_equal(found, values)
        assert getattr(found, "dtype", None) == getattr(values, "dtype", None)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert {file[field].dtype for field in ("true", "hits", "covered")} == {np.dtype(np.uint8)}


def test_numbers_that_follow_from_others_are_not_stored():
    """One class: no predicted pixel is of another class of the image. Two steps: the hits of the second are in `covered`."""
    maps = halves(1.0, 0.504)
    arrays = score_maps(maps, maps, LEFT, **ONE_CLASS).to_arrays()
    assert "predicted" not in arrays
    assert arrays["others"].shape == (2, 1, NUM_LEVELS)
    assert not arrays["others"].any()
    assert arrays["hits"].shape == (1, 1, NUM_LEVELS)


def test_large_numbers_keep_their_values():
    ones = np.ones((512, 512), np.uint8)
    maps = StoredMaps(np.array([0]), ones.shape, steps=(np.ones((1, 1, 2, 2), np.float32),))
    again = MapScores.of_arrays(score_maps(maps, maps, ones, **ONE_CLASS).to_arrays())
    assert (again.true.tolist(), again.hits.max()) == ([0, 512**2], 512**2)
    with warnings.catch_warnings(action="error"):  # such as an overflow
        assert again.counts()[0].tolist() == [[0, 512**2]] * 3


def test_inputs_that_do_not_belong_together_are_refused():
    maps = halves(1.0, 0.0)
    with pytest.raises(ValueError, match="differ in size"):
        score_maps(maps, maps, np.zeros((8, 8), np.uint8), **ONE_CLASS)
    with pytest.raises(ValueError, match=r"maps have classes \[0\].* but the CAM has classes \[\]"):
        score_maps(maps, no_class(), LEFT, **ONE_CLASS)
    with pytest.raises(ValueError, match="truth contains class 2; expected 0 to 1"):
        score_maps(maps, maps, LEFT * 2, **ONE_CLASS)
    nan = StoredMaps(np.array([0]), (16, 16), steps=(np.full((1, 1, 16, 16), np.nan, np.float32),))
    with pytest.raises(ValueError, match="nan"):
        score_maps(nan, maps, LEFT, **ONE_CLASS)
