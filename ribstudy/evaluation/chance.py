"""The bars of an ablation that leave zero out by chance: a permutation test that knows how the variants are correlated.

If a variant made no difference, then default and variant of an image could change places. A permutation swaps them on about
half of the images, chosen at random, and computes all differences again. The same images are swapped for all variants and
trainings, so that variants that are correlated, because they share the default or resemble each other, stay so.

Shapes: C classes, with the background as class 0; T thresholds; N images (or groups of them); P permutations; S trainings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.ablation import DEFAULT
from ribstudy.evaluation.metrics import miou
from ribstudy.evaluation.statistics import Comparison
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.evaluation.thresholds import best_indices

AT_ONCE = 100  # permutations whose counts at all thresholds are in memory together


@dataclass(frozen=True)
class Chance:
    """The number of bars that leave zero out although no variant makes a difference.

    Args:
        expected: its mean.
        most: its 95th percentile; more bars than that are rarely chance alone.
    """

    expected: float
    most: int


def bars_by_chance(
    sweeps: Mapping[str, Sequence[Sweep]], found: Mapping[str, Comparison], *, num_permutations: int = 1000
) -> Chance:
    """How many of the variants' bars leave zero out by chance.

    Every method and training uses its best threshold on the permuted images. A bar leaves zero out if the difference is larger
    than 1.96 standard errors. A bootstrap of every permutation would take hours, so its standard error is found to first order
    (`_variance`), and scaled by the factor that makes it the standard error of the variant's bar if nothing is swapped.

    Args:
        sweeps: by variant, the sweeps of the same images with each training, as in `ablation`.
        found: the variants' bars, `ablation.differences` by the rule "best on these images".
    """
    num_groups = len(sweeps[DEFAULT][0].counts)
    swapped = np.random.default_rng(0).integers(2, size=(num_permutations, num_groups)).astype(bool)
    swapped = np.concatenate([np.zeros((1, num_groups), bool), swapped])
    counted = np.zeros(num_permutations)
    for name, comparison in found.items():
        counted += _excluded(sweeps[DEFAULT], sweeps[name], swapped, error=comparison.difference.standard_error)
    return Chance(float(counted.mean()), int(np.quantile(counted, 0.95, method="higher")))


def _excluded(default: Sequence[Sweep], variant: Sequence[Sweep], swapped: np.ndarray, *, error: float) -> np.ndarray:
    """Whether the bar of a variant leaves zero out in each permutation, bool [P]; the first of `swapped` is none."""
    pairs = [permuted(first.counts, second.counts, swapped) for first, second in zip(default, variant, strict=True)]
    differences, influences = (np.stack(part) for part in zip(*pairs, strict=True))  # [S, P+1] and [S, P+1, N]
    found = np.sqrt(_variance(differences, influences))
    factor = error / found[0] if found[0] > 0 else 1
    return np.abs(differences[:, 1:].mean(axis=0)) > 1.96 * factor * found[1:]


def _variance(differences: np.ndarray, influences: np.ndarray) -> np.ndarray:
    """The variance of the mean over the trainings, to first order as the bootstrap of the protocol has it: [P].

    The images give the squared influences of the mean. The trainings give the variance between their differences, on all images
    and on the drawn images.

    Args:
        differences: of the trainings, [S, P].
        influences: [S, P, N], what each image contributes to the difference; the contributions add up to 0.
    """
    variance = (influences.mean(axis=0) ** 2).sum(axis=-1)
    if len(differences) > 1:
        between = differences.var(axis=0, ddof=1) + influences.var(axis=0, ddof=1).sum(axis=-1)
        variance = variance + between / len(differences)
    return variance


def permuted(first: np.ndarray, second: np.ndarray, swapped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The difference in mIoU of two methods whose images are swapped, and what each image contributes to it.

    Args:
        first, second: counts [N, T, 3, C+1].
        swapped: bool [P, N].

    Returns:
        differences [P], second - first, each at its best threshold, and influences [P, N].
    """
    first, second = (counts.astype(np.float64) for counts in (first, second))
    flat, total = (second - first).reshape(len(first), -1), first.sum(axis=0) + second.sum(axis=0)
    parts = []
    for part in np.array_split(swapped, -(-len(swapped) // AT_ONCE)):
        of_first = first.sum(axis=0) + (part.astype(np.float64) @ flat).reshape(len(part), *total.shape)
        sides = (_side(of_first, first, second, part), _side(total - of_first, second, first, part))
        parts.append([after - before for before, after in zip(*sides, strict=True)])
    return tuple(np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))


def _side(sums: np.ndarray, kept: np.ndarray, other: np.ndarray, swapped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best mIoU of one side of a comparison, [p], and the influence of each image on it, [p, N].

    The influence is the derivative of the mIoU by the weight of the image: the mean over the classes of (h_i - IoU u_i) / u, if
    a class has a union of u pixels, and an image adds h_i hits and u_i pixels to it. The best threshold is a maximum, so that
    its change adds nothing to first order.

    Args:
        sums: [p, T, 3, C+1], counts of the images of this side.
        kept, other: [N, T, 3, C+1], counts of an image that is not swapped, and of one that is.
    """
    indices = best_indices(sums)
    hits, predicted, true = np.moveaxis(sums[np.arange(len(sums)), indices], -2, 0)
    union = predicted + true - hits
    shown = (union > 0).sum(axis=-1, keepdims=True)
    by_hits = np.divide(1, union * shown, out=np.zeros_like(union), where=union > 0)
    by_union = np.divide(hits, union, out=np.zeros_like(union), where=union > 0) * by_hits
    influences = np.zeros(swapped.shape)
    for index in np.unique(indices):
        rows = indices == index
        of_images = (
            by_hits[rows] @ counts[:, index, 0].T - by_union[rows] @ (counts[:, index, 1:].sum(axis=1) - counts[:, index, 0]).T
            for counts in (kept, other)
        )
        influences[rows] = np.where(swapped[rows], *reversed(tuple(of_images)))
    return miou(np.stack([hits, predicted, true], axis=-2)), influences
