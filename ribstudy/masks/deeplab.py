"""The segmentation network's loss, whether it has collapsed, and its predictions: images and scores at several scales.

Shapes: N images, C classes with the background first, h x w scores at the network's stride, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ribstudy.datasets.pictures import VOID
from ribstudy.datasets.transforms import normalize
from ribstudy.method.losses import balanced_cross_entropy, mean_cross_entropy
from ribstudy.models.deeplab import DeepLab

LOSSES = {"balanced": balanced_cross_entropy, "plain": mean_cross_entropy}


def multi_scale_logits(net: nn.Module, images: Tensor, scales: Sequence[float]) -> tuple[list[Tensor], Tensor]:
    """Scores of the images resized by each scale, and the largest of them (deeplab-pytorch).

    images [N, 3, H, W] -> a list of [N, C, h_s, w_s] in the order of the scales, and their maximum at scale 1, [N, C, h, w].

    Raises ValueError where 1 is not among the scales.
    """
    logits = _logits_of_scales(net, images, scales)
    return logits, _at_scale_one(logits, scales).max(dim=0).values


def _logits_of_scales(net: nn.Module, images: Tensor, scales: Sequence[float]) -> list[Tensor]:
    if 1 not in scales:
        raise ValueError(f"scales {tuple(scales)} are without 1, whose resolution the scores are given at; add 1.0")
    return [net(_resized(images, scale)) for scale in scales]


def _resized(images: Tensor, scale: float) -> Tensor:
    size = [max(int(length * scale), 1) for length in images.shape[2:]]
    return images if scale == 1 else interpolate(images, size, mode="bilinear", align_corners=False)


def _at_scale_one(logits: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """[S, N, C, h, w]."""
    size = logits[list(scales).index(1)].shape[2:]
    return torch.stack([scores if scores.shape[2:] == size else _resize_bilinear(scores, size) for scores in logits])


def _resize_bilinear(logits: Tensor, size: Sequence[int]) -> Tensor:
    """[N, C, h, w] -> [N, C, *size], as `interpolate` with align_corners=False.

    As a product of matrices: the gradient of `interpolate` on an accelerator adds up in any order.
    """
    rows, columns = (
        interpolate(torch.eye(length, device=logits.device)[None], target, mode="linear", align_corners=False)[0]
        for length, target in zip(logits.shape[2:], size, strict=True)
    )
    with torch.autocast(logits.device.type, enabled=False):
        return torch.einsum("nchw,hH,wW->ncHW", logits.float(), rows, columns)


def masks_at(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Masks [N, H, W] -> [N, h, w] of `size`, the pixels that PIL takes as nearest (deeplab-pytorch, `resize_labels`)."""
    rows, columns = (_nearest(length, target).to(masks.device) for length, target in zip(masks.shape[1:], size, strict=True))
    return masks[:, rows[:, None], columns]


def _nearest(length: int, target: int) -> Tensor:
    """For each of `target` places, which of `length` PIL takes."""
    places = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    return torch.from_numpy(np.array(places.resize((target, 1), Image.Resampling.NEAREST), dtype=np.int64)[0])


def segmentation_loss(
    net: nn.Module, images: Tensor, masks: Tensor, *, scales: Sequence[float], loss: Literal["balanced", "plain"]
) -> dict[str, Tensor]:
    """The sum of the losses of each scale's scores and of their maximum, each against the masks at its size (deeplab-pytorch).

    With one scale, whose maximum it is itself, that counts once.

    Args:
        net: images -> scores.
        images: [N, 3, H, W].
        masks: int64 [N, H, W], 255 where nothing is known.
        scales: of the inputs, 1 among them.
        loss: "balanced" (DSRG, what RIB's author used) or "plain" (deeplab-pytorch).

    Returns:
        Scalars: "loss"; of an image's labelled pixels at scale 1, averaged over the images, "foreground", the share that the
        maximum takes for objects, and "labelled_foreground", the share that are objects.
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


def _share_of_objects(classes: Tensor, labels: Tensor) -> Tensor:
    """[N, h, w] twice -> scalar; a mean over images, so that a batch has the mean of its equal parts' shares."""
    known = labels != VOID
    return ((known & (classes != 0)).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)).mean()


class Collapsed(ArithmeticError):
    """The segmentation network has come to predict background only."""


class CollapseWatch:
    """Sees the shares of `segmentation_loss` at every step; raises `Collapsed` when objects have not been predicted for long.

    For long: at none of `patience` steps in a row whose masks have objects. Steps whose masks have none say nothing. After a
    resumption it counts anew.
    """

    def __init__(self, patience: int = 500):
        self.patience = patience
        self._start = 0
        self._count = 0

    def __call__(self, step: int, losses: Mapping[str, float]) -> None:
        if losses["foreground"] > 0:
            self._count = 0
        elif losses["labelled_foreground"] > 0:
            self._start = self._start if self._count else step
            self._count += 1
        if self._count >= self.patience:
            raise Collapsed(
                f"step {step}: since step {self._start} the network has predicted nothing but background, though the masks have"
                ' objects; what helps: segmentation.loss="balanced", a smaller learning_rate, weights="imagenet"'
            )


@torch.no_grad()
def predict_logits(
    net: DeepLab, image: np.ndarray, *, scales: Sequence[float], flip: bool, fusion: Literal["max", "mean"]
) -> Tensor:
    """The scores of an image, uint8 [H, W, 3] -> float32 [C, h, w] on the CPU, h x w being those of scale 1.

    At every scale the scores of the image and, with `flip`, of the mirrored image, mirrored back, are averaged, and resized to
    h x w. Over the scales, "max" takes the largest score (deeplab-pytorch), and "mean" the logarithm of the mean probability.

    Raises ValueError where 1 is not among the scales.
    """
    view = normalize(image, net.normalization)[None].to(next(net.parameters()).device)
    views = torch.cat([view, view.flip(-1)]) if flip else view
    logits = _at_scale_one(_logits_of_scales(net, views, scales), scales)
    logits = (logits[:, 0] + logits[:, 1].flip(-1)) / 2 if flip else logits[:, 0]
    if fusion == "max":
        return logits.amax(dim=0).cpu()
    return (logits.log_softmax(dim=1).logsumexp(dim=0) - np.log(len(scales))).cpu()


def probabilities_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores [C, h, w], resized bilinearly to `size` (H, W) -> their softmax, float32 [C, H, W] (deeplab-pytorch)."""
    return interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0].softmax(dim=0)


def predicted(probabilities: Tensor) -> np.ndarray:
    """[C, H, W] -> the most probable class, uint8 [H, W]; of equal ones the first."""
    return np.asarray(probabilities).argmax(axis=0).astype(np.uint8)
