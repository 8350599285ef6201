import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from ribstudy.evaluation.metrics import (
    ConfusionMatrix,
    Sweep,
    bootstrap_comparison,
    bootstrap_over_seeds,
    class_scores,
    coverage_by_distance,
    miou,
    threshold_sweep,
)


def naive_sweep(maps, keys, truth, *, num_classes, thresholds):
    """A prediction and a confusion matrix for each threshold, as the reference code evaluates."""
    counts = []
    for threshold in thresholds:
        stack = np.concatenate([np.full((1, *truth.shape), threshold), maps])
        prediction = np.concatenate([[0], np.asarray(keys) + 1]).astype(int)[stack.argmax(axis=0)]
        matrix = confusion_matrix(truth[truth != 255], prediction[truth != 255], labels=range(num_classes))
        counts.append([np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)])
    return np.array(counts)


@pytest.mark.parametrize("keys", [[2], [0, 3], []])
def test_one_pass_equals_the_naive_loop(keys):
    rng = np.random.default_rng(len(keys))
    maps = rng.integers(0, 21, (len(keys), 12, 9)) / 20  # values on the thresholds: ties are background
    truth = rng.choice([0, 1, 3, 4, 255], (12, 9)).astype(np.uint8)
    thresholds = np.arange(20) / 20
    fast = threshold_sweep(maps, np.array(keys, int), truth, num_classes=5, thresholds=thresholds)
    np.testing.assert_array_equal(fast, naive_sweep(maps, keys, truth, num_classes=5, thresholds=thresholds))


def test_confusion_matrix_by_hand():
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1], [1, 255, 0]]), np.array([[0, 1, 1], [0, 2, 0]]))
    assert matrix.counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    summary = matrix.summary()
    assert summary["miou"] == pytest.approx((2 / 4 + 1 / 3) / 2)  # class 2 occurs only where the truth is void
    assert summary["accuracy"] == pytest.approx(3 / 5)


def test_confusion_matrix_adds_up_over_images():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, 6, 8, 8))
    whole, parts = ConfusionMatrix(4), ConfusionMatrix(4)
    whole.update(truth, prediction)
    for t, p in zip(truth, prediction, strict=True):
        parts.update(t, p)
    np.testing.assert_array_equal(whole.counts, parts.counts)


def test_a_class_outside_the_list_is_named():
    with pytest.raises(ValueError, match="prediction holds class 7"):
        ConfusionMatrix(3).update(np.zeros((2, 2), int), np.full((2, 2), 7))
    with pytest.raises(ValueError, match="differ in shape"):
        ConfusionMatrix(3).update(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_class_scores_by_hand():
    # hits, predicted, true of: a class half found, one only predicted, one that does not occur
    scores = class_scores(np.array([[2, 0, 0], [3, 5, 0], [4, 0, 0]]))
    assert scores["iou"][:2].tolist() == pytest.approx([2 / 5, 0])
    assert scores["over"][0] + scores["under"][0] + scores["iou"][0] == pytest.approx(1)
    assert (scores["precision"][0], scores["recall"][0]) == pytest.approx((2 / 3, 1 / 2))
    assert np.isnan(scores["iou"][2])
    assert miou(np.array([[2, 0, 0], [3, 5, 0], [4, 0, 0]])) == pytest.approx(0.2)


def sweep_of(num_images: int, seed: int) -> Sweep:
    rng = np.random.default_rng(seed)
    counts = [
        threshold_sweep(
            rng.random((1, 8, 8)), np.array([i % 2]), rng.integers(0, 3, (8, 8)), num_classes=3, thresholds=np.array([0.2, 0.5])
        )
        for i in range(num_images)
    ]
    counts = np.array(counts)
    names, has_class = tuple(map(str, range(num_images))), np.ones(num_images, bool)
    return Sweep(names, counts, np.zeros_like(counts[:, 0]), miou(counts), has_class, np.array([0.2, 0.5]))


def test_bootstrap_is_paired_and_seeded():
    counts = sweep_of(12, seed=0).counts[:, 0]
    same = bootstrap_comparison(counts, counts)
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)
    assert same.first.low < same.first.value < same.first.high
    assert same.first.n == 12
    other = sweep_of(12, seed=1).counts[:, 0]
    assert bootstrap_comparison(counts, other) == bootstrap_comparison(counts, other)
    assert bootstrap_comparison(counts, other).difference.value == pytest.approx(
        miou(other.sum(axis=0)) - miou(counts.sum(axis=0))
    )


def test_bootstrap_of_one_image_has_no_spread():
    first, second = (sweep_of(1, seed).counts[:, 0] for seed in (0, 1))
    estimate = bootstrap_comparison(first, second).difference
    assert estimate.low == pytest.approx(estimate.value) == pytest.approx(estimate.high)


def test_the_best_threshold_is_chosen_anew_in_every_sample():
    first, second = (sweep_of(9, seed).counts for seed in (3, 4))
    compared = bootstrap_comparison(first, second)
    assert compared.first.value == pytest.approx(miou(first.sum(axis=0)).max())
    fixed = bootstrap_comparison(first[:, 0], second[:, 0])
    assert compared.second.low >= fixed.second.low


def test_nan_has_no_threshold():
    with pytest.raises(ValueError, match="nan"):
        threshold_sweep(np.full((1, 2, 2), np.nan), np.array([0]), np.zeros((2, 2), int), num_classes=2)


def test_sweep_picks_its_best_threshold():
    sweep = sweep_of(6, seed=2)
    assert sweep.miou()[sweep.best()] == sweep.miou().max()


def test_an_image_that_is_all_void_has_no_miou():
    counts = np.stack([np.zeros((3, 2), int), np.array([[1, 0], [1, 0], [2, 0]])])
    with np.errstate(all="raise", divide="ignore", invalid="ignore"):
        np.testing.assert_array_equal(miou(counts), [np.nan, 0.5])


def test_bootstrap_does_not_depend_on_how_many_samples_are_in_memory(monkeypatch):
    first, second = (sweep_of(9, seed).counts for seed in (3, 4))
    compared = bootstrap_comparison(first, second)
    monkeypatch.setattr("ribstudy.evaluation.metrics.DRAWS_AT_ONCE", 7)
    assert bootstrap_comparison(first, second) == compared


def test_coverage_by_distance_by_hand():
    region = np.zeros((1, 4), bool)
    region[0] = True
    predicted = np.array([[True, True, False, False]])
    covered, everything = coverage_by_distance(region, predicted, (0, 0), edges=[0, 0.75])
    # four pixels in a row, object size 2: distances 0, 0.5, 1, 1.5
    assert covered.tolist() == [2, 0]
    assert everything.tolist() == [2, 2]


def counts_with_iou(*ious):
    """Images of 100 true pixels of one class, [G, 3, 1], with these IoUs (all predicted pixels are true ones)."""
    return np.array([[[round(100 * iou)], [round(100 * iou)], [100]] for iou in ious])


def test_one_seed_and_equal_seeds_are_the_plain_comparison():
    first, second = counts_with_iou(0.2, 0.4, 0.9), counts_with_iou(0.3, 0.4, 0.5)
    plain = bootstrap_comparison(first, second)
    assert bootstrap_over_seeds([first], [second]) == plain
    equal = bootstrap_over_seeds([first] * 3, [second] * 3)
    for name in ("first", "second", "difference"):
        for bound in ("value", "low", "high", "n"):
            assert getattr(getattr(equal, name), bound) == pytest.approx(getattr(getattr(plain, name), bound))


def test_two_seeds_by_hand():
    """Equal images, so that only seeds vary: differences 0.1 and 0.3, mean 0.2; both draws of one seed are half of all.

    A mean of two drawn seeds is 0.1, 0.2 or 0.3; its deviation is widened by the root of 2.
    """
    first = [counts_with_iou(0.5, 0.5), counts_with_iou(0.4, 0.4)]
    second = [counts_with_iou(0.6, 0.6), counts_with_iou(0.7, 0.7)]
    difference = bootstrap_over_seeds(first, second).difference
    assert difference.value == pytest.approx(0.2)
    assert difference.low == pytest.approx(0.2 - 0.1 * 2**0.5)
    assert difference.high == pytest.approx(0.2 + 0.1 * 2**0.5)
    assert difference.n == 2
    assert bootstrap_over_seeds(first[::-1], second[::-1]).difference.value == pytest.approx(0.2)


def test_images_and_seeds_both_widen_the_interval_and_seeds_are_paired():
    rng = np.random.default_rng(0)
    base = [counts_with_iou(*rng.uniform(0.2, 0.7, 20)) for _ in range(3)]
    better = [counts + np.array([[10], [10], [0]]) for counts in base]  # the same gain for every image and seed
    difference = bootstrap_over_seeds(base, better).difference
    assert difference.low == pytest.approx(0.1) == difference.high
    shifted = [counts + np.array([[gain], [gain], [0]]) for counts, gain in zip(base, (0, 10, 20), strict=True)]
    wide = bootstrap_over_seeds(base, shifted).difference
    assert wide.value == pytest.approx(0.1)
    assert wide.high - wide.low > 0.1


def test_seeds_that_do_not_fit_are_named():
    counts = counts_with_iou(0.2, 0.4)
    with pytest.raises(ValueError, match="2 and 1 seeds"):
        bootstrap_over_seeds([counts, counts], [counts])
    with pytest.raises(ValueError, match="0 and 0 seeds"):
        bootstrap_over_seeds([], [])
    with pytest.raises(ValueError, match="not of the same images"):
        bootstrap_over_seeds([counts, counts[:1]], [counts, counts])
