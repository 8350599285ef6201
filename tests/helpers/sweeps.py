"""Sweeps and mask scores from numbers that a test writes down or draws."""

from collections.abc import Sequence

import numpy as np

from ribstudy.evaluation.mask_scores import MaskScores
from ribstudy.evaluation.sweeps import Sweep


def counts_with_iou(ious: Sequence[float] | np.ndarray, *, size: int = 100) -> np.ndarray:
    """Counts [..., 3, 1] of objects of `size` pixels of one class, with these IoUs (all predicted pixels are hits)."""
    hits = np.round(size * np.asarray(ious)).astype(np.int64)
    return np.stack([hits, hits, np.full_like(hits, size)], axis=-1)[..., None]


def masks_with_iou(*ious: float, size: int = 100) -> MaskScores:
    """The scores of an image for each IoU."""
    return MaskScores(tuple(f"{place:04d}" for place in range(len(ious))), counts_with_iou(ious, size=size), np.zeros((1, 1)))


def sweep_of(counts: np.ndarray, **fields: np.ndarray) -> Sweep:
    """The sweep of images that all have a class; counts [N, T, 3, C+1]."""
    names, num_thresholds = tuple(f"{place:04d}" for place in range(len(counts))), counts.shape[1]
    image_scores, thresholds = np.zeros((len(names), num_thresholds), np.float32), np.arange(num_thresholds) / num_thresholds
    return Sweep(names, counts, np.zeros_like(counts[:, 0]), image_scores, np.ones(len(names), bool), thresholds, **fields)


def sweep_with_iou(ious: np.ndarray, *, size: int = 100) -> Sweep:
    """The sweep of images with one class that have these IoUs [N, T]."""
    return sweep_of(counts_with_iou(ious, size=size))
