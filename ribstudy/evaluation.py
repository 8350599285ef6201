"""How well stored maps find the objects: over all thresholds, image by image, and from the peak of the map outwards."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from ribstudy.cam import stored_seed_maps
from ribstudy.datasets import Dataset
from ribstudy.metrics import (
    DEFAULT_THRESHOLDS,
    Comparison,
    Sweep,
    bootstrap_comparison,
    coverage_by_distance,
    threshold_sweep,
)

Units = Mapping[str, dict[str, np.ndarray]]  # image name -> what a stage stored of it

DISTANCE_EDGES = np.linspace(0, 1.25, 11)  # in units of the object's size; the last bin is open


def sweep_units(dataset: Dataset, units: Units, *, steps: int | None = None) -> Sweep:
    """The threshold sweep of every stored image against its mask; RIB's maps summed over the first `steps` (None: all)."""
    num_classes = len(dataset.class_names) + 1
    counts = [
        threshold_sweep(stored_seed_maps(unit, steps=steps), unit["keys"], dataset.mask(name), num_classes=num_classes)
        for name, unit in units.items()
    ]
    return Sweep(tuple(units), np.stack(counts), DEFAULT_THRESHOLDS)


def compare(first: Sweep, second: Sweep, *, at: tuple[int, int] | None = None) -> Comparison:
    """Two sweeps of the same images, at one threshold index each, or (None) at the best one of each on these images."""
    if first.names != second.names:
        raise ValueError("the two sweeps are not of the same images")
    if at is None:
        return bootstrap_comparison(first.counts, second.counts)
    return bootstrap_comparison(first.counts[:, at[0]], second.counts[:, at[1]])


def summary(sweep: Sweep, index: int) -> dict[str, float]:
    """mIoU, precision, recall, over- and under-activation at a threshold: means over the classes that have a value."""
    scores = {name: float(np.nanmean(values[index])) for name, values in sweep.scores().items()}
    return {"miou": scores.pop("iou"), **scores}


def average_precision(labels: np.ndarray, logits: np.ndarray, class_names: Sequence[str]) -> pd.Series:
    """Average precision of each class from labels and logits [N, C]; nan for a class that no image has."""
    values = [average_precision_score(y, s) if y.any() else np.nan for y, s in zip(labels.T, logits.T, strict=True)]
    return pd.Series(values, index=list(class_names), name="average precision")


def coverage_curves(dataset: Dataset, cam: Units, predicted: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Share of an object's pixels that are found, by their distance from the peak of its CAM.

    Each class of each image counts as one object. `predicted` holds for each method and image name the predicted mask [H, W]
    (0 background, k + 1 class k). The peak is the CAM's for all methods, so that the curves share their distances.

    Returns:
        method -> share [len(DISTANCE_EDGES)], nan where no object reaches that far.
    """
    totals = {method: np.zeros((2, len(DISTANCE_EDGES)), dtype=np.int64) for method in predicted}
    for name, unit in cam.items():
        maps, truth = stored_seed_maps(unit), dataset.mask(name)
        for class_map, key in zip(maps, unit["keys"], strict=True):
            peak = np.unravel_index(class_map.argmax(), class_map.shape)
            region = truth == key + 1
            for method, masks in predicted.items():
                totals[method] += np.stack(coverage_by_distance(region, masks[name] == key + 1, peak, DISTANCE_EDGES))
    with np.errstate(invalid="ignore"):
        return {method: covered / everything for method, (covered, everything) in totals.items()}


def predicted_mask(unit: dict[str, np.ndarray], threshold: float, *, steps: int | None = None) -> np.ndarray:
    """The seed of a stored image, int64 [H, W]: k + 1 where class k has the largest map and is above the threshold, else 0."""
    maps = stored_seed_maps(unit, steps=steps)
    if not len(maps):
        return np.zeros(maps.shape[1:], dtype=np.int64)
    return np.where(maps.max(axis=0) > threshold, unit["keys"][maps.argmax(axis=0)] + 1, 0)


def background_share(dataset: Dataset, predicted: Mapping[str, np.ndarray]) -> float:
    """Share of the true background's pixels that the predicted masks (image name -> [H, W]) paint as some object."""
    painted = background = 0
    for name, mask in predicted.items():
        true_background = dataset.mask(name) == 0
        painted += int((mask[true_background] > 0).sum())
        background += int(true_background.sum())
    return painted / background


def num_steps(units: Units) -> int:
    """How many maps the longest adaptation summed."""
    return max(len(unit["iterates_0"]) for unit in units.values() if len(unit["keys"]))


def steps_table(dataset: Dataset, units: Units, *, threshold: int | None = None) -> pd.DataFrame:
    """Scores of RIB's maps summed over the first 1, 2, ... steps, at one threshold index or (None) at each sum's best."""
    rows = []
    for steps in range(1, num_steps(units) + 1):
        sweep = sweep_units(dataset, units, steps=steps)
        index = sweep.best() if threshold is None else threshold
        rows.append({"steps": steps, "threshold": sweep.thresholds[index], **summary(sweep, index)})
    return pd.DataFrame(rows)
