"""From the raw class maps of several views, scales and steps to one map in 0..1 for each class.

Shapes: C classes, n of them in the image, h_s x w_s positions at scale s, H x W pixels.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

EPSILON = 1e-5  # in the normalisation by the maximum (reference code)
PERCENTILE = 99


def merge_mirrored(maps: Tensor) -> Tensor:
    """Signed maps [2, C, h, w] of a [plain, mirrored] view -> [C, h, w]: ReLU of both, the second mirrored back, summed."""
    plain, mirrored = maps.relu()
    return plain + mirrored.flip(-1)


def resize_sum(maps: Iterable[Tensor], size: tuple[int, int], *, stride: int) -> Tensor:
    """Maps [n, h_s, w_s] of several scales, resized and summed, for an image of `size` (H, W).

    Stride 4 gives [n, (H-1)//4+1, (W-1)//4+1]. Stride 1 gives [n, H, W]: resized to the next multiple of 16 and cropped.
    Bilinear, as the reference code does it.
    """
    step = 16 if stride == 1 else stride
    height, width = ((length - 1) // step + 1 for length in size)
    target = (height * 16, width * 16) if stride == 1 else (height, width)
    total = sum(interpolate(m[None].float(), target, mode="bilinear", align_corners=False)[0] for m in maps)
    return total[:, : size[0], : size[1]] if stride == 1 else total


def normalize_by_maximum(maps: Tensor) -> Tensor:
    """[n, h, w] not negative -> in 0..1: each map divided by (its maximum + 1e-5); an empty map stays 0."""
    return maps / (maps.amax(dim=(1, 2), keepdim=True) + EPSILON)


def normalize_by_range(maps: Tensor) -> Tensor:
    """[n, h, w] -> in 0..1: each map's least value becomes 0, its largest 1 (but for 1e-5); a constant map becomes 0."""
    return normalize_by_maximum(maps - maps.amin(dim=(1, 2), keepdim=True))


def normalize_by_percentile(maps: Tensor) -> Tensor:
    """[n, h, w] not negative -> in 0..1: each map divided by (its 99th percentile + 1e-5), cut at 1: a lone peak has no say."""
    peak = torch.as_tensor(np.percentile(maps.numpy(force=True), PERCENTILE, axis=(1, 2), keepdims=True)).to(maps)
    return (maps / (peak + EPSILON)).clamp(max=1)


NORMALIZATIONS = {"maximum": normalize_by_maximum, "range": normalize_by_range, "percentile": normalize_by_percentile}


def aggregate(iterates: Tensor, how: str = "raw") -> Tensor:
    """Maps [K, n, h, w] of K steps -> [n, h, w]: their sum, that of the maps each over its maximum, or the last alone."""
    if how == "last":
        return iterates[-1]
    return (torch.stack([normalize_by_maximum(maps) for maps in iterates]) if how == "normalized" else iterates).sum(dim=0)


def seed_maps(
    maps: Iterable[Tensor | np.ndarray], size: tuple[int, int], *, stride: int = 1, normalization: str = "maximum"
) -> Tensor:
    """What is thresholded into a seed: `resize_sum`, then one of `NORMALIZATIONS`; [n, H, W] at stride 1."""
    return NORMALIZATIONS[normalization](resize_sum([torch.as_tensor(m) for m in maps], size, stride=stride))
