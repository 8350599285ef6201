"""The rules that find a background threshold, for a sample of images or for many bootstrap samples at once.

Thresholds are indices of `DEFAULT_THRESHOLDS`. Shapes: C classes, with the background as class 0; T thresholds.
"""

import numpy as np

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, miou
from ribstudy.masks.threshold import UPPER_EDGES


def best_indices(counts: np.ndarray) -> np.ndarray:
    """The threshold with the best mIoU of summed counts, int [...]; the lowest of several. Needs masks.

    Args:
        counts: [..., T, 3, C+1], hits, predicted and true pixels.
    """
    return miou(counts).argmax(axis=-1)


def otsu_indices(histograms: np.ndarray) -> np.ndarray:
    """The threshold nearest to that of `masks.threshold.otsu`, int [...]; 0 if all values are in one bin. Needs no mask.

    With weight w, mean m and the total 1 and M, the variance between both sides is (m w - w M)^2 / (w (1 - w)).

    Args:
        histograms: [..., 256], sums of `masks.threshold.histogram_of`.
    """
    weights, moments = (np.cumsum(histograms * values, axis=-1, dtype=np.float64) for values in (1, UPPER_EDGES))
    total, moment = weights[..., -1:], moments[..., -1:]
    sides = weights * (total - weights)
    between = np.divide((moments * total - weights * moment) ** 2, sides, out=np.zeros_like(sides), where=sides > 0)
    edges = UPPER_EDGES[between.argmax(axis=-1)]
    return np.where(sides.any(axis=-1), np.abs(DEFAULT_THRESHOLDS - edges[..., None]).argmin(axis=-1), 0)
