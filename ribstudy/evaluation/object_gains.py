"""The objects that gain from RIB: IoU of CAM and RIB for each class of each image, by object size and number of classes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.datasets.pictures import VOID
from ribstudy.evaluation.predictions import AnyMaps, predicted_mask
from ribstudy.evaluation.statistics import Estimate, bootstrap_mean, bootstrap_statistic

ByMethod = Mapping[str, Mapping[str, AnyMaps]]  # method -> image name -> maps


def gains_table(
    dataset: Dataset, repetitions: Sequence[tuple[ByMethod, dict[str, float]]], names: Sequence[str]
) -> pd.DataFrame:
    """A row for each class of each image; values are means over the repetitions.

    Columns: `image`, `class`, `size`, `num_classes`, `first` and `second` (IoU of CAM and RIB), `gain` = second - first.

    Args:
        repetitions: for each seed the stored maps and the thresholds of "CAM" and "RIB".
        names: the images.
    """
    rows = []
    for stored, thresholds in repetitions:
        for name in names:
            of_image = {method: stored[method][name] for method in ("CAM", "RIB")}
            masks = [predicted_mask(maps, thresholds[method]) for method, maps in of_image.items()]
            rows += [{"image": name, **row} for row in object_scores(dataset.mask(name), of_image["CAM"].classes, *masks)]
    table = pd.DataFrame(rows)
    table["gain"] = table["second"] - table["first"]
    return table.groupby(["image", "class"], sort=False, as_index=False).mean()


def object_scores(truth: np.ndarray, classes: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[dict[str, float]]:
    """A row for each class of an image: its share of the pixels `size`, and the IoU `first` and `second` of two masks [H, W].

    Each class of an image counts as one object. Void pixels are left out of the IoU.
    """
    known, rows = truth != VOID, []
    for value in np.asarray(classes) + 1:
        region = truth == value
        if not region.any():
            continue
        row = {"class": int(value) - 1, "size": float(region.mean()), "num_classes": len(classes)}
        for name, mask in (("first", first), ("second", second)):
            painted = (mask == value) & known
            row[name] = float((painted & region).sum() / (painted | region).sum())
        rows.append(row)
    return rows


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
