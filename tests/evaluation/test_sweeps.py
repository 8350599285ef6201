import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.metrics import miou, threshold_sweep
from ribstudy.evaluation.sweeps import Sweep, extremes, image_coverage, summary, sweep_scores


def on(images, left, right):
    """The scores of `halves(left, right)` on some images of `Masks`."""
    return scored(Masks(), dict.fromkeys(images, halves(left, right)))


GOOD = on(["first"], 1.0, 0.0)


def test_a_perfect_map_scores_one_and_its_second_step_spoils_it():
    sweep = sweep_scores(GOOD, steps=1)
    assert sweep.miou()[50] == pytest.approx(1)
    assert summary(sweep, 50)["precision"] == pytest.approx(1)
    spoiled = sweep_scores(GOOD)
    assert summary(spoiled, 50) == pytest.approx(
        {"miou": 0.25, "over": 0.25, "under": 0.5, "precision": 0.5, "recall": 0.5}
    )  # all of it class a: IoU 1/2 for the class and 0 for the background, whose pixels are all missed


def test_sweep_picks_its_best_threshold():
    rng = np.random.default_rng(2)
    thresholds = np.array([0.2, 0.5])
    counts = np.array(
        [
            threshold_sweep(
                rng.random((1, 8, 8)), np.array([i % 2]), rng.integers(0, 3, (8, 8)), num_classes=3, thresholds=thresholds
            )
            for i in range(6)
        ]
    )
    names, has_class = tuple(map(str, range(6))), np.ones(6, bool)
    sweep = Sweep(names, counts, np.zeros_like(counts[:, 0]), miou(counts), has_class, thresholds)
    assert sweep.miou()[sweep.best()] == sweep.miou().max()


def test_a_sweep_needs_an_image():
    with pytest.raises(ValueError, match="no scored image"):
        sweep_scores({})


@pytest.mark.parametrize("count", [3, 130, 999])
def test_each_of_up_to_a_thousand_images_is_a_group(count):
    data = ManyMasks(count)
    np.testing.assert_array_equal(sweep_scores(data.scores()).counts, data.counts())


def test_memory_does_not_grow_with_the_images():
    data = ManyMasks(2500)
    counts = data.counts()
    sweep = sweep_scores(data.scores())
    assert sweep.counts.shape == (1000, 100, 3, 3)
    np.testing.assert_array_equal(sweep.counts.sum(axis=0), counts.sum(axis=0))
    assert np.bincount(sweep.counts[:, 0, 2].sum(axis=1) > 0).tolist() == [0, 1000]
    assert sweep.image_scores.dtype == np.float32
    np.testing.assert_array_equal(sweep.image_scores, miou(counts).astype(np.float32))
    assert sweep.has_class.tolist() == [int(name) % 10 > 0 for name in sweep.names]
    assert (sweep.histograms.shape, sweep.coverage.shape) == ((1000, 256), (1000, 100, 2, 12))


def test_images_without_a_class_can_be_left_out():
    data = ManyMasks(1200)
    scores = data.scores()
    sweep = sweep_scores(scores)
    labelled = sweep.labelled()
    expected = sweep_scores({name: of_image for name, of_image in scores.items() if len(of_image.classes)})
    assert labelled.names == expected.names
    np.testing.assert_array_equal(labelled.counts.sum(axis=0), expected.counts.sum(axis=0))
    np.testing.assert_array_equal(labelled.image_scores, expected.image_scores)
    for name in ("histograms", "coverage"):
        np.testing.assert_array_equal(getattr(labelled, name).sum(axis=0), getattr(expected, name).sum(axis=0))
    assert (labelled.coverage.sum(axis=0)[0, 1] < sweep.coverage.sum(axis=0)[0, 1]).tolist() == [False] * 11 + [True]
    assert labelled.labelled() is labelled


def test_a_sweep_does_not_depend_on_the_order_of_the_images():
    scores = ManyMasks(20).scores()
    sweep, reverse = sweep_scores(scores), sweep_scores(dict(reversed(scores.items())))
    assert sweep.names == reverse.names == tuple(scores)
    for name in ("counts", "image_scores", "histograms", "coverage"):
        np.testing.assert_array_equal(getattr(reverse, name), getattr(sweep, name))


@pytest.mark.parametrize("name", ["0000", "0001", "0002"])
def test_coverage_is_the_covered_and_all_pixels_at_every_threshold(name):
    scores = ManyMasks(3).scores()[name]
    coverage = image_coverage(scores)
    assert coverage.shape == (100, 2, len(DISTANCE_EDGES) + 1)
    for index in (0, 30, 99):
        covered, pixels = coverage[index].tolist()
        painted = scores.background[-1, :, index + 1 :].sum()
        assert covered == [*scores.covered[:, :, index + 1 :].sum(axis=(0, 2)), painted]
        assert pixels == [*scores.distances.sum(axis=0), scores.true[0]]


def test_maps_of_the_first_steps_have_no_histogram():
    scores = ManyMasks(5).scores()
    sweep = sweep_scores(scores)
    np.testing.assert_array_equal(sweep.histograms, [of_image.histogram for of_image in scores.values()])
    np.testing.assert_array_equal(sweep.coverage, [image_coverage(of_image) for of_image in scores.values()])
    for part in (sweep_scores(scores, steps=1), sweep_scores(scores, steps=1).labelled()):
        assert part.histograms is part.coverage is None


def test_groups_that_become_empty_are_removed():
    data = ManyMasks(30)
    assert len(sweep_scores(data.scores()).labelled().counts) == 27


def test_extremes_by_hand():
    assert extremes(np.array([0.0, 3.0, np.nan, -1.0, 2.0]), 2) == [1, 4, 3, 0]
