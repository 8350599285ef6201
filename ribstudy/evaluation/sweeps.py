"""Scores of a set of images at all background thresholds, and comparisons of methods by them.

Shapes: C classes, with the background as class 0; T thresholds; N images in G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.evaluation.groups import groups_of
from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, class_scores, mean_scores, miou
from ribstudy.evaluation.statistics import Comparison, bootstrap_over_seeds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sweep:
    """The threshold sweeps of a set of images. Memory hardly grows with the number of images.

    Args:
        names: the N images.
        counts: [G, T, 3, C+1], `MapScores.counts`, summed over each group of images (`groups.groups_of`).
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

    def labelled(self) -> Sweep:
        """The sweep of only the images that have a class; groups that become empty are removed."""
        if self.has_class.all():
            return self
        counts = self.counts - self.blank[:, None]
        kept = counts.any(axis=(1, 2, 3))
        names, scores = tuple(compress(self.names, self.has_class)), self.image_scores[self.has_class]
        blank, has_class = np.zeros_like(self.blank[kept]), np.ones(len(names), bool)
        return Sweep(names, counts[kept], blank, scores, has_class, self.thresholds)


def sweep_scores(scores: Mapping[str, MapScores], *, steps: int | None = None) -> Sweep:
    """The threshold sweep of the scored images.

    Args:
        scores: by image name.
        steps: number of first steps whose maps are summed; None: all.

    Raises ValueError if there is no image.
    """
    if not scores:
        raise ValueError("there is no scored image")
    groups, num_thresholds = groups_of(len(scores)), len(DEFAULT_THRESHOLDS)
    num_classes = len(next(iter(scores.values())).true)
    counts = np.zeros((groups.max() + 1, num_thresholds, 3, num_classes), dtype=np.int64)
    blank = np.zeros_like(counts[:, 0])
    image_scores = np.zeros((len(scores), num_thresholds), dtype=np.float32)
    has_class = np.zeros(len(scores), dtype=bool)
    for place, (group, of_image) in enumerate(zip(groups, scores.values(), strict=True)):
        image_counts = of_image.counts(steps)
        counts[group] += image_counts
        image_scores[place] = miou(image_counts)
        has_class[place] = len(of_image.classes) > 0
        if not has_class[place]:
            blank[group] += image_counts[0]
    return Sweep(tuple(scores), counts, blank, image_scores, has_class, DEFAULT_THRESHOLDS)


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
    import pandas as pd  # takes half a second, and planning and computing need no tables

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
