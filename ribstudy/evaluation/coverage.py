"""The shares of objects and background that masks cover; for objects, by the distance from the peak of the CAM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.passes import in_chunks, naming_image, scored_names
from ribstudy.evaluation.predictions import AnyMaps, predicted_mask

ByMethod = Mapping[str, Mapping[str, AnyMaps]]  # method -> image name -> maps


@dataclass(frozen=True)
class Coverage:
    """Shares of pixels that predicted masks cover, by method.

    Args:
        objects: share of the objects' pixels that are found, [len(DISTANCE_EDGES)] by their distance from the peak of their
            CAM; nan if no object reaches that far.
        background: share of the true background's pixels that are predicted as an object.
    """

    objects: dict[str, np.ndarray]
    background: dict[str, float]


def measure_coverage(dataset: Dataset, stored: ByMethod, thresholds: Mapping[str, float], *, processes: int = 1) -> Coverage:
    """The coverage of the masks that each method predicts at its threshold; one of the methods is "CAM".

    Each class of each image counts as one object. All methods use the distances from the CAM's peak.
    """
    names = scored_names(dataset, stored["CAM"])
    counts = sum(in_chunks(partial(_coverage_chunk, dataset, stored, thresholds), names, processes))
    with np.errstate(invalid="ignore"):
        shares = counts[:, 0] / counts[:, 1]
    return Coverage(dict(zip(stored, shares[:, :-1], strict=True)), dict(zip(stored, shares[:, -1], strict=True)))


def _coverage_chunk(dataset: Dataset, stored: ByMethod, thresholds: Mapping[str, float], names: list[str]) -> np.ndarray:
    """Covered and all pixels of the objects by distance, and, last, of the background: int64 [methods, 2, bins + 1]."""
    counts = np.zeros((len(stored), 2, len(DISTANCE_EDGES) + 1), dtype=np.int64)
    for name in names:
        with naming_image(name):
            truth = dataset.mask(name)
            of_image = {method: maps[name] for method, maps in stored.items()}
            masks = [predicted_mask(maps, thresholds[method]) for method, maps in of_image.items()]
            counts[..., :-1] += _found(of_image["CAM"], truth, masks)
            background = truth == 0
            counts[..., -1] += [[(mask[background] > 0).sum(), background.sum()] for mask in masks]
    return counts


def _found(cam: AnyMaps, truth: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """Covered and all pixels of an image's objects by their distance from the peak of their CAM, int64 [masks, 2, bins]."""
    found = np.zeros((len(masks), 2, len(DISTANCE_EDGES)), dtype=np.int64)
    for class_map, index in zip(cam.normalized(), cam.classes, strict=True):
        peak = np.unravel_index(class_map.argmax(), class_map.shape)
        found += [coverage_by_distance(truth == index + 1, mask == index + 1, peak, DISTANCE_EDGES) for mask in masks]
    return found


def coverage_by_distance(region: np.ndarray, predicted: np.ndarray, peak: Sequence[int], edges: Sequence[float]) -> np.ndarray:
    """The numbers of covered and of all pixels of an object, by the distance from the peak of its map.

    Args:
        region, predicted: bool [H, W], the object's pixels and the pixels predicted as its class.
        peak: row and column.
        edges: increasing, of bins of the distance in units of the object's size (square root of its area); the last bin is
            open.

    Returns:
        covered and all pixels of the region in each bin, int64 [2, len(edges)].
    """
    rows, columns = np.nonzero(region)
    distance = np.hypot(rows - peak[0], columns - peak[1]) / np.sqrt(max(len(rows), 1))
    bins = [*edges, np.inf]
    return np.stack([np.histogram(part, bins=bins)[0] for part in (distance[predicted[rows, columns]], distance)])
