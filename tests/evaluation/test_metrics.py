import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from ribstudy.evaluation.metrics import ConfusionMatrix, average_precision, class_scores, miou, threshold_sweep


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


def test_an_unknown_class_is_named():
    with pytest.raises(ValueError, match="prediction contains class 7; expected 0 to 2"):
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


def test_nan_has_no_threshold():
    with pytest.raises(ValueError, match="nan"):
        threshold_sweep(np.full((1, 2, 2), np.nan), np.array([0]), np.zeros((2, 2), int), num_classes=2)


def test_an_image_that_is_all_void_has_no_miou():
    counts = np.stack([np.zeros((3, 2), int), np.array([[1, 0], [1, 0], [2, 0]])])
    with np.errstate(all="raise", divide="ignore", invalid="ignore"):
        np.testing.assert_array_equal(miou(counts), [np.nan, 0.5])


def test_average_precision_by_hand():
    labels = np.array([[1, 0], [0, 0], [1, 0]], bool)
    logits = np.array([[3.0, 0], [2.0, 0], [1.0, 0]])
    values = average_precision(labels, logits, ["a", "b"])
    assert values["a"] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(values["b"])
