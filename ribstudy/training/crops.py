"""Random crops of images together with their masks, the examples of the affinity network and of DeepLab."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import Normalization, masked_crop


def masked_crops(
    dataset: Dataset,
    names: Sequence[str],
    mask_of: Callable[[str], np.ndarray],
    indices: Sequence[int],
    rngs: Sequence[np.random.Generator],
    *,
    draw_factor: Callable[[np.random.Generator], float],
    crop_size: int,
    normalization: Normalization,
) -> tuple[Tensor, Tensor]:
    """Crops of the images `names[index]`, float32 [B, 3, s, s], and of their masks, int64 [B, s, s].

    mask_of(name) gives a mask, uint8 [H, W]. Each image has its own random generator, from which `draw_factor` draws the factor
    that image and mask are resized by.
    """
    pairs = [
        masked_crop(
            dataset.image(names[index]),
            mask_of(names[index]),
            factor=draw_factor(rng),
            crop_size=crop_size,
            normalization=normalization,
            rng=rng,
        )
        for index, rng in zip(indices, rngs, strict=True)
    ]
    images, masks = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return images, masks
