"""The shares of objects and background that masks cover; for objects, by the distance from the peak of the CAM.

Each class of each image counts as one object. The distances are those of `map_scores.DISTANCE_EDGES`; D is their number.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.protocol import RULES, Resampled, check_paired
from ribstudy.evaluation.statistics import Estimate


@dataclass(frozen=True)
class Coverage:
    """Shares of pixels that predicted masks cover, or differences of them, as means over the trainings.

    Args:
        objects: share of the objects' pixels that are found, D estimates by their distance from the peak of their CAM; nan if
            no object reaches that far.
        background: share of the true background's pixels that are predicted as an object.
    """

    objects: list[Estimate]
    background: Estimate


def coverage(drawn: Resampled) -> dict[str, Coverage]:
    """The coverage of the masks of a method, by rule."""
    return {rule: _estimates(_shares(drawn, rule), drawn.estimate) for rule in drawn.coverage}


def coverage_gain(first: Resampled, second: Resampled) -> dict[str, Coverage]:
    """The coverage by the second method minus that by the first, by each rule that both have; paired, see `protocol`.

    Raises ValueError if they are not of the same images, or numbers of trainings differ.
    """
    check_paired(first, second)
    rules = [rule for rule in RULES if rule in first.coverage and rule in second.coverage]
    return {rule: _estimates(_shares(second, rule) - _shares(first, rule), first.estimate) for rule in rules}


def _shares(drawn: Resampled, rule: str) -> np.ndarray:
    """[B+1, S, D+1]; nan without pixels."""
    covered, pixels = np.moveaxis(drawn.coverage[rule], -2, 0)
    return np.divide(covered, pixels, out=np.full(covered.shape, np.nan), where=pixels > 0)


def _estimates(shares: np.ndarray, estimate: Callable[[np.ndarray], Estimate]) -> Coverage:
    *objects, background = (estimate(shares[..., place]) for place in range(shares.shape[-1]))
    return Coverage(objects, background)
