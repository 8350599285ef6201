"""Power analysis: the images and trainings that a comparison needs, from a pilot with few of them.

The difference of two methods on N images with S trainings has a variance of three parts: what an image adds with every
training, what a training adds on every image, and the rest, which a training adds on single images:

    images / N + trainings / S + 3 rest / (N S)

The rest itself has the variance rest / (N S), but the intervals of the protocol count it three times (see `protocol`).
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from ribstudy.evaluation.protocol import FROM_VAL, Resampled, check_paired
from ribstudy.evaluation.statistics import DETECTABLE

COUNTS_OF_REST = 3  # of an interval of the protocol


@dataclass(frozen=True)
class VarianceParts:
    """The parts of the variance of a difference in mIoU, for one image and one training."""

    images: float
    trainings: float
    rest: float

    def standard_error(self, num_images: int, num_trainings: int) -> float:
        """The expected standard error of an `Estimate` of the difference.

        Args:
            num_trainings: at least 2, because the interval of a single training does not include the part of trainings.
        """
        of_images = (self.images + COUNTS_OF_REST * self.rest / num_trainings) / num_images
        return sqrt(of_images + self.trainings / num_trainings)

    def detectable(self, num_images: int, num_trainings: int) -> float:
        """The difference that the design tells from zero with a power of 80 % (`Estimate.detectable`)."""
        return DETECTABLE * self.standard_error(num_images, num_trainings)

    def images_for(self, effect: float, num_trainings: int) -> int | None:
        """The smallest number of images with which an effect is detectable; None if no number of images suffices."""
        allowed = (effect / DETECTABLE) ** 2 - self.trainings / num_trainings
        if allowed <= 0:
            return None
        return max(1, ceil((self.images + COUNTS_OF_REST * self.rest / num_trainings) / allowed))


def variance_parts(first: Resampled, second: Resampled, *, rule: str = FROM_VAL) -> VarianceParts:
    """The parts of the variance of a difference in mIoU, from a pilot of N images and S trainings.

    With every training as it is, the bootstrap over images gives the covariances of the trainings' differences: their mean
    between trainings is images / N, and their mean within a training is (images + rest) / N. The variance between trainings is
    trainings + rest / N. Parts that would be negative are 0. The part of trainings from two or three of them is very uncertain.

    With thresholds from val, the part of images contains the variation of these thresholds too, as if the images for choices
    became more with the reported images.

    Raises ValueError if there are fewer than two trainings or images.
    """
    check_paired(first, second)
    differences = second.measured(rule) - first.measured(rule)  # [B+1, S]
    num_images, num_trainings = len(first.names), differences.shape[1]
    if num_images < 2 or num_trainings < 2:
        raise ValueError(f"{num_images} images and {num_trainings} trainings: a pilot needs at least two of each")
    covariances = np.cov(differences[1:], rowvar=False) * num_images / (num_images - 1)  # of means over N images
    within = covariances.diagonal().mean()
    shared = (covariances.sum() - covariances.trace()) / (num_trainings * (num_trainings - 1))
    shared = float(np.clip(shared, 0, within))
    rest = float(within) - shared
    between = float(differences[0].var(ddof=1))
    return VarianceParts(num_images * shared, max(0.0, between - rest), num_images * rest)
