r"""The loss of the classifier, and the objectives of the adaptation (RIB).

Shapes: N images, C classes. Symbols: :math:`y_c` is the logit of class c, :math:`t_c` its label (0 or 1) and
:math:`\sigma` the sigmoid.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, multilabel_soft_margin_loss


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
