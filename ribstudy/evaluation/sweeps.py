"""Scores of stored maps at all background thresholds, and comparisons of methods by them.

Shapes: C classes, with the background as class 0; T thresholds; N images in G groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, class_scores, mean_scores, miou, threshold_sweep
from ribstudy.evaluation.passes import group_order, groups_of_chunk, in_chunks, interleaved, naming_image, scored_names
from ribstudy.evaluation.predictions import AnyMaps, normalized_maps
from ribstudy.evaluation.statistics import Comparison, bootstrap_over_seeds


@dataclass(frozen=True)
class Sweep:
    """The threshold sweeps of a set of images. Memory hardly grows with the number of images.

    Args:
        names: the N images.
        counts: [G, T, 3, C+1], counts of `threshold_sweep`, summed over each group of images.
        blank: [G, 3, C+1], the part of `counts` from images without a class; nothing is predicted in these.
        image_scores: [N, T], mean IoU of each image over the classes in its truth or prediction.
        has_class: bool [N].
        thresholds: [T].
    """

    names: tuple[str, ...]
    counts: np.ndarray
    blank: np.ndarray
    image_scores: np.ndarray
    has_class: np.ndarray
    thresholds: np.ndarray

    def scores(self) -> dict[str, np.ndarray]:
        """Scores of each class, [T, C+1], over all images (`class_scores`)."""
        return class_scores(self.counts.sum(axis=0))

    def miou(self) -> np.ndarray:
        """The mIoU at each threshold, [T]."""
        return miou(self.counts.sum(axis=0))

    def best(self) -> int:
        """Index of the threshold with the best mIoU on these images."""
        return int(self.miou().argmax())

    def labelled(self) -> "Sweep":
        """The sweep of only the images that have a class; groups that become empty are removed."""
        if self.has_class.all():
            return self
        counts = self.counts - self.blank[:, None]
        kept = counts.any(axis=(1, 2, 3))
        names, scores = tuple(compress(self.names, self.has_class)), self.image_scores[self.has_class]
        blank, has_class = np.zeros_like(self.blank[kept]), np.ones(len(names), bool)
        return Sweep(names, counts[kept], blank, scores, has_class, self.thresholds)


def sweep_maps(dataset: Dataset, stored: Mapping[str, AnyMaps], *, steps: int | None = None, processes: int = 1) -> Sweep:
    """The threshold sweep of the stored images that have a mask.

    Each of up to 1,000 images is its own group. More images are shuffled into 1,000 groups whose sizes differ by at most one
    image (`passes.group_order`).

    Args:
        stored: maps by image name.
        steps: number of first steps whose maps are summed; None: all.
    """
    names = scored_names(dataset, stored)
    order = group_order(len(names))
    parts = list(in_chunks(partial(_sweep_chunk, dataset, stored, steps), [names[i] for i in order], processes))
    fields = ("counts", "blank", "image_scores", "has_class")
    counts, blank, image_scores, has_class = (interleaved([getattr(part, field) for part in parts]) for field in fields)
    places = np.argsort(order)  # from the shuffled order back to the order of the names
    return Sweep(tuple(names), counts, blank, image_scores[places], has_class[places], DEFAULT_THRESHOLDS)


def _sweep_chunk(dataset: Dataset, stored: Mapping[str, AnyMaps], steps: int | None, names: list[str]) -> Sweep:
    num_groups, num_thresholds = groups_of_chunk(len(names)), len(DEFAULT_THRESHOLDS)
    counts = np.zeros((num_groups, num_thresholds, 3, len(dataset.class_names) + 1), dtype=np.int64)
    blank = np.zeros_like(counts[:, 0])
    image_scores = np.zeros((len(names), num_thresholds), dtype=np.float32)
    has_class = np.zeros(len(names), dtype=bool)
    for place, name in enumerate(names):
        with naming_image(name):
            maps = stored[name]
            of_image = sweep_image(dataset, maps, dataset.mask(name), steps=steps)
        group = place % num_groups
        counts[group] += of_image
        image_scores[place] = miou(of_image)
        has_class[place] = len(maps.classes) > 0
        if not has_class[place]:
            blank[group] += of_image[0]
    return Sweep(tuple(names), counts, blank, image_scores, has_class, DEFAULT_THRESHOLDS)


def sweep_image(
    dataset: Dataset, maps: AnyMaps, truth: np.ndarray, *, steps: int | None = None, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> np.ndarray:
    """`threshold_sweep` of one stored image, int64 [T, 3, C+1]."""
    num_classes = len(dataset.class_names) + 1
    return threshold_sweep(normalized_maps(maps, steps), maps.classes, truth, num_classes=num_classes, thresholds=thresholds)


def compare(first: Sweep, second: Sweep, *, at: tuple[int, int] | None = None) -> Comparison:
    """Compares two sweeps of the same images.

    Args:
        at: a threshold index for each sweep; None: the best threshold of each on these images.
    """
    return compare_over_seeds([first], [second], at=None if at is None else [at])


def compare_over_seeds(
    first: Sequence[Sweep], second: Sequence[Sweep], *, at: Sequence[tuple[int, int]] | None = None
) -> Comparison:
    """Compares two methods with several seeds: means over the seeds, intervals over images and seeds.

    Args:
        first, second: by seed, sweeps of the same images.
        at: by seed, a threshold index for each method; None: the best threshold of each method and seed, chosen again in every
            bootstrap sample.
    """
    if len({sweep.names for sweep in (*first, *second)}) != 1:
        raise ValueError("the sweeps are not of the same images, or there is none")
    sides = [[sweep.counts for sweep in side] for side in (first, second)]
    if at is not None:
        sides = [[counts[:, both[place]] for counts, both in zip(side, at, strict=True)] for place, side in enumerate(sides)]
    return bootstrap_over_seeds(*sides, num_images=len(first[0].names))


def comparisons(first: Sweep, second: Sweep, *, at: tuple[int, int]) -> dict[str, Comparison]:
    """Two sweeps compared at thresholds from other images (`compared`) and at their best thresholds (`best`).

    If some images have no class, `labelled` compares only the other images, at the thresholds from other images.
    """
    return comparisons_over_seeds([first], [second], at=[at])


def comparisons_over_seeds(
    first: Sequence[Sweep], second: Sequence[Sweep], *, at: Sequence[tuple[int, int]]
) -> dict[str, Comparison]:
    """Like `comparisons`, but for several seeds, each with its own sweeps and thresholds (see `compare_over_seeds`)."""
    found = {"compared": compare_over_seeds(first, second, at=at), "best": compare_over_seeds(first, second)}
    if not first[0].has_class.all():
        of_labelled = ([sweep.labelled() for sweep in side] for side in (first, second))
        found["labelled"] = compare_over_seeds(*of_labelled, at=at)
    return found


def summary(sweep: Sweep, index: int) -> dict[str, float]:
    """mIoU, precision, recall, over- and under-activation at a threshold index: means over the classes with a score."""
    return mean_scores(sweep.counts[:, index].sum(axis=0))


def score_table(sweep: Sweep, threshold: int) -> pd.DataFrame:
    """`summary` at a threshold index from other images and at the best threshold of these images.

    If some images have no class, two more rows show the scores of only the other images.
    """
    sweeps = {"": sweep}
    if not sweep.has_class.all():
        sweeps[", images with a class"] = sweep.labelled()
    rows = {}
    for images, part in sweeps.items():
        rows[f"threshold from val{images}"] = summary(part, threshold)
        rows[f"best threshold (field's protocol){images}"] = summary(part, part.best())
    return pd.DataFrame(rows).T


def extremes(values: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` largest values, decreasing, then of the `count` smallest values, increasing; without nan."""
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    return [*order[::-1][:count], *order[:count]]
