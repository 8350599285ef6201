"""The share of the background that masks assign to a class, with and without a background that is tied to the class.

Shapes: N images, K steps of the longest adaptation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.map_scores import MapScores, foreground


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


def measure_leak(scores: Mapping[str, MapScores], names: Sequence[str], class_index: int, *, cam: int, rib: int) -> Leak:
    """The share of the background that is predicted as a class, in the images `names`.

    Args:
        scores: of RIB's maps, after every step. After an early end the last value is repeated, up to the longest adaptation.
        cam, rib: threshold indices.
    """
    num_steps = max(of_image.num_steps for of_image in scores.values())
    of_names = [scores[name] for name in names]
    courses = [painted_shares(of_image, class_index, rib) for of_image in of_names]
    return Leak(
        cam=np.array([painted_shares(of_image, class_index, cam)[0] for of_image in of_names]),
        rib=np.array([np.pad(course, (0, num_steps - len(course)), mode="edge") for course in courses]),
    )


def painted_shares(scores: MapScores, class_index: int, threshold: int) -> np.ndarray:
    """The share of the true background that is predicted as a class, after each step of one image: [K].

    It is 0 if the image does not show the class, and nan if it shows no background.
    """
    painted = foreground(scores.background, threshold)[:, scores.classes == class_index].sum(axis=1)
    with np.errstate(invalid="ignore"):
        return painted / scores.true[0]
