import numpy as np
import pytest

from ribstudy.evaluation.mask_scores import mask_confusion, score_masks


def test_confusion_of_one_image_by_hand():
    truth, mask = np.array([[0, 0, 1], [2, 255, 2]]), np.array([[0, 1, 1], [2, 2, 0]])
    assert mask_confusion(truth, mask, 2).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    with pytest.raises(ValueError, match="truth contains class 2; expected 0 to 1"):
        mask_confusion(truth, mask, 1)


def test_scores_of_masks_are_sums_over_their_confusions():
    rng = np.random.default_rng(0)
    truth, mask = rng.choice([0, 1, 2, 255], (1200, 4, 4)), rng.integers(0, 3, (1200, 4, 4))
    items = {f"{place:04d}": {"confusion": mask_confusion(truth[place], mask[place], 2)} for place in range(1200)}
    found = score_masks(items)
    assert (found.names, len(found.counts)) == (tuple(items), 1000)
    known = truth != 255
    for value in range(3):
        hits, predicted, true = (
            (known & part).sum() for part in ((mask == value) & (truth == value), mask == value, truth == value)
        )
        assert found.counts[:, :, value].sum(axis=0).tolist() == [hits, predicted, true]
        assert found.confusion[value, value] == hits
    few = score_masks({name: items[name] for name in ("0003", "0001")})
    assert few.names == ("0001", "0003")
    assert few.counts[0, 2].tolist() == items["0001"]["confusion"].sum(axis=1).tolist()
    with pytest.raises(ValueError, match="no scored image"):
        score_masks({})
