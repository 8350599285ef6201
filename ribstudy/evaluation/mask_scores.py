"""Scores of masks, such as pseudo masks or predictions of a segmentation network, and comparisons of methods by them.

Shapes: C classes, with the background as class 0; N images in G groups; H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.groups import groups_of
from ribstudy.evaluation.metrics import ConfusionMatrix, mean_scores
from ribstudy.evaluation.statistics import Comparison, Estimate, bootstrap_over_seeds


@dataclass(frozen=True)
class MaskScores:
    """Agreement of masks with the true masks.

    Args:
        names: the N images.
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
    for group, item in zip(groups, items.values(), strict=True):
        of_image = item["confusion"].astype(np.int64)
        counts[group] += np.stack([of_image.diagonal(), of_image.sum(axis=0), of_image.sum(axis=1)])
        confusion += of_image
    return MaskScores(tuple(items), counts, confusion)


def compare_masks_over_seeds(first: Sequence[MaskScores], second: Sequence[MaskScores]) -> Comparison:
    """Two results, each from several seeds on the same images: means over the seeds, intervals over images and seeds.

    Raises ValueError if the results are not of the same images, or the numbers of seeds differ.
    """
    if len({scores.names for scores in (*first, *second)}) != 1:
        raise ValueError("the results are not of the same images, or there is none")
    counts = ([scores.counts for scores in side] for side in (first, second))
    return bootstrap_over_seeds(*counts, num_images=len(first[0].names))


def compare_steps(scores: Mapping[tuple[str, str], Sequence[MaskScores]], first: str, second: str) -> dict[str, Comparison]:
    """Compares two methods after each step; scores by (method, step), a sequence with one entry for each seed."""
    steps = [step for method, step in scores if method == first]
    return {step: compare_masks_over_seeds(scores[first, step], scores[second, step]) for step in steps}


def both_estimates(comparisons: Mapping[str, Comparison], first: str, second: str) -> dict[tuple[str, str], Estimate]:
    """The mIoU of each of the two methods of `compare_steps`, by (method, step)."""
    estimates = {(first, step): comparison.first for step, comparison in comparisons.items()}
    return estimates | {(second, step): comparison.second for step, comparison in comparisons.items()}
