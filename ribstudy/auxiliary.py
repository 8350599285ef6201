"""The other images that each RIB step sees: images that share no class with the adapted one."""

import itertools
import zlib
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ribstudy.config import AuxiliarySettings
from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import Normalization, crop_batch


def disjoint_pool(labels: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Indices of the images [N, C] that share no class with `label` [C]."""
    return np.flatnonzero(~(labels.astype(bool) @ label.astype(bool)))


def auxiliary_batches(
    dataset: Dataset, name: str, label: np.ndarray, settings: AuxiliarySettings, normalization: Normalization, *, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches (images [B, 3, s, s], labels [B, C]) for the image `name`; they depend on the seed and the name alone.

    The pool is shuffled and gone through in order, again where it ends before the steps do (the reference code runs out).

    Raises ValueError where a batch is wanted and no image without the image's classes exists.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    pool = disjoint_pool(dataset.labels, label)
    if settings.batch_size and not len(pool):
        raise ValueError(f"{name}: every image of {dataset.split} shares a class with it, so there are no auxiliary images")
    order = rng.permutation(pool)
    position = 0
    while True:
        chosen = order[np.arange(position, position + settings.batch_size) % max(len(order), 1)]
        position += settings.batch_size
        yield crop_batch(
            dataset,
            chosen,
            itertools.repeat(rng),
            long_side=settings.long_side,
            crop_size=settings.crop_size,
            normalization=normalization,
        )
