"""The loss of DeepLab's training: a cross-entropy at several input scales (deeplab-pytorch, with the seed loss of DSRG).

Shapes: N images, C classes with the background first, h x w scores at the network's stride, H x W pixels.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ribstudy.datasets.pictures import VOID
from ribstudy.masks.deeplab import multi_scale_logits


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in which an image's background and its objects have the same weight (the seed loss of DSRG). Scalar::

        mean over images of [ 1/|B| sum_{u in B} -log p_u(0) + 1/|F| sum_{u in F} -log p_u(t_u) ]

    logits [N, C, h, w], labels t int64 [N, h, w], p the softmax. B are the pixels of an image labelled 0, and F the pixels
    labelled with another class. Pixels labelled 255 belong to neither, and a sum over no pixels counts as 0. The loss of a
    batch is the mean of the losses of its equal parts.
    """
    losses = _pixel_losses(logits, labels)
    background = labels == 0
    foreground = (labels != VOID) & ~background
    return (_means_where(background, losses) + _means_where(foreground, losses)).mean()


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over images of the mean cross-entropy of an image's labelled pixels. Scalar; shapes as above.

    deeplab-pytorch averages over all labelled pixels of a batch, which differs if images have different numbers of pixels
    labelled 255. Here the loss of a batch is the mean of the losses of its equal parts. An image without labels counts as 0.
    """
    return _means_where(labels != VOID, _pixel_losses(logits, labels)).mean()


LOSSES = {"balanced": balanced_cross_entropy, "plain": mean_cross_entropy}


def segmentation_loss(
    net: nn.Module, images: Tensor, masks: Tensor, *, scales: Sequence[float], loss: Literal["balanced", "plain"]
) -> dict[str, Tensor]:
    """The sum of the losses of each scale's scores and of their maximum, each against the masks at its size (deeplab-pytorch).

    A single scale equals its maximum and counts once.

    Args:
        net: images -> scores.
        images: [N, 3, H, W].
        masks: int64 [N, H, W], 255 for pixels without a label.
        scales: scales of the inputs; must include 1.
        loss: "balanced" (DSRG, as RIB's author used it) or "plain" (deeplab-pytorch).

    Returns:
        Scalars: "loss"; and shares of the labelled pixels at scale 1, averaged over the images: "foreground", the pixels that
        the maximum assigns to an object, and "labelled_foreground", the pixels that the masks assign to one.
    """
    logits, fused = multi_scale_logits(net, images, scales)
    terms = [*logits, fused] if len(logits) > 1 else logits
    total = sum(LOSSES[loss](scores, masks_at(masks, scores.shape[2:])) for scores in terms)
    labels = masks_at(masks, fused.shape[2:])
    return {
        "loss": total,
        "foreground": _share_of_objects(fused.detach().argmax(dim=1), labels),
        "labelled_foreground": _share_of_objects(labels, labels),
    }


def masks_at(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Masks [N, H, W] -> [N, h, w] of `size`: the nearest pixels as PIL chooses them (deeplab-pytorch, `resize_labels`)."""
    rows, columns = (_nearest(length, target).to(masks.device) for length, target in zip(masks.shape[1:], size, strict=True))
    return masks[:, rows[:, None], columns]


def _nearest(length: int, target: int) -> Tensor:
    """The index, among `length` positions, that PIL uses for each of `target` positions."""
    positions = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    return torch.from_numpy(np.array(positions.resize((target, 1), Image.Resampling.NEAREST), dtype=np.int64)[0])


def _share_of_objects(classes: Tensor, labels: Tensor) -> Tensor:
    """[N, h, w] twice -> scalar: a mean over images, so the share of a batch is the mean share of its equal parts."""
    known = labels != VOID
    return ((known & (classes != 0)).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)).mean()


def _pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[N, h, w], float32 whatever the precision of the logits; 0 for pixels without a label."""
    return cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="none")


def _means_where(chosen: Tensor, values: Tensor) -> Tensor:
    """[N, h, w] -> [N]: the mean over an image's chosen pixels; 0 if no pixel is chosen."""
    return (values * chosen).sum(dim=(1, 2)) / chosen.sum(dim=(1, 2)).clamp(min=1)
