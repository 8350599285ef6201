"""Gradient maps G_k and the High Gradient Ratio (paper, Section 3).

Shapes: N images of H x W pixels; L layers: one for each convolution, then the output before and after the last activation; T
thresholds (`THRESHOLDS`).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ribstudy.toy.data import REGIONS
from ribstudy.toy.network import LastActivation, ToyNet

NORMALIZATIONS = ("per_map", "common")
LAST_LAYERS = slice(-3, None)  # the last convolution, and the output before and after the last activation
THRESHOLDS = np.arange(1, 100) / 100  # of the High Gradient Ratio: every one that `toy.hgr_threshold` can have


def layer_names(depth: int) -> list[str]:
    """G1..G<depth> of the convolutions, and the output layer twice: before and after the last activation."""
    return [*(f"G{k}" for k in range(1, depth + 1)), f"G{depth + 1}_before", f"G{depth + 1}"]


def gradient_maps(net: ToyNet, images: Tensor, *, activation: LastActivation, batch_size: int = 32) -> np.ndarray:
    """G_k, the absolute gradient of the summed output of layer k with respect to the image: float32 [L, N, H, W].

    The output of a convolution is taken before normalisation and ReLU. The last two layers are the evidence for an 8
    (`LastActivation.evidence`) and the last activation. The activation is computed in double precision: in single precision,
    1 - sigmoid(y) is 0 for y >= 17.
    """
    return np.concatenate([_batch_gradient_maps(net, batch, activation) for batch in images.split(batch_size)], axis=1)


def _batch_gradient_maps(net: ToyNet, images: Tensor, activation: LastActivation) -> np.ndarray:
    images = images.detach().clone().requires_grad_()
    convolved, _, outputs = net.layers(images)
    evidence = activation.evidence(outputs)
    maps = []
    for values in (*convolved, evidence, activation.squash(evidence.double())):
        (gradient,) = torch.autograd.grad(values.sum(), images, retain_graph=True)
        maps.append(gradient[:, 0].abs().numpy())
    return np.stack(maps)


def normalize(maps: np.ndarray, *, normalization: str) -> np.ndarray:
    """[N, H, W] divided by the maximum of each map (`per_map`) or of all maps (`common`); maps of zeros stay zero."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r} is unknown; known: {', '.join(NORMALIZATIONS)}")
    largest = maps.max(axis=(-2, -1), keepdims=True) if normalization == "per_map" else maps.max(keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def high_gradient_ratios(maps: np.ndarray, regions: Mapping[str, np.ndarray], *, normalization: str) -> np.ndarray:
    """HGR, the share of a region's pixels whose normalised gradient exceeds a threshold: [regions, N, T].

    Args:
        maps: [N, H, W], one layer's gradients.
        regions: bool [N, H, W] by name; an image without a pixel of a region gives nan.
        normalization: one of `NORMALIZATIONS`.
    """
    num_levels = len(THRESHOLDS) + 1  # the level of a pixel is the number of thresholds below it
    levels = np.searchsorted(THRESHOLDS.astype(maps.dtype), normalize(maps, normalization=normalization))
    of_image = num_levels * np.arange(len(maps))[:, None, None]
    counts = [np.bincount((of_image + levels)[mask], minlength=num_levels * len(maps)) for mask in regions.values()]
    above = np.stack(counts).reshape(len(regions), len(maps), num_levels)[..., ::-1].cumsum(axis=-1)[..., ::-1]
    with np.errstate(invalid="ignore"):
        return above[..., 1:] / above[..., :1]


def mean_ratios(maps: np.ndarray, regions: Mapping[str, np.ndarray]) -> np.ndarray:
    """The High Gradient Ratios of each layer's maps [L, N, H, W], averaged over images: [normalisations, L, regions, T]."""
    by_layer = [[high_gradient_ratios(layer, regions, normalization=name) for layer in maps] for name in NORMALIZATIONS]
    return np.mean(by_layer, axis=-2)


def extra_falls(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The paper's effect: how much further the ratio falls in the marker than in the digit.

    Ratios [..., regions, T] before and after a step -> [..., T], with the regions in the order of `data.REGIONS`.
    """
    fall = before - after
    return fall[..., REGIONS.index("non_discriminative"), :] - fall[..., REGIONS.index("discriminative"), :]


def threshold_index(threshold: float) -> int:
    """The index of one of `THRESHOLDS`. Raises ValueError for any other number."""
    index = round(100 * threshold) - 1
    if not (0 <= index < len(THRESHOLDS) and np.isclose(THRESHOLDS[index], threshold, rtol=1e-6)):
        raise ValueError(f"threshold {threshold}: the High Gradient Ratio is known at 0.01, 0.02, ..., 0.99")
    return index
