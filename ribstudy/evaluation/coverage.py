"""The shares of objects and background that masks cover; for objects, by the distance from the peak of the CAM."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.map_scores import MapScores, foreground


@dataclass(frozen=True)
class Coverage:
    """Shares of pixels that predicted masks cover, by method.

    Args:
        objects: share of the objects' pixels that are found, [D] by their distance from the peak of their CAM
            (`map_scores.DISTANCE_EDGES`); nan if no object reaches that far.
        background: share of the true background's pixels that are predicted as an object.
    """

    objects: dict[str, np.ndarray]
    background: dict[str, float]


def measure_coverage(scores: Mapping[str, Mapping[str, MapScores]], thresholds: Mapping[str, int]) -> Coverage:
    """The coverage of the masks that each method predicts at its threshold.

    Each class of each image counts as one object.

    Args:
        scores: by method, the scores of the same images.
        thresholds: the threshold index of each method.

    Raises ValueError if the methods are not scored on the same images.
    """
    if len({frozenset(of_method) for of_method in scores.values()}) > 1:
        raise ValueError("the methods are not scored on the same images")
    shares = {method: _covered_shares(of_method, thresholds[method]) for method, of_method in scores.items()}
    objects = {method: of_method[:-1] for method, of_method in shares.items()}
    return Coverage(objects, {method: of_method[-1] for method, of_method in shares.items()})


def _covered_shares(scores: Mapping[str, MapScores], threshold: int) -> np.ndarray:
    """The covered share of the objects by distance and, last, of the background: [D + 1]."""
    covered, everything = sum(_covered(of_image, threshold) for of_image in scores.values())
    with np.errstate(invalid="ignore"):
        return covered / everything


def _covered(scores: MapScores, threshold: int) -> np.ndarray:
    """Covered and all pixels of an image's objects by distance and, last, of its background: int64 [2, D + 1]."""
    objects = [foreground(scores.covered, threshold).sum(axis=0), scores.distances.sum(axis=0)]
    background = [foreground(scores.background[-1], threshold).sum(), scores.true[0]]
    return np.column_stack([np.stack(objects), background])
