"""Agreement of predicted and true masks: confusion matrix, all background thresholds in one pass, and what images say together.

Shapes: C classes and the background as class 0; T thresholds; N images in G groups; H x W pixels. Truth 255 is left out
everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

IGNORED = 255
DEFAULT_THRESHOLDS = np.arange(0, 100) / 100
DRAWS_AT_ONCE = 100  # bootstrap samples whose counts are in memory together


class ConfusionMatrix:
    """Counts of (true class, predicted class) pixels, collected image by image."""

    def __init__(self, num_classes: int):
        """num_classes: background included."""
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes), dtype=np.int64)  # [true, predicted]

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Adds an image: two integer arrays of the same shape.

        Raises ValueError where the shapes differ or a class lies outside the list.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
        counted = truth != IGNORED
        truth, prediction = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        for name, values in (("truth", truth), ("prediction", prediction)):
            if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
                raise ValueError(f"{name} holds class {values.max()}, but there are {self.num_classes} classes from 0 on")
        pairs = np.bincount(truth * self.num_classes + prediction, minlength=self.num_classes**2)
        self.counts += pairs.reshape(self.num_classes, self.num_classes)

    def summary(self) -> dict[str, float]:
        """mIoU, mean precision and mean recall over the classes that occur in truth or prediction, and pixel accuracy."""
        hits = np.diag(self.counts)
        means = mean_scores(np.stack([hits, self.counts.sum(axis=0), self.counts.sum(axis=1)]))
        return {**means, "accuracy": float(hits.sum() / max(self.counts.sum(), 1))}


def class_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of each class from counts [..., 3, C+1] of hits, predicted and true pixels; nan where a class has no say.

    iou, over and under activation share the union and add up to 1: over is the part of it that is predicted only, under the
    part that is true only. A class that only a prediction has counts as IoU 0 (the reference's evaluation). precision is nan
    without predicted pixels, recall without true ones.
    """
    hits, predicted, true = np.moveaxis(counts, -2, 0)
    union = predicted + true - hits
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "iou": hits / union,
            "over": (predicted - hits) / union,
            "under": (true - hits) / union,
            "precision": hits / predicted,
            "recall": hits / true,
        }


def class_mean(values: np.ndarray) -> np.ndarray:
    """[..., C+1] -> [...], the mean over the classes that have a value; nan where none has (an image that is all void)."""
    known = ~np.isnan(values)
    return np.where(known.any(axis=-1), np.nansum(values, axis=-1) / np.maximum(known.sum(axis=-1), 1), np.nan)


def mean_scores(counts: np.ndarray) -> dict[str, float]:
    """Pixel counts [3, C+1] -> mIoU, over and under activation, precision and recall: means over the classes with a value."""
    scores = {name: float(class_mean(values)) for name, values in class_scores(counts).items()}
    return {"miou": scores.pop("iou"), **scores}


def miou(counts: np.ndarray) -> np.ndarray:
    """[..., 3, C+1] pixel counts -> [...], the mean IoU over the classes that occur in truth or prediction."""
    return class_mean(class_scores(counts)["iou"])


def threshold_sweep(
    maps: np.ndarray, keys: np.ndarray, truth: np.ndarray, *, num_classes: int, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> np.ndarray:
    """Pixel counts of one image at all background thresholds, in one pass over its pixels.

    The prediction at threshold t is the class with the largest map where that map is above t, else background (so a tie is
    background): an argmax with a constant background map in front, as the reference code evaluates seeds.

    Args:
        maps: [n, H, W], the maps of the image's classes, in 0..1, without nan.
        keys: [n], their classes, from 0 (class k is k + 1 in the truth).
        truth: [H, W], 0 background, 1..C, 255 left out.
        num_classes: C + 1, background included.
        thresholds: [T], rising.

    Returns:
        int64 [T, 3, C+1]: hits, predicted and true pixels of each class. Counts of images add up.
    """
    if maps.shape[1:] != truth.shape:
        raise ValueError(f"maps {maps.shape} and truth {truth.shape} differ in size")
    if np.isnan(maps).any():
        raise ValueError("a map holds nan: it has no place on the scale of thresholds")
    counted = truth != IGNORED
    true_class = truth[counted].astype(np.int64)
    if len(keys):
        scores = np.stack([class_map[counted] for class_map in maps])  # maps[:, counted] has its classes innermost: slow
        foreground = np.asarray(keys, dtype=np.int64)[scores.argmax(axis=0)] + 1
        level = np.searchsorted(thresholds, scores.max(axis=0), side="left")  # foreground at thresholds[:level]
    else:
        foreground = np.zeros_like(true_class)
        level = np.zeros_like(true_class)
    num_levels = len(thresholds)
    true = np.bincount(true_class, minlength=num_classes)
    predicted = _foreground_counts(foreground, level, num_classes, num_levels)
    hit = foreground == true_class
    hits = _foreground_counts(foreground[hit], level[hit], num_classes, num_levels)
    # Background is predicted where the level is not above the threshold's index.
    background_level = np.bincount(level[true_class == 0], minlength=num_levels + 1)
    hits[:, 0] = np.cumsum(background_level)[:num_levels]
    predicted[:, 0] = true_class.size - predicted[:, 1:].sum(axis=1)
    return np.stack([hits, predicted, np.broadcast_to(true, hits.shape)], axis=1)


def _foreground_counts(classes: np.ndarray, level: np.ndarray, num_classes: int, num_levels: int) -> np.ndarray:
    """[T, C+1]: pixels of each class whose level is above the threshold's index."""
    table = np.bincount(level * num_classes + classes, minlength=(num_levels + 1) * num_classes)
    table = table.reshape(num_levels + 1, num_classes)
    above = table[::-1].cumsum(axis=0)[::-1]  # pixels with level >= i
    return above[1:].copy()


@dataclass(frozen=True)
class Sweep:
    """The sweeps of a set of images, in memory that hardly grows with their number.

    names: of the N images.
    counts: [G, T, 3, C+1], as `threshold_sweep` gives them, summed over each group of images.
    blank: [G, 3, C+1], the part of `counts` that comes from images without a class; nothing is predicted in those.
    image_scores: [N, T], each image's mean IoU over the classes that occur in its truth or prediction.
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
        """Scores of each class, [T, C+1], of all images together."""
        return class_scores(self.counts.sum(axis=0))

    def miou(self) -> np.ndarray:
        """[T]."""
        return miou(self.counts.sum(axis=0))

    def best(self) -> int:
        """Index of the threshold with the best mIoU on these images."""
        return int(self.miou().argmax())

    def labelled(self) -> "Sweep":
        """The sweep of those images alone that have a class; groups of which nothing is left are gone."""
        if self.has_class.all():
            return self
        counts = self.counts - self.blank[:, None]
        kept = counts.any(axis=(1, 2, 3))
        return Sweep(
            names=tuple(compress(self.names, self.has_class)),
            counts=counts[kept],
            blank=np.zeros_like(self.blank[kept]),
            image_scores=self.image_scores[self.has_class],
            has_class=self.has_class[self.has_class],
            thresholds=self.thresholds,
        )


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (None where there is none) and the number of independent pieces it rests on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def leaves_zero_out(self) -> bool:
        """Whether the interval, which must be there, does not hold zero."""
        return self.low > 0 or self.high < 0

    def in_words(self) -> str:
        """Of a difference: with its sign, and its interval, which must be there."""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class Comparison:
    """mIoU of two results on the same images, and second - first, with 95 % intervals."""

    first: Estimate
    second: Estimate
    difference: Estimate


def bootstrap_comparison(
    first: np.ndarray, second: np.ndarray, *, num_images: int | None = None, num_samples: int = 2000, seed: int = 0
) -> Comparison:
    """Compares two results on the same images, with paired bootstrap intervals over images, or over groups of them.

    A sample draws G groups with replacement, the same for both results, and takes the mIoU of their summed counts. The
    classifier is held fixed: its training is not part of the interval.

    Groups may stand for their images where they say nothing of what is in these (`evaluation.sweep_units` divides the images
    by lot): then their sums are as independent of each other as the images, and a ratio of sums, such as the IoU, varies over
    drawn groups as it does over as many images drawn one by one. What is lost is precision of the interval: from 1,000
    groups its width is known to about 2 %.

    Args:
        first, second: counts of the same G groups, [G, 3, C+1] at one threshold each, or [G, T, 3, C+1] at all thresholds;
            then each takes the threshold that is best, anew in every sample, so that the interval includes that choice.
        num_images: how many images the groups hold, the n of the estimates; None: each group is one image.

    Raises ValueError where the shapes differ.
    """
    return bootstrap_over_seeds([first], [second], num_images=num_images, num_samples=num_samples, seed=seed)


def bootstrap_over_seeds(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    num_images: int | None = None,
    num_samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compares two results, each made with S seeds on the same images: means over the seeds, with paired two-way intervals.

    A sample draws G groups of images, the same for all seeds and both results, and S of the seeds, the same for both results;
    its value is the mean over the drawn seeds. A mean over S drawn out of S seeds varies by (S-1)/S of what a mean over S new
    ones does (half, of two), so its deviation from the mean over all S is widened by the root of S/(S-1).

    What few seeds can tell: the spread of two or three values is itself hardly known, and no draw leaves their range by much.
    The interval says whether a difference is larger than what these seeds differ by; it is no 95 % of all trainings. One seed,
    or seeds that agree, leave the interval over images (`bootstrap_comparison`).

    Args:
        first, second: by seed, counts as in `bootstrap_comparison`.
        num_images: the n of the estimates.

    Raises ValueError where shapes or numbers of seeds differ, or there is no seed.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} seeds: as many are needed on both sides, and at least one")
    shape = first[0].shape
    for counts in (*first, *second):
        if counts.shape != shape:
            raise ValueError(f"counts {shape} and {counts.shape} are not of the same images and classes")
    num_groups, num_seeds = len(first[0]), len(first)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=num_samples)
    draws = np.concatenate([np.ones((1, num_groups)), draws])  # the images themselves come first
    seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num_samples)
    seeds = np.concatenate([np.ones((1, num_seeds)), seeds]) / num_seeds
    distinct, which = np.unique(draws, axis=0, return_inverse=True)  # there are few ways to draw from few images
    values = [np.stack([_best_miou(distinct, counts)[which] for counts in side], axis=1) for side in (first, second)]  # [B, S]
    values = [*values, values[1] - values[0]]
    return Comparison(*(_estimate(_drawn_mean(of_seeds, seeds), num_images or num_groups) for of_seeds in values))


def _drawn_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values and weights [B, S] -> [B], the weighted means, their deviations from the plain ones widened."""
    num_seeds = values.shape[1]
    mean = values.mean(axis=1)
    widening = np.sqrt(num_seeds / (num_seeds - 1)) if num_seeds > 1 else 1
    return mean + widening * ((values * weights).sum(axis=1) - mean)


def _best_miou(draws: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """draws [B, G], counts [G, (T,) 3, C+1] -> [B]."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    best = []
    for part in np.array_split(draws, -(-len(draws) // DRAWS_AT_ONCE)):
        summed = (part @ flat).reshape(len(part), *counts.shape[1:])
        best.append(miou(summed).reshape(len(part), -1).max(axis=1))
    return np.concatenate(best)


def _estimate(sample: np.ndarray, n: int) -> Estimate:
    low, high = np.quantile(sample[1:], [0.025, 0.975])
    return Estimate(float(sample[0]), float(low), float(high), n)


def coverage_by_distance(
    region: np.ndarray, predicted: np.ndarray, peak: tuple[int, int], edges: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """How much of an object is covered at each distance from the peak of its map.

    region, predicted: bool [H, W]; distances are in units of the object's size (square root of its area), binned by `edges`;
    the last bin is open.

    Returns:
        covered and all pixels of the region per bin, two int64 [len(edges)].
    """
    rows, columns = np.nonzero(region)
    distance = np.hypot(rows - peak[0], columns - peak[1]) / np.sqrt(max(len(rows), 1))
    bins = [*edges, np.inf]
    covered, _ = np.histogram(distance[predicted[rows, columns]], bins=bins)
    everything, _ = np.histogram(distance, bins=bins)
    return covered, everything
