"""Agreement of predicted and true masks: confusion matrix, scores by class, and all background thresholds in one pass.

Shapes: C classes, with the background as class 0; T thresholds; N images; H x W pixels. Void pixels of the truth are never
counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.datasets.pictures import VOID

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLDS = np.arange(0, 100) / 100


class ConfusionMatrix:
    """Counts of (true class, predicted class) pixels, collected image by image."""

    def __init__(self, num_classes: int):
        """num_classes: including the background."""
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes), dtype=np.int64)  # [true, predicted]

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Adds an image: two integer arrays of the same shape.

        Raises ValueError if the shapes differ or a class is not below `num_classes`.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
        counted = truth != VOID
        truth, prediction = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        for name, values in (("truth", truth), ("prediction", prediction)):
            if values.size and not 0 <= values.min() <= values.max() < self.num_classes:
                raise ValueError(f"{name} contains class {values.max()}; expected 0 to {self.num_classes - 1}")
        pairs = np.bincount(truth * self.num_classes + prediction, minlength=self.num_classes**2)
        self.counts += pairs.reshape(self.num_classes, self.num_classes)

    def summary(self) -> dict[str, float]:
        """mIoU, mean precision and mean recall over the classes in truth or prediction, and pixel accuracy."""
        hits = np.diag(self.counts)
        means = mean_scores(np.stack([hits, self.counts.sum(axis=0), self.counts.sum(axis=1)]))
        return {**means, "accuracy": float(hits.sum() / max(self.counts.sum(), 1))}


def class_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of each class from counts [..., 3, C+1] of hits, predicted and true pixels; nan where a score is undefined.

    iou, over- and under-activation are shares of the union and add up to 1: `over` is the part that is only predicted, `under`
    the part that is only true. A class that is predicted but not true has IoU 0, as in the reference code's evaluation.
    precision is nan without predicted pixels, recall is nan without true pixels.
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
    """[..., C+1] -> [...], the mean over the classes, leaving out nan; nan if all are nan (an image that is all void)."""
    known = ~np.isnan(values)
    return np.where(known.any(axis=-1), np.nansum(values, axis=-1) / np.maximum(known.sum(axis=-1), 1), np.nan)


def mean_scores(counts: np.ndarray) -> dict[str, float]:
    """Pixel counts [3, C+1] -> mIoU, over- and under-activation, precision, recall: means over the classes (`class_mean`)."""
    scores = {name: float(class_mean(values)) for name, values in class_scores(counts).items()}
    return {"miou": scores.pop("iou"), **scores}


def miou(counts: np.ndarray) -> np.ndarray:
    """[..., 3, C+1] pixel counts -> [...], the mean IoU over the classes in truth or prediction; nan if there are none.

    It is `class_mean` of the "iou" of `class_scores`, without the other scores: a bootstrap needs millions of them.
    """
    hits, predicted, true = np.moveaxis(counts, -2, 0)
    union = predicted + true - hits
    shown = union > 0
    total = np.divide(hits, union, out=np.zeros(union.shape), where=shown).sum(axis=-1)
    num_shown = shown.sum(axis=-1)
    return np.divide(total, num_shown, out=np.full(total.shape, np.nan), where=num_shown > 0)[()]


def threshold_sweep(
    maps: np.ndarray, keys: np.ndarray, truth: np.ndarray, *, num_classes: int, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> np.ndarray:
    """Pixel counts of one image at all background thresholds, in one pass over its pixels.

    The prediction at threshold t is the class with the largest map if that map is above t, else background (a tie is
    background). This equals an argmax with a constant background map in front, as the reference code evaluates seeds.

    Args:
        maps: [n, H, W] in 0..1 without nan, the maps of the image's classes.
        keys: [n], their class indices from 0 (class k is k + 1 in the truth).
        truth: [H, W], 0 background, 1..C classes, 255 void.
        num_classes: C + 1, including the background.
        thresholds: [T], increasing.

    Returns:
        int64 [T, 3, C+1]: hits, predicted and true pixels of each class. Counts of several images can be added.

    Raises:
        ValueError: the sizes of maps and truth differ, or a map contains nan.
    """
    levels = level_histograms(maps, keys, truth, thresholds=thresholds)
    return level_counts(levels, keys, np.bincount(truth[truth != VOID], minlength=num_classes))


def level_histograms(
    maps: np.ndarray, keys: np.ndarray, truth: np.ndarray, *, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> np.ndarray:
    """The pixels of one image by the class of their largest map and by level.

    The level of a pixel is the number of thresholds below its largest map: it is foreground at thresholds[:level]. Arguments
    and errors: see `threshold_sweep`.

    Returns:
        int64 [3, n, T+1]: all pixels without void, those whose true class is the map's, and those that are true background.
    """
    if maps.shape[1:] != truth.shape:
        raise ValueError(f"maps {maps.shape} and truth {truth.shape} differ in size")
    if np.isnan(maps).any():
        raise ValueError("a map contains nan, which cannot be compared with a threshold")
    shape = (len(keys), len(thresholds) + 1)
    if not len(keys):
        return np.zeros((3, *shape), dtype=np.int64)
    known = truth != VOID
    true_class = truth[known].astype(np.int64)
    largest, level = largest_and_level(maps, known, thresholds=thresholds)
    cells = largest * shape[1] + level
    parts = (cells, cells[np.asarray(keys)[largest] + 1 == true_class], cells[true_class == 0])
    return np.stack([np.bincount(part, minlength=shape[0] * shape[1]).reshape(shape) for part in parts])


def largest_and_level(
    maps: np.ndarray, where: np.ndarray, *, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> tuple[np.ndarray, np.ndarray]:
    """The index of the largest of the maps [n, H, W] and the level, at each of the P pixels `where` [H, W]: int [P] each."""
    scores = np.stack([class_map[where] for class_map in maps])  # maps[:, where] would put the classes innermost: slow
    return scores.argmax(axis=0), np.searchsorted(thresholds, scores.max(axis=0), side="left")


def level_counts(levels: np.ndarray, keys: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The result of `threshold_sweep`, from `level_histograms` and the true pixels [C+1] of each class."""
    predicted, hits, background = levels[..., :0:-1].cumsum(axis=-1)[..., ::-1]  # [n, T] each: pixels of a level above i
    counts = np.zeros((predicted.shape[1], 3, len(true)), dtype=np.int64)
    columns = np.asarray(keys, dtype=np.int64) + 1
    counts[:, 0, columns], counts[:, 1, columns], counts[:, 2] = hits.T, predicted.T, true
    counts[:, 0, 0] = true[0] - background.sum(axis=0)
    counts[:, 1, 0] = true.sum() - predicted.sum(axis=0)
    return counts


def average_precision(labels: np.ndarray, logits: np.ndarray, class_names: Sequence[str]) -> pd.Series:
    """Average precision of each class from labels and logits [N, C]; nan for a class that no image has."""
    import pandas as pd  # takes a second to import, as does sklearn, and only one chapter needs them
    from sklearn.metrics import average_precision_score

    values = [average_precision_score(y, s) if y.any() else np.nan for y, s in zip(labels.T, logits.T, strict=True)]
    return pd.Series(values, index=list(class_names), name="average precision")
