"""The share of the background that masks assign to a class, with and without a background that is tied to the class.

Shapes: N images, K maps of an adaptation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.method.stored_maps import StoredMaps


def painted_share(predicted: np.ndarray, truth: np.ndarray, class_index: int) -> float:
    """The share of the true background's pixels [H, W] that are predicted as a class; nan if there is no background."""
    background = truth == 0
    return float((predicted[background] == class_index + 1).mean()) if background.any() else float("nan")


@dataclass(frozen=True)
class Leak:
    """Shares of the background that are predicted as a class.

    Args:
        cam: [N], of the first of RIB's maps, which is the CAM, at the CAM's threshold.
        rib: [N, K], of the sums of the first 1, 2, ... maps, all at RIB's threshold.
    """

    cam: np.ndarray
    rib: np.ndarray

    @property
    def extra(self) -> np.ndarray:
        """[N]: the share with all of RIB's maps minus the CAM's share, each at its own threshold."""
        return self.rib[:, -1] - self.cam

    @property
    def growth(self) -> np.ndarray:
        """[N]: the share with all of RIB's maps minus the share with only the first map, at the same threshold."""
        return self.rib[:, -1] - self.rib[:, 0]


def measure_leak(
    dataset: Dataset, stored: Mapping[str, StoredMaps], names: Sequence[str], class_index: int, *, cam: float, rib: float
) -> Leak:
    """The share of the background that is predicted as a class, in the images `names`.

    Args:
        stored: RIB's maps by image name. After an early end the last value is repeated, up to the longest adaptation.
        cam, rib: thresholds in 0..1.
    """
    num_maps = max(maps.num_steps for maps in stored.values())
    first, courses = [], []
    for name in names:
        maps, truth = stored[name], dataset.mask(name)
        first.append(painted_share(predicted_mask(maps, cam, steps=1), truth, class_index))
        steps = range(1, maps.num_steps + 1)
        course = [painted_share(predicted_mask(maps, rib, steps=step), truth, class_index) for step in steps]
        courses.append(course + course[-1:] * (num_maps - len(course)))
    return Leak(np.array(first), np.array(courses))
