"""From the maps of an image to its mask."""

import numpy as np

from ribstudy.datasets.pictures import MAX_CLASSES
from ribstudy.masks.crf import refine_labels
from ribstudy.masks.settings import CrfSettings


def mask_of(scores: np.ndarray, keys: np.ndarray, threshold: float) -> np.ndarray:
    """The mask at a threshold, uint8 [H, W]: k + 1 if class k has the largest score and it is above the threshold, else 0.

    scores [n, H, W] in 0..1 of the classes `keys` [n]. A score equal to the threshold is background, and n = 0 gives background
    everywhere.

    Raises ValueError as `mask_values` does.
    """
    if not len(keys):
        return np.zeros(scores.shape[1:], dtype=np.uint8)
    classes = mask_values(keys)[scores.argmax(axis=0)]
    # As when maps are scored (`metrics.largest_and_level`), the threshold is not rounded to the float32 of the scores.
    return np.where(scores.max(axis=0) > np.float64(threshold), classes, 0).astype(np.uint8)


def mask_values(keys: np.ndarray) -> np.ndarray:
    """The values of the 0-based classes `keys` in a mask, int64 [n]. Raises ValueError for a class without a value."""
    keys = np.asarray(keys, np.int64)
    if len(keys) and not 0 <= keys.min() <= keys.max() < MAX_CLASSES:
        raise ValueError(f"classes {keys.tolist()}: a mask has values for classes 0 to {MAX_CLASSES - 1}")
    return keys + 1


def refined_mask(image: np.ndarray, mask: np.ndarray, settings: CrfSettings) -> np.ndarray:
    """The mask, uint8 [H, W], refined by the seed CRF over the background and the classes in the mask."""
    values = np.union1d([0], mask)
    labels = np.searchsorted(values, mask)
    return values[refine_labels(image, labels, len(values), **settings.model_dump())].astype(np.uint8)
