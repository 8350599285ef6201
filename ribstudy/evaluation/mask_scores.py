"""Scores of masks, such as pseudo masks or predictions of a segmentation network.

Shapes: C classes, with the background as class 0; N images in G groups; H x W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.groups import groups_of
from ribstudy.evaluation.metrics import ConfusionMatrix, mean_scores


@dataclass(frozen=True)
class MaskScores:
    """Agreement of masks with the true masks.

    Args:
        names: the N images, sorted, so that nothing depends on their order.
        counts: [G, 3, C+1], hits, predicted and true pixels, summed over each group of images (`groups.groups_of`).
        confusion: [C+1, C+1], pixels of (true class, predicted class) of all images.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    confusion: np.ndarray

    def summary(self) -> dict[str, float]:
        """mIoU, precision, recall, over- and under-activation: means over the classes with a score."""
        return mean_scores(self.counts.sum(axis=0))


def mask_confusion(truth: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """The pixels of one image by (true class, predicted class), int64 [C+1, C+1]; void pixels are left out.

    Args:
        truth, mask: [H, W], 0 background, 1..C classes; 255 in the truth is void.
        num_classes: C, without the background.

    Raises ValueError if the two differ in shape or contain a class above C.
    """
    matrix = ConfusionMatrix(num_classes + 1)
    matrix.update(truth, mask)
    return matrix.counts


def score_masks(items: Mapping[str, Mapping[str, np.ndarray]]) -> MaskScores:
    """The scores of a set of images from the `mask_confusion` of each, by image name, as {"confusion": array}.

    Raises ValueError if there is no image.
    """
    if not items:
        raise ValueError("there is no scored image")
    groups = groups_of(len(items))
    num_classes = len(next(iter(items.values()))["confusion"])
    counts, confusion = np.zeros((groups.max() + 1, 3, num_classes), np.int64), np.zeros((num_classes, num_classes), np.int64)
    for group, name in zip(groups, sorted(items), strict=True):
        of_image = items[name]["confusion"].astype(np.int64)
        counts[group] += np.stack([of_image.diagonal(), of_image.sum(axis=0), of_image.sum(axis=1)])
        confusion += of_image
    return MaskScores(tuple(sorted(items)), counts, confusion)
