"""The plain class activation map (CAM) of an image, the baseline of every other method (Zhou et al., CVPR 2016)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ribstudy.method.maps import merge_mirrored
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models.cam_net import CamNet


@torch.no_grad()
def compute_cam(net: CamNet, views: Sequence[Tensor], label: np.ndarray, size: tuple[int, int]) -> StoredMaps:
    """The maps of an image's classes at every scale, as a single step, with their signed versions.

    Args:
        net: a trained classifier.
        views: per scale [2, 3, h_s, w_s], the image and its mirror image.
        label: [C], nonzero for the image's classes.
        size: (H, W) of the image.
    """
    classes = np.flatnonzero(label)
    signed = [net(view.to(net.classifier.weight.device)) for view in views]
    return StoredMaps(
        classes,
        size,
        steps=tuple(merge_mirrored(maps)[classes][None].cpu().numpy() for maps in signed),
        signed=tuple(maps[0, classes].cpu().numpy() for maps in signed),
    )
