"""From the stored maps of an image to the mask that is scored."""

import numpy as np

from ribstudy.masks.labelling import mask_of
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps

AnyMaps = StoredMaps | WalkedMaps


def normalized_maps(maps: AnyMaps, steps: int | None = None) -> np.ndarray:
    """The maps in 0..1, float32 [n, H, W]; of `StoredMaps` after the first `steps` (None: all)."""
    return maps.normalized() if steps is None else maps.normalized(steps=steps)


def predicted_mask(maps: AnyMaps, threshold: float, *, steps: int | None = None) -> np.ndarray:
    """The mask of an image at a background threshold in 0..1, uint8 [H, W] (see `mask_of`)."""
    return mask_of(normalized_maps(maps, steps), maps.classes, threshold)
