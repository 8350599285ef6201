"""Gradient maps G_k and the High Gradient Ratio (paper, Section 3).

Shapes: N images of H x W pixels; L layers: one for each convolution, then the output before and after the last activation.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ribstudy.toy.network import LastActivation, ToyNet

NORMALIZATIONS = ("per_map", "common")


def layer_names(depth: int) -> list[str]:
    """G1..G<depth> of the convolutions, and the output layer twice: before and after the last activation."""
    return [*(f"G{k}" for k in range(1, depth + 1)), f"G{depth + 1}_before", f"G{depth + 1}"]


def gradient_maps(net: ToyNet, images: Tensor, *, activation: LastActivation, batch_size: int = 32) -> np.ndarray:
    """G_k, the absolute gradient of the summed output of layer k with respect to the image: float32 [L, N, H, W].

    The output of a convolution is taken before its ReLU. The last two layers are the evidence for an 8
    (`LastActivation.evidence`) and the last activation. The activation is computed in double precision: in single precision,
    1 - sigmoid(y) is 0 for y >= 17.
    """
    return np.concatenate([_batch_gradient_maps(net, batch, activation) for batch in images.split(batch_size)], axis=1)


def _batch_gradient_maps(net: ToyNet, images: Tensor, activation: LastActivation) -> np.ndarray:
    images = images.detach().clone().requires_grad_()
    before_relu, outputs = net.layers(images)
    evidence = activation.evidence(outputs)
    maps = []
    for values in (*before_relu, evidence, activation.squash(evidence.double())):
        (gradient,) = torch.autograd.grad(values.sum(), images, retain_graph=True)
        maps.append(gradient[:, 0].abs().numpy())
    return np.stack(maps)


def normalize(maps: np.ndarray, *, normalization: str) -> np.ndarray:
    """[N, H, W] divided by the maximum of each map (`per_map`) or of all maps (`common`); maps of zeros stay zero."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r} is unknown; known: {', '.join(NORMALIZATIONS)}")
    largest = maps.max(axis=(-2, -1), keepdims=True) if normalization == "per_map" else maps.max(keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def high_gradient_ratio(maps: np.ndarray, mask: np.ndarray, *, threshold: float, normalization: str) -> np.ndarray:
    """HGR, the share of a region's pixels whose normalised gradient exceeds the threshold: [N].

    Args:
        maps: [N, H, W], one layer's gradients.
        mask: bool [N, H, W], the region; an image without a pixel of it gives nan.
        threshold: in 0..1.
        normalization: one of `NORMALIZATIONS`.
    """
    high = normalize(maps, normalization=normalization) > threshold
    with np.errstate(invalid="ignore"):
        return (high & mask).sum(axis=(-2, -1)) / mask.sum(axis=(-2, -1))


def mean_ratios(maps: np.ndarray, regions: dict[str, np.ndarray], *, threshold: float) -> np.ndarray:
    """The High Gradient Ratio of each layer's maps [L, N, H, W], averaged over the images: [normalisations, L, regions]."""

    def of_layer(layer: np.ndarray, normalization: str) -> list[float]:
        ratio = partial(high_gradient_ratio, layer, threshold=threshold, normalization=normalization)
        return [ratio(mask).mean() for mask in regions.values()]

    return np.array([[of_layer(layer, normalization) for layer in maps] for normalization in NORMALIZATIONS])
