"""From the stored maps of an image to its mask."""

import numpy as np

from ribstudy.masks.labelling import mask_of
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps

AnyMaps = StoredMaps | WalkedMaps


def predicted_mask(maps: AnyMaps, threshold: float) -> np.ndarray:
    """The mask of an image at a background threshold in 0..1, uint8 [H, W] (see `mask_of`)."""
    return mask_of(maps.normalized(), maps.classes, threshold)
