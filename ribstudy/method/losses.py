r"""The losses of the classifier, of the adaptation (RIB), and of the segmentation network.

Shapes: N images, C classes, h x w positions. Symbols: :math:`y_c` is the logit of class c, :math:`t_c` its label (0 or 1) and
:math:`\sigma` the sigmoid.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, multilabel_soft_margin_loss

from ribstudy.datasets.base import VOID


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Binary cross-entropy after a sigmoid, averaged over classes and images (reference code, `step/train_cam.py`). Scalar.

    .. math::
        \mathcal{L}_\mathrm{BCE} = -\frac{1}{NC} \sum_{n,c} \big[t_{nc} \log \sigma(y_{nc})
        + (1 - t_{nc}) \log(1 - \sigma(y_{nc}))\big]

    Its sigmoid is the information bottleneck of the paper (Section 3).

    Args:
        logits: y [N, C].
        labels: t [N, C], 0 or 1.

    >>> classification_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    return multilabel_soft_margin_loss(logits, labels)


def rib_objective(logits: Tensor, labels: Tensor, *, margin: float | None = None) -> Tensor:
    r"""The RIB loss: minus the sum of the labelled logits, without a last activation (paper, Section 4.1). Scalar.

    .. math:: \mathcal{L}_\mathrm{RIB} = -\sum_{n,c} t_{nc} \min(m, y_{nc})

    Args:
        logits: y [N, C].
        labels: t [N, C], 0 or 1.
        margin: m, above which a logit is not increased further (paper). None: no margin, as in the reference code, which ends
            the loop at its margin instead.

    >>> logits, labels = torch.tensor([[2.0, 700.0, -1.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    >>> rib_objective(logits, labels)
    tensor(-702.)
    >>> rib_objective(logits, labels, margin=600)
    tensor(-602.)
    """
    if margin is not None:
        logits = logits.clamp(max=margin)
    return -(logits * labels).sum()


def cross_entropy_objective(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The classifier's loss as a sum over classes and images: the control of `rib_objective`. Scalar.

    .. math:: -\sum_{n,c} \big[t_{nc} \log \sigma(y_{nc}) + (1 - t_{nc}) \log(1 - \sigma(y_{nc}))\big]

    As a sum, its gradient for a labelled logit far below 0 is -1, as in the RIB loss. A labelled logit far above 0 has no
    gradient. Unlabelled classes are pushed down.

    Args:
        logits: y [N, C].
        labels: t [N, C], 0 or 1.

    >>> cross_entropy_objective(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(1.3863)
    """
    return binary_cross_entropy_with_logits(logits, labels, reduction="sum")


def target_logits(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The sum of the labelled logits, which the reference code compares with its margin. Scalar.

    .. math:: \sum_{n,c} t_{nc} \, y_{nc}

    Args:
        logits: y [N, C].
        labels: t [N, C], 0 or 1.

    >>> target_logits(torch.tensor([[2.0, 700.0, -1.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    tensor(702.)
    """
    return torch.sum(logits * labels)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Cross-entropy in which background and objects of an image have the same weight (the seed loss of DSRG). Scalar.

    .. math::
        \frac{1}{N} \sum_n \Big[\frac{1}{|B_n|} \sum_{u \in B_n} -\log p_u(0)
        + \frac{1}{|F_n|} \sum_{u \in F_n} -\log p_u(t_u)\Big]

    :math:`p_u` is the softmax at pixel u. :math:`B_n` are the pixels of image n with label 0 and :math:`F_n` the pixels of
    other classes; void pixels are in neither. A sum over no pixels is 0. The loss of a batch is the mean of the losses of its
    equal parts.

    Args:
        logits: [N, C, h, w].
        labels: t, int64 [N, h, w]; 255 is void.

    >>> logits, labels = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 255]]])
    >>> balanced_cross_entropy(logits, labels)  # 2 log 2
    tensor(1.3863)
    """
    losses = _pixel_losses(logits, labels)
    background = labels == 0
    foreground = (labels != VOID) & ~background
    return (_means_where(background, losses) + _means_where(foreground, losses)).mean()


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The mean over images of the mean cross-entropy of an image's labelled pixels. Scalar.

    .. math:: \frac{1}{N} \sum_n \frac{1}{|L_n|} \sum_{u \in L_n} -\log p_u(t_u)

    :math:`L_n` are the pixels of image n that are not void. deeplab-pytorch averages over all labelled pixels of a batch, which
    differs if images have different numbers of void pixels. The loss here is the mean of the losses of a batch's equal parts.
    An image without labels counts as 0.

    Args:
        logits: [N, C, h, w].
        labels: t, int64 [N, h, w]; 255 is void.

    >>> logits, labels = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 255]]])
    >>> mean_cross_entropy(logits, labels)  # log 2
    tensor(0.6931)
    """
    return _means_where(labels != VOID, _pixel_losses(logits, labels)).mean()


def _pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[N, h, w], float32 whatever the precision of the logits; 0 for void pixels."""
    return cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="none")


def _means_where(chosen: Tensor, values: Tensor) -> Tensor:
    """[N, h, w] -> [N]: the mean over an image's chosen pixels, 0 if there are none."""
    return (values * chosen).sum(dim=(1, 2)) / chosen.sum(dim=(1, 2)).clamp(min=1)
