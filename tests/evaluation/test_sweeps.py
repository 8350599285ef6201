import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.metrics import miou, threshold_sweep
from ribstudy.evaluation.statistics import bootstrap_comparison
from ribstudy.evaluation.sweeps import (
    Sweep,
    compare,
    compare_over_seeds,
    comparisons,
    comparisons_over_seeds,
    extremes,
    score_table,
    summary,
    sweep_scores,
)


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
    assert compare(sweep, sweep, at=(30, 30)).first.n == 2500


def test_intervals_from_groups_are_close_to_intervals_from_images():
    data = ManyMasks(2500)
    sweep = sweep_scores(data.scores())
    grouped = compare(sweep, sweep, at=(30, 30)).first
    single = bootstrap_comparison(*2 * [data.counts()[:, 30]]).first
    assert grouped.value == single.value
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.1)  # though every tenth has no class


def test_images_without_a_class_can_be_left_out():
    data = ManyMasks(1200)
    scores = data.scores()
    sweep = sweep_scores(scores)
    labelled = sweep.labelled()
    expected = sweep_scores({name: of_image for name, of_image in scores.items() if len(of_image.classes)})
    assert labelled.names == expected.names
    np.testing.assert_array_equal(labelled.counts.sum(axis=0), expected.counts.sum(axis=0))
    np.testing.assert_array_equal(labelled.image_scores, expected.image_scores)
    assert labelled.labelled() is labelled
    assert comparisons(sweep, sweep, at=(3, 3))["labelled"].first.n == 1080
    assert "labelled" not in comparisons(labelled, labelled, at=(3, 3))
    assert score_table(sweep, 3)["miou"].tolist() == pytest.approx(
        [values.miou()[index] for values in (sweep, labelled) for index in (3, values.best())]
    )
    assert len(score_table(labelled, 3)) == 2


def test_groups_that_become_empty_are_removed():
    data = ManyMasks(30)
    assert len(sweep_scores(data.scores()).labelled().counts) == 27


def test_comparison_is_of_the_same_images():
    sweep = sweep_scores(on(["first", "second"], 1.0, 0.0), steps=1)
    assert compare(sweep, sweep, at=(50, 50)).difference.value == 0
    with pytest.raises(ValueError, match="same images"):
        compare(sweep, sweep_scores(GOOD), at=(50, 50))


def test_methods_are_compared_over_seeds_at_the_thresholds_of_each():
    """With the second seed the first method paints both halves at 0.5, and at 0.7 the same as the other method."""
    good, wide = (sweep_scores(on(["first", "second"], 1.0, right), steps=1) for right in (0.0, 0.6))
    single = compare(wide, good, at=(50, 50)).difference.value
    assert single > 0.1
    over_seeds = compare_over_seeds([good, wide], [good, good], at=[(50, 50), (50, 50)])
    assert over_seeds.difference.value == pytest.approx(single / 2)
    assert compare_over_seeds([good, wide], [good, good], at=[(50, 50), (70, 50)]).difference.value == 0
    assert compare_over_seeds([good, wide], [good, good]).difference.value == pytest.approx(0)
    assert compare_over_seeds([wide], [good], at=[(50, 50)]) == compare(wide, good, at=(50, 50))
    both = comparisons_over_seeds([good, wide], [good, good], at=[(50, 50), (50, 50)])
    assert both == {"compared": over_seeds, "best": compare_over_seeds([good, wide], [good, good])}
    with pytest.raises(ValueError, match="not of the same images"):
        compare_over_seeds([good], [sweep_scores(GOOD)])


def test_extremes_by_hand():
    assert extremes(np.array([0.0, 3.0, np.nan, -1.0, 2.0]), 2) == [1, 4, 3, 0]
