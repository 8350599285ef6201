"""Maps and masks whose scores can be computed by hand."""

import numpy as np


class Masks:
    """A data set of two masks: the left half of the first image is class 0, the second is background."""

    class_names = ("a", "b")
    split = "train"
    masked_names = ("first", "second")

    def mask(self, name):
        mask = np.zeros((16, 16), np.uint8)
        if name == "first":
            mask[:, :8] = 1
        return mask


def unit(left: float, right: float) -> dict:
    """One map at stride 1: `left` and `right` in the halves; a second step adds as much on the right."""
    first = np.concatenate([np.full((1, 16, 8), left), np.full((1, 16, 8), right)], axis=2)
    second = np.concatenate([np.zeros((1, 16, 8)), np.full((1, 16, 8), left)], axis=2)
    return {"keys": np.array([0]), "size": np.array([16, 16]), "iterates_0": np.stack([first, second]).astype(np.float32)}
