"""The loss that trains the classifier, and the objectives that RIB adapts it with."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, multilabel_soft_margin_loss


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
