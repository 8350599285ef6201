"""What the classifier is trained with, what RIB adapts it to, and what the segmentation network is trained with."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, multilabel_soft_margin_loss

from ribstudy.datasets.pictures import VOID


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy behind a sigmoid, averaged over classes and images (reference code, `step/train_cam.py`).

    logits and labels [N, C], labels 0 or 1. The sigmoid in it is the bottleneck that the paper is about.
    """
    return multilabel_soft_margin_loss(logits, labels)


def rib_objective(logits: Tensor, labels: Tensor, *, margin: float | None = None) -> Tensor:
    """Minus the sum of the labelled logits, without a last activation (paper, Section 4.1).

    logits and labels [N, C]. With a margin m each logit y counts as min(m, y), as the paper writes it; without one it counts
    in full, as in the reference code, which uses its margin to end the loop instead.
    """
    if margin is not None:
        logits = logits.clamp(max=margin)
    return -(logits * labels).sum()


def cross_entropy_objective(logits: Tensor, labels: Tensor) -> Tensor:
    """What the classifier was trained with, as a sum over classes and images: the control of `rib_objective`.

    logits and labels [N, C]. A sum and not a mean, so that a labelled logit far below 0 pulls as hard as in the RIB objective
    (a gradient of -1) and one far above 0 not at all; classes that are not labelled pull down.
    """
    return binary_cross_entropy_with_logits(logits, labels, reduction="sum")


def target_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum of the labelled logits, the quantity that the reference code holds against its margin. Scalar."""
    return torch.sum(logits * labels)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in which an image's background and its objects weigh the same (the seed loss of DSRG). Scalar::

        mean over images of [ 1/|B| sum_{u in B} -log p_u(0) + 1/|F| sum_{u in F} -log p_u(t_u) ]

    logits [N, C, h, w], labels t int64 [N, h, w], p the softmax. B are the pixels of an image labelled 0, F those labelled with
    another class; those labelled 255 are in neither, and a sum over no pixels counts as 0. The loss of a batch is the mean of
    the losses of its equal parts.
    """
    losses = _pixel_losses(logits, labels)
    background = labels == 0
    foreground = (labels != VOID) & ~background
    return (_means_where(background, losses) + _means_where(foreground, losses)).mean()


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over images of the mean cross-entropy of an image's labelled pixels. Scalar; shapes as above.

    deeplab-pytorch takes the mean over all labelled pixels of a batch, which is another one where images have different numbers
    of pixels labelled 255. This one is the mean of the losses of a batch's equal parts. An image without labels counts as 0.
    """
    return _means_where(labels != VOID, _pixel_losses(logits, labels)).mean()


def _pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[N, h, w], float32 whatever the precision of the logits; 0 where there is no label."""
    return cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="none")


def _means_where(chosen: Tensor, values: Tensor) -> Tensor:
    """[N, h, w] -> [N]: the mean over an image's chosen pixels, 0 without any."""
    return (values * chosen).sum(dim=(1, 2)) / chosen.sum(dim=(1, 2)).clamp(min=1)
