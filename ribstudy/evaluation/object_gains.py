"""The objects that gain from RIB: IoU of CAM and RIB for each class of each image, by object size and number of classes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ribstudy.evaluation.map_scores import MapScores, foreground
from ribstudy.evaluation.statistics import Estimate, bootstrap_mean, bootstrap_statistic

ByMethod = Mapping[str, Mapping[str, MapScores]]  # method -> image name -> scores


def gains_table(repetitions: Sequence[tuple[ByMethod, Mapping[str, int]]], names: Sequence[str]) -> pd.DataFrame:
    """A row for each class of each image; values are means over the repetitions.

    Each class of an image counts as one object. Columns: `image`, `class`, `size` (share of the image's pixels), `num_classes`,
    `first` and `second` (IoU of CAM and RIB), `gain` = second - first.

    Args:
        repetitions: for each seed the scores and the threshold indices of "CAM" and "RIB".
        names: the images.
    """
    rows = []
    for scores, thresholds in repetitions:
        for name in names:
            objects = object_rows(*((scores[method][name], thresholds[method]) for method in ("CAM", "RIB")))
            rows += [{"image": name, **row} for row in objects]
    table = pd.DataFrame(rows)
    table["gain"] = table["second"] - table["first"]
    return table.groupby(["image", "class"], sort=False, as_index=False).mean()


def object_rows(first: tuple[MapScores, int], second: tuple[MapScores, int]) -> list[dict[str, float]]:
    """A row for each class of an image that has a true pixel, from the scores and the threshold index of two methods.

    The IoU leaves out void pixels; `size` is the share of all pixels.
    """
    scores, _ = first
    sizes = scores.true[scores.classes + 1] / np.prod(scores.size)
    columns = (scores.classes.tolist(), sizes.tolist(), _object_ious(*first).tolist(), _object_ious(*second).tolist())
    return [
        {"class": key, "size": size, "num_classes": len(sizes), "first": of_first, "second": of_second}
        for key, size, of_first, of_second in zip(*columns, strict=True)
        if size
    ]


def _object_ious(scores: MapScores, threshold: int) -> np.ndarray:
    """The IoU of each class of an image at a threshold index, [n]; nan for a class without a true and a predicted pixel."""
    hits, predicted = (foreground(levels[-1], threshold) for levels in (scores.hits, scores.predicted))
    with np.errstate(invalid="ignore"):
        return hits / (predicted + scores.true[scores.classes + 1] - hits)


def rank_correlation(table: pd.DataFrame, x: str, y: str) -> Estimate:
    """Spearman's correlation of two columns, with a bootstrap interval over images (column `image`)."""
    from scipy.stats import spearmanr  # takes a second to import, and most importers of this module need no correlation

    groups = [group[[x, y]].to_numpy() for _, group in table.groupby("image", sort=False)]

    def correlation(drawn: np.ndarray) -> float:
        values = np.concatenate([groups[index] for index in drawn])
        if len(np.unique(values[:, 0])) < 2 or len(np.unique(values[:, 1])) < 2:
            return float("nan")
        return spearmanr(values[:, 0], values[:, 1]).statistic

    return bootstrap_statistic(correlation, len(groups))


def binned_means(table: pd.DataFrame, x: str, y: str, *, num_bins: int = 4) -> pd.DataFrame:
    """The mean of y in bins of x with about the same number of rows: columns `x` (mean), `mean`, `low`, `high`, `n`.

    If x has at most `num_bins` different values, each value is a bin.
    """
    few = table[x].nunique() <= num_bins
    bins = table[x] if few else pd.qcut(table[x], num_bins, labels=False, duplicates="drop")
    rows = []
    for _, group in table.groupby(bins):
        found = bootstrap_mean(group.groupby("image")[y].mean().to_numpy())
        rows.append({"x": group[x].mean(), "mean": found.value, "low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(rows, dtype=float)
