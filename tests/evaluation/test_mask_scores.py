import numpy as np
import pytest

from ribstudy.evaluation.mask_scores import (
    MaskScores,
    both_estimates,
    compare_masks_over_seeds,
    compare_steps,
    mask_confusion,
    score_masks,
)


def test_confusion_of_one_image_by_hand():
    truth, mask = np.array([[0, 0, 1], [2, 255, 2]]), np.array([[0, 1, 1], [2, 2, 0]])
    assert mask_confusion(truth, mask, 2).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    with pytest.raises(ValueError, match="truth contains class 2; expected 0 to 1"):
        mask_confusion(truth, mask, 1)


def test_scores_of_masks_are_sums_over_their_confusions():
    rng = np.random.default_rng(0)
    truth, mask = rng.choice([0, 1, 2, 255], (1200, 4, 4)), rng.integers(0, 3, (1200, 4, 4))
    items = {f"{place}": {"confusion": mask_confusion(truth[place], mask[place], 2)} for place in range(1200)}
    found = score_masks(items)
    assert (found.names, len(found.counts)) == (tuple(items), 1000)
    known = truth != 255
    for value in range(3):
        hits, predicted, true = (
            (known & part).sum() for part in ((mask == value) & (truth == value), mask == value, truth == value)
        )
        assert found.counts[:, :, value].sum(axis=0).tolist() == [hits, predicted, true]
        assert found.confusion[value, value] == hits
    few = score_masks({name: items[name] for name in ("3", "1")})
    assert few.counts[0, 2].tolist() == items["3"]["confusion"].sum(axis=1).tolist()
    with pytest.raises(ValueError, match="no scored image"):
        score_masks({})


HALF = MaskScores(("a",), np.array([[[1, 1], [1, 1], [2, 2]]]), np.zeros((2, 2), int))  # an IoU of 0.5
FULL = MaskScores(("a",), np.array([[[2, 2], [2, 2], [2, 2]]]), np.zeros((2, 2), int))


def test_two_methods_are_compared_after_each_step():
    """The IoU of the second method is 1 after the first step; all others are 0.5."""
    scores = {("CAM", "seeds"): [HALF], ("RIB", "seeds"): [FULL], ("CAM", "walk"): [HALF], ("RIB", "walk"): [HALF]}
    gains = compare_steps(scores, "CAM", "RIB")
    assert {step: gain.difference.value for step, gain in gains.items()} == {"seeds": 0.5, "walk": 0}
    found = {names: estimate.value for names, estimate in both_estimates(gains, "CAM", "RIB").items()}
    assert found == {names: 1 if names == ("RIB", "seeds") else 0.5 for names in scores}


def test_methods_with_several_seeds_are_compared_by_their_means():
    """The gain is 0.5 with one seed and 0 with the other; drawing twice the same seed gives both, widened around the mean."""
    found = compare_masks_over_seeds([HALF, HALF], [FULL, HALF])
    assert (found.first.value, found.second.value, found.difference.value) == (0.5, 0.75, 0.25)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.25 - 0.25 * 2**0.5, 0.25 + 0.25 * 2**0.5))
    assert found.difference.n == 1
    with pytest.raises(ValueError, match="not of the same images"):
        compare_masks_over_seeds([HALF], [MaskScores(("b",), HALF.counts, HALF.confusion)])
