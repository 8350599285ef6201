"""From the raw class maps of several views, scales and steps to one map in 0..1 for each class.

Shapes: C classes, n of them in the image, h_s x w_s positions at scale s, H x W pixels.

Functions import torch themselves, because this takes seconds, and stored maps can be found and listed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-5  # in the normalisation by the maximum (reference code)
PERCENTILE = 99


def merge_mirrored(maps: Tensor) -> Tensor:
    """Signed maps [2, C, h, w] of the views [plain, mirrored] -> [C, h, w]: ReLU of both, mirrored back, and summed."""
    plain, mirrored = maps.relu()
    return plain + mirrored.flip(-1)


def resize_sum(maps: Iterable[Tensor], size: tuple[int, int], *, stride: int) -> Tensor:
    """Resizes maps of several scales to the same size and sums them; bilinear, as in the reference code.

    Args:
        maps: per scale [n, h_s, w_s].
        size: (H, W) of the image.
        stride: 1 or 4.

    Returns:
        Stride 4: [n, (H-1)//4+1, (W-1)//4+1]. Stride 1: [n, H, W], resized to the next multiple of 16 and cropped.
    """
    from torch.nn.functional import interpolate

    step = 16 if stride == 1 else stride
    height, width = ((length - 1) // step + 1 for length in size)
    target = (height * 16, width * 16) if stride == 1 else (height, width)
    total = sum(interpolate(m[None].float(), target, mode="bilinear", align_corners=False)[0] for m in maps)
    return total[:, : size[0], : size[1]] if stride == 1 else total


def normalize_by_maximum(maps: Tensor) -> Tensor:
    """Non-negative [n, h, w] -> 0..1: each map divided by (its maximum + 1e-5); a map of zeros stays 0."""
    return maps / (maps.amax(dim=(1, 2), keepdim=True) + EPSILON)


def normalize_by_range(maps: Tensor) -> Tensor:
    """[n, h, w] -> 0..1: the minimum of each map becomes 0, its maximum almost 1 (see EPSILON); a constant map becomes 0."""
    return normalize_by_maximum(maps - maps.amin(dim=(1, 2), keepdim=True))


def normalize_by_percentile(maps: Tensor) -> Tensor:
    """Non-negative [n, h, w] -> 0..1: each map divided by (its 99th percentile + 1e-5), clipped at 1; ignores a single peak."""
    import torch

    peak = torch.as_tensor(np.percentile(maps.numpy(force=True), PERCENTILE, axis=(1, 2), keepdims=True)).to(maps)
    return (maps / (peak + EPSILON)).clamp(max=1)


NORMALIZATIONS = {"maximum": normalize_by_maximum, "range": normalize_by_range, "percentile": normalize_by_percentile}


def _sum_of_normalized(steps: Tensor) -> Tensor:
    import torch

    return torch.stack([normalize_by_maximum(maps) for maps in steps]).sum(dim=0)


AGGREGATIONS = {"raw": lambda steps: steps.sum(dim=0), "normalized": _sum_of_normalized, "last": lambda steps: steps[-1]}


def aggregate(steps: Tensor, how: str = "raw") -> Tensor:
    """Combines the maps [K, n, h, w] of K steps into [n, h, w].

    Args:
        how: "raw", their sum; "normalized", their sum after dividing each map by its maximum; "last", only the last step.

    Raises ValueError for another value of `how`.
    """
    return _chosen("aggregation", how, AGGREGATIONS)(steps)


def blurred(maps: np.ndarray, width: float) -> np.ndarray:
    """Maps [n, h, w], each blurred by a Gaussian of this standard deviation, in positions; 0: unchanged.

    Beyond its border, a map continues with the values at the border.
    """
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(maps, width, mode="nearest", axes=(1, 2)) if width > 0 else maps


def dilated(maps: np.ndarray, width: int) -> np.ndarray:
    """Maps [n, h, w], each position with the largest value of the square that reaches `width` positions in every direction."""
    from scipy.ndimage import maximum_filter

    side = 2 * width + 1
    return maximum_filter(maps, size=(1, side, side)) if maps.size else maps


def seed_maps(
    maps: Iterable[Tensor | np.ndarray], size: tuple[int, int], *, stride: int = 1, normalization: str = "maximum"
) -> Tensor:
    """The maps in 0..1 that a threshold turns into a seed: the scales summed by `resize_sum`, then normalised.

    Args:
        maps: per scale [n, h_s, w_s], not negative.
        size: (H, W) of the image.
        stride: 1 gives [n, H, W]; see `resize_sum`.
        normalization: one of `NORMALIZATIONS`.

    Raises ValueError for an unknown normalisation.
    """
    import torch

    normalize = _chosen("normalization", normalization, NORMALIZATIONS)
    return normalize(resize_sum([torch.as_tensor(m) for m in maps], size, stride=stride))


def _chosen(what: str, name: str, known: Mapping[str, Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    if name not in known:
        raise ValueError(f"{what} {name!r} is unknown; known: {', '.join(known)}")
    return known[name]
