"""Prediction with the segmentation network, from images at several scales to scores, probabilities and masks.

Shapes: N images, C classes with the background first, h x w scores at the network's stride, H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ribstudy.datasets.pictures import MAX_CLASSES
from ribstudy.datasets.transforms import normalize
from ribstudy.models.deeplab import DeepLab


def multi_scale_logits(net: nn.Module, images: Tensor, scales: Sequence[float]) -> tuple[list[Tensor], Tensor]:
    """Scores of the images at each scale, and the maximum over the scales (deeplab-pytorch).

    images [N, 3, H, W] -> a list of [N, C, h_s, w_s] in the order of the scales, and their maximum [N, C, h, w], at the
    resolution of scale 1.

    Raises ValueError if the scales do not include 1.
    """
    logits = _logits_of_scales(net, images, scales)
    return logits, _at_scale_one(logits, scales).max(dim=0).values


def _logits_of_scales(net: nn.Module, images: Tensor, scales: Sequence[float]) -> list[Tensor]:
    if 1 not in scales:
        raise ValueError(f"scales {tuple(scales)} do not include 1, the resolution at which scores are returned; add 1.0")
    return [net(_resized(images, scale)) for scale in scales]


def _resized(images: Tensor, scale: float) -> Tensor:
    size = [max(int(length * scale), 1) for length in images.shape[2:]]
    return images if scale == 1 else interpolate(images, size, mode="bilinear", align_corners=False)


def _at_scale_one(logits: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """The scores of S scales, resized to the resolution of scale 1: [S, N, C, h, w]."""
    size = logits[list(scales).index(1)].shape[2:]
    return torch.stack([scores if scores.shape[2:] == size else _resize_bilinear(scores, size) for scores in logits])


def _resize_bilinear(logits: Tensor, size: Sequence[int]) -> Tensor:
    """[N, C, h, w] -> [N, C, *size], as `interpolate` with align_corners=False.

    It is written as a matrix product because the gradient of `interpolate` on a GPU sums in a random order.
    """
    rows, columns = (
        interpolate(torch.eye(length, device=logits.device)[None], target, mode="linear", align_corners=False)[0]
        for length, target in zip(logits.shape[2:], size, strict=True)
    )
    with torch.autocast(logits.device.type, enabled=False):
        return torch.einsum("nchw,hH,wW->ncHW", logits.float(), rows, columns)


@torch.no_grad()
def predict_logits(net: DeepLab, image: np.ndarray, *, scales: Sequence[float], flip: bool, fusion: str) -> Tensor:
    """The scores of an image, uint8 [H, W, 3] -> float32 [C, h, w] on the CPU, at the resolution h x w of scale 1.

    At every scale, `flip` averages the scores of the image with the scores of the mirrored image, mirrored back. They are
    resized to h x w. Over the scales, "max" takes the largest score (deeplab-pytorch), and "mean" takes the logarithm of the
    mean probability.

    Raises ValueError if the scales do not include 1.
    """
    view = normalize(image, net.normalization)[None].to(next(net.parameters()).device)
    views = torch.cat([view, view.flip(-1)]) if flip else view
    logits = _at_scale_one(_logits_of_scales(net, views, scales), scales)
    logits = (logits[:, 0] + logits[:, 1].flip(-1)) / 2 if flip else logits[:, 0]
    if fusion == "max":
        return logits.amax(dim=0).cpu()
    return (logits.log_softmax(dim=1).logsumexp(dim=0) - np.log(len(scales))).cpu()


def probabilities_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores [C, h, w] -> float32 [C, H, W], their softmax after bilinear resizing to `size` (H, W) (deeplab-pytorch)."""
    return interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0].softmax(dim=0)


def predicted(probabilities: Tensor) -> np.ndarray:
    """[C, H, W] -> the most probable class, uint8 [H, W]; the first one in case of a tie.

    Raises ValueError for more classes than a mask has values for.
    """
    if len(probabilities) > MAX_CLASSES + 1:
        raise ValueError(f"{len(probabilities)} classes with the background: a mask has values for {MAX_CLASSES + 1}")
    return np.asarray(probabilities).argmax(axis=0).astype(np.uint8)
