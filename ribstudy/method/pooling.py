r"""From class maps to logits: global average pooling, and pooling over the non-discriminative region.

Shapes: N images, C classes, h x w positions of a map. Symbols: :math:`A_c(u)` is the signed map of class c at position u,
:math:`t_c` its label, :math:`y_c` its pooled logit.
"""

from typing import Literal

from torch import Tensor

Denominator = Literal["map", "region"]


def gap(maps: Tensor) -> Tensor:
    r"""Global average pooling: [N, C, h, w] -> [N, C].

    .. math:: y_c = \frac{1}{hw} \sum_u A_c(u)

    With the maps of a bias-free 1x1 classifier (`CamNet`), this is the logit of a classifier that pools first.

    >>> import torch
    >>> gap(torch.tensor([[[[10.0, 4.0, 3.0], [1.0, -2.0, 8.0]]]]))
    tensor([[4.]])
    """
    return maps.mean(dim=(2, 3))


def gndrp(maps: Tensor, labels: Tensor, tau: float, denominator: Denominator = "map") -> Tensor:
    r"""Global non-discriminative region pooling: [N, C, h, w] -> [N, C] (paper, Section 4.2; code, `misc/torchutils.py`).

    .. math::
        R_c &= \{u : A_c(u) / \max_v A_c(v) < \tau\} \\
        y_c &= \frac{1}{hw} \sum_{u \in R_c} A_c(u) \;\text{(code)}
        \quad\text{or}\quad \frac{1}{|R_c|} \sum_{u \in R_c} A_c(u) \;\text{(paper)}

    Only the classes in the image (:math:`t_c = 1`) are pooled over :math:`R_c`; other classes are average-pooled. The region is
    a constant: no gradient flows through it. The maximum is signed, as in the reference code. If a labelled map is negative
    everywhere, every ratio is at least 1, so :math:`R_c` is empty, and the logit is 0 without a gradient.

    Args:
        maps: signed class maps A [N, C, h, w], any number of classes.
        labels: t [N, C], nonzero for the classes in the image.
        tau: share of the maximum from which a position is discriminative (paper: 0.4).
        denominator: "map", divide the sum by h*w (reference code); "region", by the size of the region (paper).

    Raises ValueError if the shapes do not fit or the denominator is unknown.

    With a maximum of 10 and tau = 0.4, the region contains 3, 1 and -2:

    >>> import torch
    >>> maps, labels = torch.tensor([[[[10.0, 4.0, 3.0], [1.0, -2.0, 8.0]]]]), torch.tensor([[1.0]])
    >>> gndrp(maps, labels, tau=0.4)
    tensor([[0.3333]])
    >>> gndrp(maps, labels, tau=0.4, denominator="region")
    tensor([[0.6667]])
    """
    if maps.ndim != 4 or labels.shape != maps.shape[:2]:
        raise ValueError(f"maps {tuple(maps.shape)} and labels {tuple(labels.shape)}: expected [N, C, h, w] and [N, C]")
    if denominator not in ("map", "region"):
        raise ValueError(f"denominator {denominator!r} is unknown; known: map, region")
    images, classes = labels.nonzero(as_tuple=True)
    present = maps[images, classes]  # [n, h, w]: only these have a region, and few classes are in an image
    values = present.detach()
    region = (values / values.amax(dim=(1, 2), keepdim=True) < tau).to(values.dtype)  # [n, h, w]: 1 for pooled positions
    num_positions = maps.shape[2] * maps.shape[3] if denominator == "map" else region.sum(dim=(1, 2)).clamp(min=1)
    return gap(maps).index_put((images, classes), (present * region).sum(dim=(1, 2)) / num_positions)
