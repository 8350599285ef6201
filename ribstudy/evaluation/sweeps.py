"""Scores of a set of images at all background thresholds.

Shapes: C classes, with the background as class 0; T thresholds; N images in G groups; D bins of distance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress

import numpy as np

from ribstudy.evaluation.groups import groups_of
from ribstudy.evaluation.map_scores import MapScores, foreground
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, class_scores, mean_scores, miou


@dataclass(frozen=True)
class Sweep:
    """The threshold sweeps of a set of images. Memory hardly grows with the number of images.

    Args:
        names: the N images, sorted, so that nothing depends on their order.
        counts: [G, T, 3, C+1], `MapScores.counts`, summed over each group of images (`groups.groups_of`).
        blank: [G, 3, C+1], the part of `counts` from images without a class; nothing is predicted in these.
        image_scores: [N, T], mean IoU of each image over the classes in its truth or prediction.
        has_class: bool [N].
        thresholds: [T].
        histograms: [G, 256], `MapScores.histogram`, summed over each group; None for maps of only the first steps, which have
            no histogram.
        coverage: [G, T, 2, D+1], `image_coverage`, summed over each group; None for maps of only the first steps.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    blank: np.ndarray
    image_scores: np.ndarray
    has_class: np.ndarray
    thresholds: np.ndarray
    histograms: np.ndarray | None = None
    coverage: np.ndarray | None = None

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
        histograms = None if self.histograms is None else self.histograms[kept]  # images without a class have none
        coverage = None if self.coverage is None else self.coverage[kept].copy()
        if coverage is not None:
            coverage[:, :, 1, -1] -= self.blank[kept, None, 2, 0]
        return Sweep(names, counts[kept], blank, scores, has_class, self.thresholds, histograms, coverage)


def sweep_scores(scores: Mapping[str, MapScores], *, steps: int | None = None) -> Sweep:
    """The threshold sweep of the scored images.

    Args:
        scores: by image name.
        steps: number of first steps whose maps are summed; None: all.

    Raises ValueError if there is no image.
    """
    if not scores:
        raise ValueError("there is no scored image")
    groups = groups_of(len(scores))
    sums, image_scores, has_class = _Sums(int(groups.max()) + 1), [], []
    for group, name in zip(groups.tolist(), sorted(scores), strict=True):
        of_image = scores[name]
        counts, with_class = of_image.counts(steps), len(of_image.classes) > 0
        sums.add("counts", group, counts)
        sums.add("blank", group, np.zeros_like(counts[0]) if with_class else counts[0])
        if steps is None:
            sums.add("histograms", group, of_image.histogram)
            sums.add("coverage", group, image_coverage(of_image))
        image_scores.append(miou(counts).astype(np.float32))
        has_class.append(with_class)
    names, image_scores, has_class = tuple(sorted(scores)), np.stack(image_scores), np.array(has_class)
    return Sweep(names, **sums.arrays, image_scores=image_scores, has_class=has_class, thresholds=DEFAULT_THRESHOLDS)


class _Sums:
    """Arrays [G, ...] of sums over the images of each group, by name."""

    def __init__(self, num_groups: int):
        self.num_groups = num_groups
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, name: str, group: int, values: np.ndarray) -> None:
        if name not in self.arrays:
            self.arrays[name] = np.zeros((self.num_groups, *values.shape), dtype=np.int64)
        self.arrays[name][group] += values


def image_coverage(scores: MapScores) -> np.ndarray:
    """Covered and all pixels of an image's objects by distance and, last, of its background: int64 [T, 2, D+1].

    They are of the maps of all steps, at every threshold. Each class is one object.
    """
    levels = np.vstack([scores.covered.sum(axis=0), scores.background[-1].sum(axis=0)])  # [D+1, T+1]
    covered = np.stack([foreground(levels, index) for index in range(len(DEFAULT_THRESHOLDS))])
    pixels = np.append(scores.distances.sum(axis=0), scores.true[0])
    return np.stack(np.broadcast_arrays(covered, pixels), axis=1)


def summary(sweep: Sweep, index: int) -> dict[str, float]:
    """mIoU, precision, recall, over- and under-activation at a threshold index: means over the classes with a score."""
    return mean_scores(sweep.counts[:, index].sum(axis=0))


def extremes(values: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` largest values, decreasing, then of the `count` smallest values, increasing; without nan."""
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    return [*order[::-1][:count], *order[:count]]
