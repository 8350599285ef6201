"""Scores of masks, such as pseudo masks or predictions of a segmentation network, and comparisons of methods by them.

Shapes: C classes, with the background as class 0; N images in G groups; H x W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import ConfusionMatrix, mean_scores
from ribstudy.evaluation.passes import group_order, groups_of_chunk, in_chunks, interleaved, naming_image, scored_names
from ribstudy.evaluation.statistics import Comparison, Estimate, bootstrap_comparison


@dataclass(frozen=True)
class MaskScores:
    """Agreement of masks with the true masks.

    Args:
        names: the N images.
        counts: [G, 3, C+1], hits, predicted and true pixels, summed over each group of images (see `sweeps.sweep_maps`).
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


def score_masks(dataset: Dataset, masks: Mapping[str, np.ndarray], *, processes: int = 1) -> MaskScores:
    """Compares masks uint8 [H, W], by image name, with the true masks; images without a true mask are left out."""
    names = scored_names(dataset, masks)
    order = group_order(len(names))
    parts = list(in_chunks(partial(_score_chunk, dataset, masks), [names[i] for i in order], processes))
    counts = interleaved([part.counts for part in parts])
    return MaskScores(tuple(names), counts, sum(part.confusion for part in parts))


def _score_chunk(dataset: Dataset, masks: Mapping[str, np.ndarray], names: list[str]) -> MaskScores:
    num_classes, num_groups = len(dataset.class_names) + 1, groups_of_chunk(len(names))
    confusion = np.zeros((num_groups, num_classes, num_classes), dtype=np.int64)
    for place, name in enumerate(names):
        with naming_image(name):
            confusion[place % num_groups] += mask_confusion(dataset.mask(name), masks[name], num_classes - 1)
    hits = confusion.diagonal(axis1=1, axis2=2)
    counts = np.stack([hits, confusion.sum(axis=1), confusion.sum(axis=2)], axis=1)
    return MaskScores(tuple(names), counts, confusion.sum(axis=0))


def compare_masks(first: MaskScores, second: MaskScores) -> Comparison:
    """Two results on the same images, with paired intervals."""
    if first.names != second.names:
        raise ValueError("the two results are not of the same images")
    return bootstrap_comparison(first.counts, second.counts, num_images=len(first.names))


def compare_steps(scores: Mapping[tuple[str, str], MaskScores], first: str, second: str) -> dict[str, Comparison]:
    """Compares two methods after each step; scores by (method, step)."""
    steps = [step for method, step in scores if method == first]
    return {step: compare_masks(scores[first, step], scores[second, step]) for step in steps}


def both_estimates(comparisons: Mapping[str, Comparison], first: str, second: str) -> dict[tuple[str, str], Estimate]:
    """The mIoU of each of the two methods of `compare_steps`, by (method, step)."""
    estimates = {(first, step): comparison.first for step, comparison in comparisons.items()}
    return estimates | {(second, step): comparison.second for step, comparison in comparisons.items()}
